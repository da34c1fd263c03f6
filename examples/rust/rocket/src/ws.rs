//! The WebSocket.

use std::sync::Arc;

use duet_core::{Error, Service, Stay, settings};
use rocket::futures::{SinkExt, StreamExt};
use rocket::{State, get};
use rocket_ws::frame::{CloseCode, CloseFrame};
use rocket_ws::result::Error as Failure;
use rocket_ws::stream::DuplexStream;
use rocket_ws::{Channel, Config, Message, WebSocket};

use crate::app::Refusal;

/// Upgrades a connection.
#[get("/ws")]
pub fn ws(
    service: &State<Arc<Service>>,
    upgrade: Option<WebSocket>,
) -> Result<Channel<'static>, Refusal> {
    let upgrade = upgrade.ok_or(Refusal(Error::UpgradeRequired))?;
    let limits = Config {
        max_message_size: Some(settings::MESSAGE_LIMIT),
        max_frame_size: Some(settings::MESSAGE_LIMIT),
        ..Config::default()
    };
    let stay = service.stay();
    Ok(upgrade
        .config(limits)
        .channel(|stream| Box::pin(echo(stream, stay))))
}

/// Sends every message back, until the client leaves, says too much, or the service stops.
async fn echo(mut stream: DuplexStream, mut stay: Stay) -> rocket_ws::result::Result<()> {
    let code = loop {
        let message = tokio::select! {
            message = stream.next() => message,
            () = stay.over() => break CloseCode::Away,
        };
        match message {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                stream.send(message).await?;
            }
            Some(Ok(_)) => {} // pings and the close are answered by rocket_ws
            Some(Err(Failure::Capacity(_))) => break CloseCode::Size,
            Some(Err(error)) => return Err(error),
            None => return Ok(()),
        }
    };
    let reason = "".into();
    stream.close(Some(CloseFrame { code, reason })).await
}
