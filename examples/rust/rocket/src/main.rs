//! The contract of `examples/contract` served with Rocket.
//!
//! Listens on `$ADDR`, or on loopback at `$PORT` (default 8080), until SIGTERM or SIGINT.

mod app;
mod ws;

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use duet_core::{Service, Settings, settings};
use rocket::config::{Config, Ident, LogLevel, Shutdown, Sig};
use rocket::error::ErrorKind;
use rocket::fairing::AdHoc;

/// Time for idle connections to be closed at shutdown.
const CLOSING: Duration = Duration::from_millis(50);

// Not #[rocket::main], which counts workers its own way: one a core, whether usable or not.
#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rocket: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let service = Service::start(&settings).await?;
    let addr = settings
        .addr
        .to_socket_addrs()?
        .next()
        .ok_or("reading ADDR: no such host")?;
    serve(addr, Arc::new(service)).await
}

/// Answers on `addr` until a signal, then gives requests in flight, waiting orders and open sockets
/// [`settings::DRAIN`] to finish.
async fn serve(addr: SocketAddr, service: Arc<Service>) -> Result<(), Box<dyn Error>> {
    let listening = AdHoc::on_liftoff("listening", |rocket| {
        Box::pin(async move {
            let Config { address, port, .. } = *rocket.config();
            eprintln!("rocket: listening on {}", SocketAddr::new(address, port));
        })
    });
    let stopping = AdHoc::on_shutdown("stopping", {
        let service = service.clone();
        |_| {
            Box::pin(async move {
                service.stop();
                // After this Rocket looks once whether a connection is open, and if so waits out the whole drain.
                service.empty().await;
                tokio::time::sleep(CLOSING).await;
            })
        }
    });
    let ended = app::app(config(addr), service.clone())
        .attach(listening)
        .attach(stopping)
        .launch()
        .await;
    service.finish().await;
    match ended {
        // Who was not done by the end of the drain has had the time.
        Err(error) if !matches!(error.kind(), ErrorKind::Shutdown(..)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Rocket says nothing, of itself or of requests, and stops as the other services do.
fn config(addr: SocketAddr) -> Config {
    Config {
        address: addr.ip(),
        port: addr.port(),
        ident: Ident::none(),
        log_level: LogLevel::Off,
        shutdown: Shutdown {
            signals: [Sig::Term].into(),
            grace: u32::try_from(settings::DRAIN.as_secs()).unwrap_or(u32::MAX),
            mercy: 0,
            ..Shutdown::default()
        },
        ..Config::release_default()
    }
}
