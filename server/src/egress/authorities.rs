//! Certificate authorities of the house: they vouch for a relay as the public ones do, and for nothing else.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// Authorities, and where they were read.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities {
    file: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({} of {})", self.certificates.len(), self.file.display())
    }
}

impl Authorities {
    /// The certificates of a file, each of which can vouch for others.
    ///
    /// # Errors
    /// In words, if one cannot.
    pub fn new(file: PathBuf, certificates: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for (at, certificate) in certificates.iter().enumerate() {
            roots.add(certificate.clone()).map_err(|error| {
                format!("{}: certificate {} cannot be used: {error}", file.display(), at + 1)
            })?;
        }
        Ok(Self { file, certificates })
    }

    /// The file they are of.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Each by itself.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}
