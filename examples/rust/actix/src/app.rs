//! Routes, and the mapping between HTTP and the core.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::guard::{self, Guard};
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, LOCATION};
use actix_web::web::{self, Bytes, Data, Json, Path, ServiceConfig};
use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, ResponseError,
};
use duet_core::{
    Batch, Computed, Error, Health, History, Link, Receipt, Service, User, Users, settings,
};

use crate::ws::ws;

/// The contract's routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        // What is a little too large is heard out: Actix hangs up on what is over its own limit, and a client that is
        // still sending would not see the answer.
        .app_data(web::PayloadConfig::new(2 * settings::BODY_LIMIT))
        // Nothing is at a path that is not UTF-8.
        .app_data(web::PathConfig::default().error_handler(|_, _| Refusal(Error::NotFound).into()))
        .service(get("/health", health))
        .service(post("/pipeline", pipeline))
        .service(post("/links", create_link))
        .service(get("/links/{code}", link_stats))
        .service(get("/users", users))
        .service(get("/users/{id}", user))
        .service(get("/users/{id}/orders", history))
        .service(post("/orders", place))
        .service(get("/orders/{id}", order))
        .service(post("/compute", compute))
        .service(only("/ws", guard::Get(), ws, "GET"))
        .service(get("/{code}", follow))
        .default_service(web::to(async || refuse(Error::NotFound)));
}

fn get<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A, Output: Responder + 'static>,
    A: FromRequest + 'static,
{
    // Without the body of an answer to HEAD, which Actix drops.
    only(
        path,
        guard::Any(guard::Get()).or(guard::Head()),
        handler,
        "GET,HEAD",
    )
}

fn post<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A, Output: Responder + 'static>,
    A: FromRequest + 'static,
{
    only(path, guard::Post(), handler, "POST")
}

/// A path for some methods; the others are refused with the list of those.
fn only<F, A>(
    path: &str,
    methods: impl Guard + 'static,
    handler: F,
    allow: &'static str,
) -> Resource
where
    F: Handler<A, Output: Responder + 'static>,
    A: FromRequest + 'static,
{
    web::resource(path)
        .route(web::route().guard(methods).to(handler))
        .default_service(web::to(move || async move {
            let mut answer = refuse(Error::MethodNotAllowed);
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allow));
            answer
        }))
}

type Answer<T> = Result<Json<T>, Refusal>;

async fn health() -> Json<Health> {
    Json(duet_core::health())
}

async fn pipeline(JsonBody(body): JsonBody) -> Answer<Batch> {
    Ok(Json(duet_core::process(&body)?))
}

async fn create_link(
    service: Data<Service>,
    JsonBody(body): JsonBody,
) -> Result<impl Responder, Refusal> {
    let link = service.links.create(&body).await?;
    let location = format!("/{}", link.code);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .json(link))
}

async fn link_stats(service: Data<Service>, code: Path<String>) -> Answer<Link> {
    Ok(Json(service.links.stats(&code).await?))
}

async fn follow(service: Data<Service>, code: Path<String>) -> Result<impl Responder, Refusal> {
    let url = service.links.follow(&code).await?;
    Ok(HttpResponse::Found()
        .insert_header((LOCATION, url))
        .finish())
}

async fn users(service: Data<Service>, request: HttpRequest) -> Answer<Users> {
    Ok(Json(service.shop()?.users(request.query_string()).await?))
}

async fn user(service: Data<Service>, id: Path<String>) -> Answer<User> {
    Ok(Json(service.shop()?.user(&id).await?))
}

async fn history(service: Data<Service>, id: Path<String>) -> Answer<History> {
    Ok(Json(service.shop()?.history(&id).await?))
}

async fn order(service: Data<Service>, id: Path<String>) -> Answer<Receipt> {
    Ok(Json(service.shop()?.order(&id).await?))
}

async fn place(
    service: Data<Service>,
    JsonBody(body): JsonBody,
) -> Result<impl Responder, Refusal> {
    let placed = service.shop()?.place(&body).await?;
    let location = format!("/orders/{}", placed.id);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .json(placed))
}

async fn compute(JsonBody(body): JsonBody) -> Answer<Computed> {
    Ok(Json(duet_core::compute(&body).await?))
}

