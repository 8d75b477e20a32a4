//! TLS at the door: one certificate and its key from PEM files, read again when the operator says so.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

/// The largest file read.
const LARGEST: u64 = 1 << 20;

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Cannot be read.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Unreadable(PathBuf, std::io::Error),
    /// Is not PEM, or holds nothing of the kind.
    #[error("{path} does not hold a {what} in PEM", path = .0.display(), what = .1)]
    Nothing(PathBuf, &'static str),
    /// The two do not go together, or are of a kind we cannot use.
    #[error("{certificate} and {key} cannot be used together: {error}", certificate = .0.display(), key = .1.display(), error = .2)]
    Unusable(PathBuf, PathBuf, rustls::Error),
}

impl TlsError {
    /// Whether this file alone is wrong.
    pub fn is_about(&self, file: &Path) -> bool {
        matches!(self, Self::Unreadable(path, _) | Self::Nothing(path, _) if path == file)
    }
}

/// The certificate in use. Connections under way keep the one they began with.
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({}, {})", self.certificate.display(), self.key.display())
    }
}

impl Certificates {
    /// Reads the files: the chain, our own certificate first, and its private key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub fn read(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(load(&certificate, &key)?));
        Ok(Self { certificate, key, current })
    }

    /// Reads the files again. Every handshake from now on uses them.
    ///
    /// # Errors
    /// As [`Certificates::read`]; the certificate in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(load(&self.certificate, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Where it is, in words.
    pub fn says(&self) -> String {
        format!("certificate {}, key {}", self.certificate.display(), self.key.display())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What makes connections TLS: versions 1.2 and 1.3, for HTTP/2 and HTTP/1.1.
///
/// # Errors
/// If the cryptography does not know these versions, which it does.
pub fn acceptor(certificates: Arc<Certificates>) -> Result<TlsAcceptor, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_protocol_versions(&[&TLS13, &TLS12])?.with_no_client_auth();
    let mut config = config.with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?);
    let private = private.map_err(|_| TlsError::Nothing(key.to_owned(), "private key"))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider())
        .map_err(|error| TlsError::Unusable(certificate.to_owned(), key.to_owned(), error))
}

/// The certificates of a PEM file, one at least.
///
/// # Errors
/// If it cannot be read, holds none, or one of them is damaged.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    // A chain with a damaged part is no chain.
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(&bytes(path)?).collect::<Result<_, _>>().unwrap_or_default();
    if all.is_empty() { Err(TlsError::Nothing(path.to_owned(), "certificate")) } else { Ok(all) }
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| TlsError::Unreadable(path.to_owned(), error))
}

#[cfg(test)]
mod tests;
