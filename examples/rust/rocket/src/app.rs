//! Routes, and the mapping between HTTP and the core.

use std::collections::BTreeMap;
use std::sync::Arc;

use duet_core::{
    Batch, Computed, Error, Health, History, Link, Placed, Receipt, Service, User, Users, settings,
};
use rocket::data::{self, Data, FromData, ToByteUnit};
use rocket::fairing::AdHoc;
use rocket::http::uri::Origin;
use rocket::http::{Header, Method, Status};
use rocket::request::Request;
use rocket::response::status::Created;
use rocket::response::{self, Responder, Response};
use rocket::route::{Handler, Outcome, Route};
use rocket::serde::json::Json;
use rocket::shield::Shield;
use rocket::{Build, Config, Rocket, State, catch, catchers, get, post, routes, uri};

use crate::ws::ws;

/// The contract's routes.
pub fn app(config: Config, service: Arc<Service>) -> Rocket<Build> {
    let routes = routes![
        health,
        pipeline,
        create_link,
        link_stats,
        follow,
        users,
        user,
        history,
        place,
        order,
        compute,
        ws
    ];
    rocket::custom(config)
        // No headers that the contract does not have.
        .attach(Shield::new())
        // To Rocket's router a slash at the end is nothing; in the contract nothing is there.
        .attach(AdHoc::on_request("slashes", |request, _| {
            Box::pin(async move {
                if request.uri().path().ends_with('/') {
                    request.set_uri(uri!("/nothing/is/here"));
                }
            })
        }))
        .manage(service)
        .mount("/", other_methods(&routes))
        .mount("/", routes)
        .register("/", catchers![nothing, no_text])
}

type Shared = State<Arc<Service>>;
type Answer<T> = Result<Json<T>, Refusal>;

#[get("/health")]
fn health() -> Json<Health> {
    Json(duet_core::health())
}

#[post("/pipeline", data = "<body>")]
fn pipeline(body: Body) -> Answer<Batch> {
    Ok(Json(duet_core::process(&body?.0)?))
}

#[post("/links", data = "<body>")]
async fn create_link(service: &Shared, body: Body) -> Result<Created<Json<Link>>, Refusal> {
    let link = service.links.create(&body?.0).await?;
    Ok(Created::new(format!("/{}", link.code)).body(Json(link)))
}

#[get("/links/<code>")]
async fn link_stats(service: &Shared, code: &str) -> Answer<Link> {
    Ok(Json(service.links.stats(code).await?))
}

#[get("/<code>")]
async fn follow(service: &Shared, code: &str) -> Result<Found, Refusal> {
    let url = service.links.follow(code).await?;
    Ok(Found((), Header::new("location", url)))
}

#[get("/users")]
async fn users(service: &Shared, uri: &Origin<'_>) -> Answer<Users> {
    let query = uri.query().map_or("", |query| query.as_str());
    Ok(Json(service.shop()?.users(query).await?))
}

#[get("/users/<id>")]
async fn user(service: &Shared, id: &str) -> Answer<User> {
    Ok(Json(service.shop()?.user(id).await?))
}

#[get("/users/<id>/orders")]
async fn history(service: &Shared, id: &str) -> Answer<History> {
    Ok(Json(service.shop()?.history(id).await?))
}

#[post("/orders", data = "<body>")]
async fn place(service: &Shared, body: Body) -> Result<Created<Json<Placed>>, Refusal> {
    let body = body?;
    let placed = service.shop()?.place(&body.0).await?;
    Ok(Created::new(format!("/orders/{}", placed.id)).body(Json(placed)))
}

#[get("/orders/<id>")]
async fn order(service: &Shared, id: &str) -> Answer<Receipt> {
    Ok(Json(service.shop()?.order(id).await?))
}

#[post("/compute", data = "<body>")]
async fn compute(body: Body) -> Answer<Computed> {
    Ok(Json(duet_core::compute(&body?.0).await?))
}

/// Where no route fits, nothing is.
#[catch(404)]
fn nothing() -> Refusal {
    Refusal(Error::NotFound)
}

/// Nothing is at a path that is not UTF-8.
#[catch(422)]
fn no_text() -> Refusal {
    Refusal(Error::NotFound)
}

/// A redirect without a body. Rocket's own would refuse some of the URLs that the contract takes.
#[derive(Responder)]
#[response(status = 302)]
struct Found((), Header<'static>);

/// A core error on its way out.
#[derive(Debug)]
pub struct Refusal(pub Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl<'r> Responder<'r, 'static> for Refusal {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let mut answer = Response::build_from(Json(self.0.body()).respond_to(request)?);
        answer.status(Status::new(self.0.status()));
        if let Some((name, value)) = self.0.header() {
            answer.raw_header(name, value);
        }
        answer.ok()
    }
}

/// A body of at most [`settings::BODY_LIMIT`] bytes that calls itself `application/json`.
struct JsonBody(Vec<u8>);

type Body = Result<JsonBody, Refusal>;

