//! Routes, and the mapping between HTTP and the core.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use duet_core::{Batch, Error, Health, Service, settings};

/// The contract's routes.
pub fn app(service: Arc<Service>) -> Router {
    let routes = Router::new()
        .route("/health", get(health))
        .route("/pipeline", post(pipeline))
        .route("/links", post(create_link))
        .route("/links/{code}", get(link_stats))
        .route("/{code}", get(follow));
    #[cfg(feature = "full")]
    let routes = routes.merge(crate::full::routes());
    routes
        .fallback(async || Refusal(Error::NotFound))
        .method_not_allowed_fallback(async || Refusal(Error::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(settings::BODY_LIMIT))
        .with_state(service)
}

/// What the requests of the process share.
pub type Shared = State<Arc<Service>>;

async fn health() -> Json<Health> {
    Json(duet_core::health())
}

async fn pipeline(JsonBody(body): JsonBody) -> Result<Json<Batch>, Refusal> {
    Ok(Json(duet_core::process(&body)?))
}

async fn create_link(
    State(service): Shared,
    JsonBody(body): JsonBody,
) -> Result<impl IntoResponse, Refusal> {
    let link = service.links.create(&body).await?;
    let location = format!("/{}", link.code);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(link)))
}

async fn link_stats(
    State(service): Shared,
    Segment(code): Segment,
) -> Result<impl IntoResponse, Refusal> {
    Ok(Json(service.links.stats(&code).await?))
}

async fn follow(
    State(service): Shared,
    Segment(code): Segment,
) -> Result<impl IntoResponse, Refusal> {
    let url = service.links.follow(&code).await?;
    Ok((StatusCode::FOUND, [(LOCATION, url)]))
}

/// A core error on its way out.
pub struct Refusal(pub Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let header = self.0.header().map(|header| [header]);
        (status, header, Json(self.0.body())).into_response()
    }
}

/// A body of at most [`settings::BODY_LIMIT`] bytes that calls itself `application/json`.
pub struct JsonBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal(Error::NotJson));
        }
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Self(body)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Refusal(Error::TooLarge))
            }
            Err(_) => Err(Refusal(Error::BadBody)),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(duet_core::is_json)
}

/// The one parameter of a path; nothing is at a path that is not UTF-8.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segment)) => Ok(Self(segment)),
            Err(_) => Err(Refusal(Error::NotFound)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    async fn ask(app: &Router, request: Request) -> (StatusCode, HeaderMap, Value) {
        let answer = app.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (parts.status, parts.headers, value)
    }

    fn request(method: &str, path: &str, body: impl Into<Body>) -> Request {
        axum::http::Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(body.into())
            .unwrap()
    }

    #[tokio::test]
    async fn a_link_lives_and_is_counted() {
        let app = app(Arc::new(Service::in_memory()));
        let (status, headers, link) = ask(
            &app,
            request("POST", "/links", r#"{"url":"https://example.org/"}"#),
        )
        .await;
        assert_eq!(status, StatusCode::CREATED);
        let path = headers[LOCATION].to_str().unwrap().to_owned();
        let (status, headers, _) = ask(&app, request("GET", &path, "")).await;
        assert_eq!(status, StatusCode::FOUND);
        assert_eq!(headers[LOCATION], "https://example.org/");
        let (_, _, counted) = ask(&app, request("GET", &format!("/links{path}"), "")).await;
        assert_eq!(
            counted,
            json!({"code": link["code"], "url": link["url"], "hits": 1})
        );
    }

    #[tokio::test]
    async fn refusals_have_one_shape() {
        let app = app(Arc::new(Service::in_memory()));
        let large = vec![b' '; settings::BODY_LIMIT + 1];
        let plain = axum::http::Request::post("/pipeline")
            .body(Body::from("{}"))
            .unwrap();
        for (request, status, code) in [
            (request("GET", "/a/b/c", ""), 404, "not_found"),
            (request("GET", "/000000", ""), 404, "not_found"),
            (request("GET", "/%FF", ""), 404, "not_found"),
            (request("GET", "/links", ""), 405, "method_not_allowed"),
            (request("POST", "/pipeline", large), 413, "too_large"),
            (plain, 415, "unsupported_media_type"),
            (request("POST", "/pipeline", "{"), 400, "bad_json"),
            (request("POST", "/links", "{}"), 422, "invalid_url"),
        ] {
            let (got, headers, body) = ask(&app, request).await;
            assert_eq!(
                (got.as_u16(), &body["error"]["code"]),
                (status, &json!(code))
            );
            assert_eq!(headers[CONTENT_TYPE], "application/json");
        }
    }
}
