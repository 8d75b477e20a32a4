//! A certificate renewed under the real program.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::program::{BINARY, LIMIT};

/// Puts a new certificate into place, which signs itself.
fn renew(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Connects as one who trusts only this certificate; `None` if another is shown.
async fn connect(to: SocketAddr, trusted: &CertificateDer<'static>) -> Option<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let stream = TcpStream::connect(to).await.unwrap();
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_hangup_the_program_shows_the_new_certificate_and_connections_under_way_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let old = renew(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let config = dir.path().join("sonnette.toml");
    let tls = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", file("certificate.pem"), file("key.pem"));
    std::fs::write(&config, tls).unwrap();
    let mut child = Command::new(BINARY)
        .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--config"])
        .arg(&config)
        .arg("--data")
        .arg(dir.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it gets ready");
            if let Some(address) = line.strip_prefix("listening on https://") {
                return address.parse::<SocketAddr>().unwrap();
            }
        }
    };
    let address = timeout(LIMIT, ready).await.expect("ready in time");
    let mut under_way = connect(address, &old).await.expect("the certificate it started with");

    let new = renew(dir.path());
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().await.unwrap().success());
    let renewed = async { while connect(address, &new).await.is_none() {} };
    timeout(LIMIT, renewed).await.expect("the new certificate is shown in time");
    assert!(connect(address, &old).await.is_none(), "and the old one no more");
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    under_way.write_all(request).await.unwrap();
    let mut answer = String::new();
    timeout(LIMIT, under_way.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
}
