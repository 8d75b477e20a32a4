use std::net::SocketAddr;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::http::listen;
use crate::http::signed::Arrived;

struct World {
    dir: TempDir,
    certificates: Arc<Certificates>,
    address: SocketAddr,
    _stop: DropGuard,
}

/// A certificate that signs itself, and its key.
fn made() -> (CertificateDer<'static>, String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.der().clone(), made.cert.pem(), made.signing_key.serialize_pem())
}

fn write(dir: &TempDir, certificate: &str, key: &str) {
    std::fs::write(dir.path().join("certificate.pem"), certificate).unwrap();
    std::fs::write(dir.path().join("key.pem"), key).unwrap();
}

async fn world() -> (World, CertificateDer<'static>) {
    let dir = tempfile::tempdir().unwrap();
    let (der, certificate, key) = made();
    write(&dir, &certificate, &key);
    let certificates = Certificates::read(dir.path().join("certificate.pem"), dir.path().join("key.pem"));
    let certificates = Arc::new(certificates.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let says =
        async |Extension(arrived): Extension<Arrived>| format!("tls {} from {}", arrived.tls, arrived.peer);
    let router = Router::new().route("/", get(says));
    let acceptor = acceptor(Arc::clone(&certificates)).unwrap();
    tokio::spawn(listen::serve(listener, Some(acceptor), router, stop.clone()));
    (World { dir, certificates, address, _stop: stop.drop_guard() }, der)
}

impl World {
    /// Connects as one who trusts only this certificate.
    async fn connect(
        &self,
        trusted: &CertificateDer<'static>,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

#[tokio::test]
async fn requests_are_served_over_tls_1_2_and_1_3_and_known_to_be() {
    let (world, der) = world().await;
    for (version, known) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut stream = world.connect(&der, &[version], "http/1.1").await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(known));
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("tls true from 127.0.0.1"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn http_2_is_spoken_with_who_asks_for_it() {
    let (world, der) = world().await;
    let stream = world.connect(&der, &[&TLS13], "h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://localhost/").body(axum::body::Body::empty()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
    drop((client, answer));
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_certificate_read_again_serves_the_next_connection_and_a_broken_one_leaves_the_old() {
    let (world, old) = world().await;
    let connects =
        async |trusted: &CertificateDer<'static>| world.connect(trusted, &[&TLS13], "h2").await.is_ok();
    let (new, certificate, key) = made();
    let (_, _, other_key) = made();
    assert!(connects(&old).await && !connects(&new).await);
    for (certificate, key) in
        [(certificate.as_str(), "broken"), ("", key.as_str()), (&certificate, &other_key)]
    {
        write(&world.dir, certificate, key);
        assert!(world.certificates.reload().is_err());
        assert!(connects(&old).await);
    }
    write(&world.dir, &certificate, &key);
    world.certificates.reload().unwrap();
    assert!(connects(&new).await && !connects(&old).await);
}

#[tokio::test]
async fn who_does_not_speak_tls_is_not_served() {
    let (world, _) = world().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset says the same as an end.
    drop(stream.read_to_end(&mut answer).await);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_finish_the_handshake_is_hung_up_on() {
    let (world, _) = world().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() && begun.elapsed() >= listen::HANDSHAKE);
}