/// A core error on its way out.
#[derive(Debug)]
pub struct Refusal(pub Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        if let Some(header) = self.0.header() {
            answer.insert_header(header);
        }
        answer.json(self.0.body())
    }
}

fn refuse(error: Error) -> HttpResponse {
    Refusal(error).error_response()
}

/// A body of at most [`settings::BODY_LIMIT`] bytes that calls itself `application/json`.
pub struct JsonBody(Bytes);

impl FromRequest for JsonBody {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json = is_json(request);
        let body = Bytes::from_request(request, payload);
        Box::pin(async move {
            if !json {
                return Err(Refusal(Error::NotJson));
            }
            match body.await {
                Ok(body) if body.len() <= settings::BODY_LIMIT => Ok(Self(body)),
                Err(error) if !is_overflow(&error) => Err(Refusal(Error::BadBody)),
                _ => Err(Refusal(Error::TooLarge)),
            }
        })
    }
}

fn is_overflow(error: &actix_web::Error) -> bool {
    matches!(error.as_error(), Some(PayloadError::Overflow))
}

fn is_json(request: &HttpRequest) -> bool {
    request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(duet_core::is_json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::App;
    use actix_web::http::header::HeaderMap;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use serde_json::{Value, json};

    /// The answers of a fresh service to some requests: status, headers, and the body as JSON.
    async fn answers(requests: Vec<TestRequest>) -> Vec<(u16, HeaderMap, Value)> {
        let service = Data::new(Service::in_memory());
        let app = init_service(App::new().app_data(service).configure(routes)).await;
        let mut answers = Vec::new();
        for request in requests {
            let answer = call_service(&app, request.to_request()).await;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let body = serde_json::from_slice(&read_body(answer).await).unwrap_or_default();
            answers.push((status, headers, body));
        }
        answers
    }

    fn request(method: &str, path: &str, body: impl Into<Bytes>) -> TestRequest {
        TestRequest::with_uri(path)
            .method(method.parse().unwrap())
            .insert_header((CONTENT_TYPE, "application/json; charset=utf-8"))
            .set_payload(body)
    }

    #[actix_web::test]
    async fn a_link_lives_and_is_counted() {
        let path = format!("/{}", duet_core::code(0));
        let answers = answers(vec![
            request("POST", "/links", r#"{"url":"https://example.org/"}"#),
            request("GET", &path, ""),
            request("GET", &format!("/links{path}"), ""),
        ])
        .await;
        let [made, followed, counted] = &answers[..] else {
            panic!("got {} answers", answers.len());
        };
        assert_eq!(made.0, 201);
        assert_eq!(made.1.get(LOCATION).unwrap(), &path[..]);
        assert_eq!(followed.0, 302);
        assert_eq!(followed.1.get(LOCATION).unwrap(), "https://example.org/");
        assert_eq!(
            counted.2,
            json!({"code": path[1..], "url": "https://example.org/", "hits": 1})
        );
    }

    #[actix_web::test]
    async fn refusals_have_one_shape() {
        let large = vec![b' '; settings::BODY_LIMIT + 1];
        let refused = answers(vec![
            request("GET", "/a/b/c", ""),
            request("GET", "/000000", ""),
            request("GET", "/%FF", ""),
            request("GET", "/links", ""),
            request("HEAD", "/ws", ""),
            request("POST", "/pipeline", large.clone()),
            request("POST", "/pipeline", large.repeat(2)),
            TestRequest::post().uri("/pipeline").set_payload("{}"),
            request("POST", "/pipeline", "{"),
            request("POST", "/links", "{}"),
            request("GET", "/ws", ""),
            request("GET", "/users?limit=0", ""),
        ])
        .await;
        let expected = [
            (404, "not_found"),
            (404, "not_found"),
            (404, "not_found"),
            (405, "method_not_allowed"),
            (405, "method_not_allowed"),
            (413, "too_large"),
            (413, "too_large"),
            (415, "unsupported_media_type"),
            (400, "bad_json"),
            (422, "invalid_url"),
            (426, "upgrade_required"),
            (503, "no_database"),
        ];
        for ((status, headers, body), expected) in refused.iter().zip(expected) {
            assert_eq!((*status, body["error"]["code"].as_str().unwrap()), expected);
            assert_eq!(headers.get(CONTENT_TYPE).unwrap(), "application/json");
        }
    }
}