#[rocket::async_trait]
impl<'r> FromData<'r> for JsonBody {
    type Error = Refusal;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> data::Outcome<'r, Self> {
        let refuse =
            |error: Error| data::Outcome::Error((Status::new(error.status()), Refusal(error)));
        let content_type = request.headers().get_one("content-type");
        if !content_type.is_some_and(duet_core::is_json) {
            return refuse(Error::NotJson);
        }
        match data.open(settings::BODY_LIMIT.bytes()).into_bytes().await {
            Ok(body) if body.is_complete() => data::Outcome::Success(Self(body.into_inner())),
            Ok(_) => refuse(Error::TooLarge),
            Err(_) => refuse(Error::BadBody),
        }
    }
}

/// Refuses what a path has no method for: without such routes Rocket would say that nothing is there.
#[derive(Clone)]
struct OtherMethods {
    allow: String,
}

#[rocket::async_trait]
impl Handler for OtherMethods {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        let allow = Header::new("allow", self.allow.clone());
        Outcome::from(request, NotAllowed(Refusal(Error::MethodNotAllowed), allow))
    }
}

#[derive(Responder)]
#[response(status = 405)]
struct NotAllowed(Refusal, Header<'static>);

/// A route for each method that the paths of `routes` do not have.
fn other_methods(routes: &[Route]) -> Vec<Route> {
    let mut paths: BTreeMap<&str, Vec<Method>> = BTreeMap::new();
    for route in routes {
        let path = route.uri.path();
        let methods = paths.entry(path).or_default();
        methods.push(route.method);
        // Rocket answers HEAD where GET is. Nobody can ask for a WebSocket with it.
        if route.method == Method::Get && path != "/ws" {
            methods.push(Method::Head);
        }
    }
    let mut others = Vec::new();
    for (path, methods) in paths {
        let allow = methods
            .iter()
            .map(|method| method.as_str())
            .collect::<Vec<_>>()
            .join(",");
        let missing = METHODS
            .into_iter()
            .filter(|method| !methods.contains(method));
        let refuse = |method| {
            Route::new(
                method,
                path,
                OtherMethods {
                    allow: allow.clone(),
                },
            )
        };
        others.extend(missing.map(refuse));
    }
    others
}

const METHODS: [Method; 8] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
    Method::Trace,
];

#[cfg(test)]
mod tests {
    use super::*;
    use rocket::http::ContentType;
    use rocket::local::asynchronous::{Client, LocalRequest};
    use rocket::serde::json::{Value, json};

    async fn client() -> Client {
        let service = Arc::new(Service::in_memory());
        Client::untracked(app(Config::release_default(), service))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_link_lives_and_is_counted() {
        let client = client().await;
        let body = r#"{"url":"https://example.org/"}"#;
        let made = client
            .post("/links")
            .header(ContentType::JSON)
            .body(body)
            .dispatch()
            .await;
        assert_eq!(made.status(), Status::Created);
        let path = made.headers().get_one("location").unwrap().to_owned();
        let followed = client.get(&path).dispatch().await;
        assert_eq!(followed.status(), Status::Found);
        assert_eq!(
            followed.headers().get_one("location"),
            Some("https://example.org/")
        );
        assert_eq!(followed.content_type(), None);
        let counted: Value = client
            .get(format!("/links{path}"))
            .dispatch()
            .await
            .into_json()
            .await
            .unwrap();
        assert_eq!(
            counted,
            json!({"code": path[1..], "url": "https://example.org/", "hits": 1})
        );
    }

    #[tokio::test]
    async fn refusals_have_one_shape() {
        async fn refused(request: LocalRequest<'_>) -> (u16, String) {
            let answer = request.dispatch().await;
            assert_eq!(answer.content_type(), Some(ContentType::JSON));
            let status = answer.status().code;
            let body: Value = answer.into_json().await.unwrap();
            (status, body["error"]["code"].as_str().unwrap().to_owned())
        }
        let client = client().await;
        let post = |path, body: &[u8]| client.post(path).header(ContentType::JSON).body(body);
        for (request, status, code) in [
            (client.get("/a/b/c"), 404, "not_found"),
            (client.post("/"), 404, "not_found"),
            (client.get("/health/"), 404, "not_found"),
            (client.get("/000000"), 404, "not_found"),
            (client.get("/%FF"), 404, "not_found"),
            (client.get("/links"), 405, "method_not_allowed"),
            (client.delete("/ws"), 405, "method_not_allowed"),
            (
                post("/pipeline", &vec![b' '; settings::BODY_LIMIT + 1]),
                413,
                "too_large",
            ),
            (
                client.post("/pipeline").body("{}"),
                415,
                "unsupported_media_type",
            ),
            (post("/pipeline", b"{"), 400, "bad_json"),
            (post("/links", b"{}"), 422, "invalid_url"),
            (client.get("/ws"), 426, "upgrade_required"),
            (client.get("/users?limit=0"), 503, "no_database"),
        ] {
            assert_eq!(refused(request).await, (status, code.to_owned()));
        }
    }
}
