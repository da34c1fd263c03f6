//! The routes of the feature `full`: those that need a database, computing, and the WebSocket.

use std::sync::Arc;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{RawQuery, State};
use axum::http::header::{ALLOW, LOCATION};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use duet_core::{Computed, Error, History, Receipt, Service, Stay, User, Users, settings};

use crate::app::{JsonBody, Refusal, Segment, Shared};

pub fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/users", get(users))
        .route("/users/{id}", get(user))
        .route("/users/{id}/orders", get(history))
        .route("/orders", post(place))
        .route("/orders/{id}", get(order))
        .route("/compute", post(compute))
        .route("/ws", any(ws))
}

async fn users(State(service): Shared, RawQuery(query): RawQuery) -> Result<Json<Users>, Refusal> {
    let query = query.unwrap_or_default();
    Ok(Json(service.shop()?.users(&query).await?))
}

async fn user(State(service): Shared, Segment(id): Segment) -> Result<Json<User>, Refusal> {
    Ok(Json(service.shop()?.user(&id).await?))
}

async fn history(State(service): Shared, Segment(id): Segment) -> Result<Json<History>, Refusal> {
    Ok(Json(service.shop()?.history(&id).await?))
}

async fn order(State(service): Shared, Segment(id): Segment) -> Result<Json<Receipt>, Refusal> {
    Ok(Json(service.shop()?.order(&id).await?))
}

async fn place(
    State(service): Shared,
    JsonBody(body): JsonBody,
) -> Result<impl IntoResponse, Refusal> {
    let placed = service.shop()?.place(&body).await?;
    let location = format!("/orders/{}", placed.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(placed)))
}

async fn compute(JsonBody(body): JsonBody) -> Result<Json<Computed>, Refusal> {
    Ok(Json(duet_core::compute(&body).await?))
}

/// Any method comes here: HEAD is no way to ask for a WebSocket.
async fn ws(
    method: Method,
    State(service): Shared,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    use WebSocketUpgradeRejection::{InvalidConnectionHeader, InvalidUpgradeHeader};
    if method != Method::GET {
        return ([(ALLOW, "GET")], Refusal(Error::MethodNotAllowed)).into_response();
    }
    match upgrade {
        Ok(upgrade) => {
            let stay = service.stay();
            upgrade
                .max_frame_size(settings::MESSAGE_LIMIT)
                .max_message_size(settings::MESSAGE_LIMIT)
                .on_upgrade(|socket| echo(socket, stay))
        }
        Err(InvalidConnectionHeader(_) | InvalidUpgradeHeader(_)) => {
            Refusal(Error::UpgradeRequired).into_response()
        }
        Err(rejection) => rejection.into_response(),
    }
}

/// Sends every message back, until the client leaves, says too much, or the service stops.
async fn echo(mut socket: WebSocket, mut stay: Stay) {
    let code = loop {
        let message = tokio::select! {
            message = socket.recv() => message,
            () = stay.over() => break close_code::AWAY,
        };
        match message {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            Some(Ok(_)) => {} // pings and the close are answered by axum
            Some(Err(error)) if is_too_large(&error) => break close_code::SIZE,
            Some(Err(_)) | None => return,
        }
    };
    let close = CloseFrame {
        code,
        reason: "".into(),
    };
    // The client may be gone.
    let _ = socket.send(Message::Close(Some(close))).await;
}

fn is_too_large(error: &axum::Error) -> bool {
    use std::error::Error as _;
    let cause = error.source().and_then(|error| error.downcast_ref());
    matches!(cause, Some(tungstenite::Error::Capacity(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::header::UPGRADE;
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tower::ServiceExt;

    #[tokio::test]
    async fn refusals() {
        let app = crate::app::app(Arc::new(Service::in_memory()));
        for (method, path, status, code, header) in [
            ("GET", "/users?limit=0", 503, "no_database", None),
            ("GET", "/orders/x", 503, "no_database", None),
            (
                "POST",
                "/users",
                405,
                "method_not_allowed",
                Some((ALLOW, "GET,HEAD")),
            ),
            (
                "GET",
                "/compute",
                405,
                "method_not_allowed",
                Some((ALLOW, "POST")),
            ),
            (
                "DELETE",
                "/ws",
                405,
                "method_not_allowed",
                Some((ALLOW, "GET")),
            ),
            (
                "GET",
                "/ws",
                426,
                "upgrade_required",
                Some((UPGRADE, "websocket")),
            ),
        ] {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::empty()).unwrap();
            let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
            assert_eq!(parts.status.as_u16(), status, "{path}");
            if let Some((name, value)) = header {
                assert_eq!(parts.headers[name], value);
            }
            let body = body.collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["code"], code);
        }
    }

    #[tokio::test]
    async fn computing() {
        let app = crate::app::app(Arc::new(Service::in_memory()));
        let request = Request::post("/compute").header("content-type", "application/json");
        let request = request
            .body(Body::from(r#"{"seed":0,"parts":1,"iterations":1}"#))
            .unwrap();
        let answer = app.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            body,
            r#"{"parts":["e220a8397b1dcdaf"],"total":"e220a8397b1dcdaf"}"#
        );
    }
}
