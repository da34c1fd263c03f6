//! The contract of `examples/contract` served with axum.
//!
//! Listens on `$ADDR`, or on loopback at `$PORT` (default 8080), until SIGTERM or SIGINT.

mod app;
#[cfg(feature = "full")]
mod full;
#[cfg(feature = "plants")]
mod plants;

use std::error::Error;
use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use axum::serve::ListenerExt;
use duet_core::{Service, Settings, settings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let service = Service::start(&settings).await?;
    let listener = TcpListener::bind(&settings.addr).await?;
    eprintln!("axum: listening on {}", listener.local_addr()?);
    serve(listener, Arc::new(service), async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await?;
    Ok(())
}

/// Answers on `listener` until `shutdown` ends, then gives requests in flight, waiting orders and open sockets
/// [`settings::DRAIN`] to finish.
async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    // Nagle's algorithm off, as in Go's net package.
    let listener = listener.tap_io(|stream| {
        // A connection that is already gone is found out on its first read.
        let _ = stream.set_nodelay(true);
    });
    let app = app::app(service.clone());
    #[cfg(feature = "plants")]
    let app = plants::planted(app)?;
    let server = axum::serve(listener, app).with_graceful_shutdown({
        let service = service.clone();
        async move {
            shutdown.await;
            service.stop();
            let _ = stopping.send(());
        }
    });
    tokio::select! {
        result = server.into_future() => {
            service.finish().await;
            result
        }
        () = async {
            let _ = stopped.await;
            tokio::time::sleep(settings::DRAIN).await;
        } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn serves_until_told_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, Arc::new(Service::in_memory()), async {
            let _ = stopped.await;
        }));
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(addr).await.is_err());
    }
}
