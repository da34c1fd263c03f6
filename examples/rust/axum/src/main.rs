//! The contract of `examples/contract` served with axum.
//!
//! Listens on `$ADDR`, or on loopback at `$PORT` (default 8080), until SIGTERM or SIGINT.

mod app;
#[cfg(feature = "plants")]
mod plants;

use std::future::Future;
use std::io;

use axum::serve::ListenerExt;
use duet_core::{Links, settings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(settings::addr(|name| std::env::var(name).ok())).await?;
    eprintln!("axum: listening on {}", listener.local_addr()?);
    serve(listener, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

/// Answers on `listener` until `shutdown` ends, then gives requests in flight [`settings::DRAIN`] to finish.
async fn serve(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    // Nagle's algorithm off, as in Go's net package.
    let listener = listener.tap_io(|stream| {
        // A connection that is already gone is found out on its first read.
        let _ = stream.set_nodelay(true);
    });
    let app = app::app(Links::new(settings::LINK_LIMIT));
    #[cfg(feature = "plants")]
    let app = plants::planted(app)?;
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        shutdown.await;
        let _ = stopping.send(());
    });
    tokio::select! {
        result = server.into_future() => result,
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
        let server = tokio::spawn(serve(listener, async {
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
