//! Letters as files, where no relay is set: a Maildir (`tmp`, `new`, `cur`), which mail programs can open.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A Maildir. Its methods wait for the disk: call them where that is allowed.
#[derive(Debug)]
pub struct Maildir {
    path: PathBuf,
    /// Tells two writers of the same letter apart while they write.
    writers: AtomicU64,
}

/// What one slice of tidying did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Letters erased.
    pub letters: usize,
    /// Whether there may be more to erase.
    pub more: bool,
}

impl Maildir {
    /// Opens a Maildir, making it if need be, readable to its owner only: letters hold links that let people in.
    ///
    /// # Errors
    /// If a directory cannot be made.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        for part in ["tmp", "new", "cur"] {
            DirBuilder::new().recursive(true).mode(0o700).create(path.join(part))?;
        }
        Ok(Self { path, writers: AtomicU64::new(0) })
    }

    /// Writes a letter and waits until it is on disk. The same `id` again takes the place of what was written before.
    /// Gives its path below the directory the Maildir is in.
    ///
    /// # Errors
    /// If the disk fails or is full, or `id` is no plain file name.
    pub fn write(&self, id: &str, letter: &[u8]) -> io::Result<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if id.is_empty() || id.len() > 200 || id.starts_with('.') || !id.bytes().all(plain) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the letter's id is no plain file name"));
        }
        let name = format!("{id}.eml");
        let writer = self.writers.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.path.join("tmp").join(format!("{id}.{}.{writer}", std::process::id()));
        let outcome = self.place(&unfinished, &name, letter);
        if outcome.is_err() {
            // What is left of it is erased by age otherwise.
            let _ = fs::remove_file(&unfinished);
        }
        outcome?;
        let shown = self.path.file_name().map_or_else(PathBuf::new, PathBuf::from);
        Ok(shown.join("new").join(name))
    }

    fn place(&self, unfinished: &Path, name: &str, letter: &[u8]) -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
        file.write_all(letter)?;
        file.sync_all()?;
        let new = self.path.join("new");
        fs::rename(unfinished, new.join(name))?;
        File::open(new)?.sync_all()
    }

    /// Erases at most `most` letters last written before `before`.
    ///
    /// # Errors
    /// If the directories cannot be read.
    pub fn purge(&self, before: SystemTime, most: usize) -> io::Result<Purged> {
        let mut purged = Purged::default();
        for part in ["tmp", "new", "cur"] {
            for entry in fs::read_dir(self.path.join(part))? {
                let entry = entry?;
                // A mail program may have moved or erased it meanwhile.
                let Ok(meta) = entry.metadata() else { continue };
                if !meta.is_file() || meta.modified()? >= before {
                    continue;
                }
                if purged.letters == most {
                    purged.more = true;
                    return Ok(purged);
                }
                if fs::remove_file(entry.path()).is_ok() {
                    purged.letters += 1;
                }
            }
        }
        Ok(purged)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn fresh() -> (tempfile::TempDir, Maildir) {
        let data = tempfile::tempdir().unwrap();
        let maildir = Maildir::open(data.path().join("mail")).unwrap();
        (data, maildir)
    }

    #[test]
    fn a_letter_written_again_takes_the_place_of_the_first() {
        let (data, maildir) = fresh();
        let first = maildir.write("41", b"first").unwrap();
        let second = maildir.write("41", b"second").unwrap();
        assert_eq!(first, second);
        assert_eq!(first, PathBuf::from("mail/new/41.eml"));
        assert_eq!(fs::read(data.path().join(&first)).unwrap(), b"second");
        assert_eq!(fs::read_dir(data.path().join("mail/new")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(data.path().join("mail/tmp")).unwrap().count(), 0);
    }

    #[test]
    fn letters_are_readable_to_their_owner_only() {
        let (data, maildir) = fresh();
        let path = data.path().join(maildir.write("41", b"x").unwrap());
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(data.path().join("mail/new")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn an_id_that_is_no_plain_file_name_is_refused() {
        let (_data, maildir) = fresh();
        for id in ["", "../41", "a/b", ".hidden", "a:b", "a\0b", &"x".repeat(201)] {
            assert_eq!(maildir.write(id, b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput, "{id:?}");
        }
    }

    #[test]
    fn old_letters_go_in_slices_and_young_ones_stay() {
        let (data, maildir) = fresh();
        let day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
        for id in 0..5 {
            let path = data.path().join(maildir.write(&id.to_string(), b"x").unwrap());
            let written = if id < 3 { day(10) } else { day(20) };
            File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
        }
        let before = day(15);
        assert_eq!(maildir.purge(before, 2).unwrap(), Purged { letters: 2, more: true });
        assert_eq!(maildir.purge(before, 2).unwrap(), Purged { letters: 1, more: false });
        assert_eq!(maildir.purge(before, 2).unwrap(), Purged::default());
        assert_eq!(fs::read_dir(data.path().join("mail/new")).unwrap().count(), 2);
    }
}
