//! How a command ends when it does not end well, and the exit code that says so.

use std::fmt;
use std::io;

use super::table::clean;

/// What the exit codes mean, as `--help` says it.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused by the server, or failed
  2  the command line is wrong, or lacks an answer
  3  the server cannot be reached
  4  not allowed (no token, a wrong one, or one that may not)
  5  not found
 75  not now, try again (`bounce` alone, as mail servers read it)

Results go to standard output, remarks to standard error.";

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line does not say enough, or says something wrong.
    #[error("{0}")]
    Usage(String),
    /// The server answers, but not with a 2xx.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Nobody answers, or not in time.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// The server's URL.
        server: String,
        /// In words.
        why: String,
    },
    /// It did not work, and whoever started us is to try again with the same input (`EX_TEMPFAIL` of `sysexits.h`).
    #[error("{0}")]
    Again(Box<Failure>),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
    /// Standard output or standard error does not take what we write.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit code, as [`EXIT_CODES`] explains it.
    pub fn exit_code(&self) -> u8 {
        match self {
            // The reader of a pipe who has seen enough (`| head`) is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Again(_) => 75,
            Self::Refused(problem) => match problem.status {
                401 | 403 => 4,
                404 => 5,
                _ => 1,
            },
            Self::Failed(_) | Self::Output(_) => 1,
        }
    }

    /// Whether there is something to tell a person.
    pub fn is_silent(&self) -> bool {
        self.exit_code() == 0
    }
}

/// What a server says when it refuses: RFC 9457 where it speaks it, else its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// In words; never empty.
    pub detail: String,
    /// The path of what is wrong.
    pub field: Option<String>,
    /// Seconds after which it is worth another try.
    pub retry_after: Option<u64>,
    /// What the person at the command line could do.
    pub hint: Option<&'static str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(&self.detail))?;
        if let Some(field) = &self.field {
            write!(f, " ({})", clean(field))?;
        }
        if let Some(hint) = self.hint {
            write!(f, "\n{hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Failure {
        Failure::Refused(Box::new(Problem {
            status,
            detail: "no".into(),
            field: None,
            retry_after: None,
            hint: None,
        }))
    }

    #[test]
    fn exit_codes_say_what_happened() {
        let io = |kind| Failure::Output(io::Error::from(kind));
        let unreachable = Failure::Unreachable { server: String::new(), why: String::new() };
        for (failure, code) in [
            (Failure::Usage(String::new()), 2),
            (Failure::Failed(String::new()), 1),
            (unreachable, 3),
            (refused(400), 1),
            (refused(401), 4),
            (refused(403), 4),
            (refused(404), 5),
            (refused(409), 1),
            (refused(503), 1),
            (io(io::ErrorKind::StorageFull), 1),
            (io(io::ErrorKind::BrokenPipe), 0),
        ] {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }

    #[test]
    fn a_problem_names_the_field_and_cannot_drive_the_terminal() {
        let problem = Problem {
            status: 400,
            detail: "not\u{1b}[2Jgood".into(),
            field: Some("urls[0].url".into()),
            retry_after: None,
            hint: None,
        };
        assert_eq!(problem.to_string(), "not\u{fffd}[2Jgood (urls[0].url)");
    }
}
