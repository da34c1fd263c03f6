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
