//! The WebSocket.

use std::io::ErrorKind;

use actix_web::http::header::{CONNECTION, HeaderName, UPGRADE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, rt};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, ProtocolError, Session};
use duet_core::{Error, Service, Stay, settings};

use crate::app::Refusal;

/// Upgrades a connection.
pub async fn ws(
    service: Data<Service>,
    request: HttpRequest,
    body: Payload,
) -> actix_web::Result<HttpResponse> {
    if !lists(&request, CONNECTION, "upgrade") || !lists(&request, UPGRADE, "websocket") {
        return Err(Refusal(Error::UpgradeRequired).into());
    }
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let stream = stream
        .max_frame_size(settings::MESSAGE_LIMIT)
        .aggregate_continuations()
        .max_continuation_size(settings::MESSAGE_LIMIT);
    rt::spawn(echo(session, stream, service.stay()));
    Ok(response)
}

/// Whether a header lists a word.
fn lists(request: &HttpRequest, name: HeaderName, word: &str) -> bool {
    request
        .headers()
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|listed| listed.trim().eq_ignore_ascii_case(word))
}

/// Sends every message back, until the client leaves, says too much, or the service stops.
async fn echo(mut session: Session, mut stream: AggregatedMessageStream, mut stay: Stay) {
    let reason = loop {
        let message = tokio::select! {
            message = stream.recv() => message,
            () = stay.over() => break Some(CloseCode::Away.into()),
        };
        let sent = match message {
            Some(Ok(AggregatedMessage::Text(text))) => session.text(text).await,
            Some(Ok(AggregatedMessage::Binary(bytes))) => session.binary(bytes).await,
            Some(Ok(AggregatedMessage::Ping(bytes))) => session.pong(&bytes).await,
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Close(reason))) => break reason,
            Some(Err(error)) if is_too_large(&error) => break Some(CloseCode::Size.into()),
            Some(Err(_)) | None => break None,
        };
        if sent.is_err() {
            return;
        }
    };
    // The client may be gone.
    let _ = session.close(reason).await;
}

/// A frame over the limit, or several that are together. A connection that broke looks like the latter; nobody is left
/// there to be told.
fn is_too_large(error: &ProtocolError) -> bool {
    match error {
        ProtocolError::Overflow => true,
        ProtocolError::Io(error) => error.kind() == ErrorKind::Other,
        _ => false,
    }
}
