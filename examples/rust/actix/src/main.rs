//! The contract of `examples/contract` served with Actix Web.
//!
//! Listens on `$ADDR`, or on loopback at `$PORT` (default 8080), until SIGTERM or SIGINT.

mod app;
mod ws;

use std::any::Any;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use actix_web::http::KeepAlive;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use duet_core::{Service, Settings, settings};
use tokio::signal::unix::{SignalKind, signal};

#[actix_web::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("actix: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let service = Service::start(&settings).await?;
    let listener = TcpListener::bind(&settings.addr)?;
    eprintln!("actix: listening on {}", listener.local_addr()?);
    serve(listener, service, async move {
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
    service: Service,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = web::Data::new(service);
    let shared = service.clone();
    let server =
        HttpServer::new(move || App::new().app_data(shared.clone()).configure(app::routes))
            .workers(std::thread::available_parallelism()?.get())
            // As in the other services: a connection is kept until the client closes it.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::from_secs(10))
            .on_connect(|stream, _| no_delay(stream))
            .shutdown_timeout(settings::DRAIN.as_secs())
            .shutdown_signal({
                let service = service.clone();
                async move {
                    shutdown.await;
                    service.stop();
                }
            })
            .listen(listener)?
            .run();
    let result = server.await;
    service.finish().await;
    result
}

/// Nagle's algorithm off, as in Go's net package.
fn no_delay(stream: &dyn Any) {
    if let Some(stream) = stream.downcast_ref::<TcpStream>() {
        // A connection that is already gone is found out on its first read.
        let _ = stream.set_nodelay(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    #[actix_web::test]
    async fn serves_until_told_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = actix_web::rt::spawn(serve(listener, Service::in_memory(), async {
            let _ = stopped.await;
        }));
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(addr).await.is_err());
    }
}
