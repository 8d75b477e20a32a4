//! Accepting connections, over TLS or not: so many at once, each with limits of its own, and all of them let finish when we stop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::patience::Patient;
use super::signed::Arrived;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 20_000;
/// How long the head of a request may take, and how long a connection may be silent.
const HEAD: Duration = Duration::from_secs(60);
/// The largest head of a request.
const HEAD_BYTES: usize = 64 << 10;
/// Bytes the system keeps for a client that does not read (twice that, as it counts). By itself it would keep megabytes for
/// each of thousands of streams.
const KEPT: u32 = 64 << 10;
/// Connections the system keeps until we accept them.
const BACKLOG: u32 = 1_024;
/// How long a TLS handshake may take.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be accepted (too many open files).
const TROUBLE: Duration = Duration::from_millis(200);
/// How long requests under way may take once we stop.
const FINISH: Duration = Duration::from_secs(10);

/// Takes an address.
///
/// # Errors
/// If the system does not give it.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(KEPT)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then lets requests under way finish.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD).max_concurrent_streams(256);
    let door = Door { builder, router };
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        let Ok(place) = place else { break };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(TROUBLE).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        // Answers are small and whole: waiting to fill a packet only adds a delay.
        drop(stream.set_nodelay(true));
        let arrived = Arrived { peer: peer.ip(), tls: tls.is_some() };
        let (door, tls, watcher, stop) = (door.clone(), tls.clone(), graceful.watcher(), stop.clone());
        tokio::spawn(async move {
            match tls {
                None => door.connection(stream, arrived, watcher).await,
                Some(tls) => {
                    let shaken = tokio::select! {
                        shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)) => shaken,
                        () = stop.cancelled() => return,
                    };
                    // Who does not speak TLS, or not ours, or too slowly, is not served; there are many on the Internet.
                    match shaken {
                        Ok(Ok(stream)) => door.connection(stream, arrived, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
                        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
                    }
                }
            }
            drop(place);
        });
    }
    if tokio::time::timeout(FINISH, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// What becomes of a connection.
#[derive(Clone)]
struct Door {
    builder: auto::Builder<TokioExecutor>,
    router: Router,
}

impl Door {
    async fn connection(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        arrived: Arrived,
        watcher: Watcher,
    ) {
        let router = self.router;
        let service = TowerToHyperService::new(tower::service_fn(move |request: http::Request<Incoming>| {
            let router = router.clone();
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(arrived);
            async move {
                Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
            }
        }));
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(Patient::new(stream)), service)
            .into_owned();
        // A connection that breaks off is the client's affair.
        drop(watcher.watch(connection).await);
    }
}
