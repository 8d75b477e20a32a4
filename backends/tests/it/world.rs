//! A store in a directory of its own.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use sonnette_backends::conformance::Harness;
use sonnette_backends::sqlite::{self, OpenError, Settings, Sqlite};
use sonnette_core::catalogue::Catalogue;
use sonnette_core::ports::{Luck, Store};
use sonnette_core::secret::Sealer;
use sonnette_core::stops::LetterRules;

/// Numbers that never come twice.
pub struct Counting(AtomicU64);

impl Luck for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = n.get(at).copied().unwrap_or_default();
        }
    }
}

pub static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(Catalogue::builtin().unwrap()));

/// Opens the store in a directory.
pub fn open(dir: &Path) -> Result<Arc<Sqlite>, OpenError> {
    open_with(dir, LetterRules::default())
}

/// Opens the store in a directory with these rules for letters.
pub fn open_with(dir: &Path, letters: LetterRules) -> Result<Arc<Sqlite>, OpenError> {
    let luck = Arc::new(Counting(AtomicU64::new(1)));
    let settings = Settings { letters, ..Settings::default() };
    sqlite::open(dir, settings, Sealer::new(&[7; 32]), Arc::clone(&CATALOGUE), luck)
}

/// The bytes of every file in a directory.
pub fn bytes_of(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(dir).unwrap() {
        all.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    all
}

/// The suite's harness.
pub struct OnDisk(tempfile::TempDir);

impl OnDisk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Harness for OnDisk {
    fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&CATALOGUE)
    }

    fn open(&self, letters: LetterRules) -> Arc<dyn Store> {
        open_with(self.0.path(), letters).unwrap()
    }

    fn at_rest(&self) -> Vec<u8> {
        bytes_of(self.0.path())
    }
}
