//! Where a command's words go, and who can be asked.

use std::io::{self, BufRead, IsTerminal, Write};

use serde_json::Value;

use super::failure::Failure;
use super::table;

/// Longest answer read from a person, in bytes.
const MAX_ANSWER: u64 = 1024;

/// Standard output for results, standard error for remarks, and a person at the keyboard, if there is one.
pub struct Terminal {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    person: Option<Box<dyn BufRead>>,
    /// Results as JSON, one document a line.
    pub json: bool,
    /// Remarks that explain.
    pub verbose: bool,
}

impl Terminal {
    /// The process's own. A person is there if both the keyboard and standard error are a terminal.
    pub fn standard(json: bool, verbose: bool) -> Self {
        let interactive = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            person: interactive.then(|| Box::new(io::BufReader::new(io::stdin())) as Box<dyn BufRead>),
            json,
            verbose,
        }
    }

    /// Prints lines of the result.
    ///
    /// # Errors
    /// If standard output does not take them.
    pub fn say(&mut self, lines: &str) -> Result<(), Failure> {
        writeln!(self.out, "{lines}")?;
        self.out.flush()?;
        Ok(())
    }

    /// Prints a result: the value itself for scripts, `lines` for people.
    ///
    /// # Errors
    /// If standard output does not take it.
    pub fn result(&mut self, value: &Value, lines: impl FnOnce() -> String) -> Result<(), Failure> {
        let lines = if self.json { table::json_line(value) } else { lines() };
        self.say(&lines)
    }

    /// Prints a remark on standard error.
    ///
    /// # Errors
    /// If standard error does not take it.
    pub fn note(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.err, "{line}")?;
        Ok(())
    }

    /// Asks the person: the first letter of the answer in lower case. `None` if there is nobody.
    ///
    /// # Errors
    /// If the question cannot be written or the answer not be read.
    pub fn ask(&mut self, question: &str) -> Result<Option<char>, Failure> {
        let Some(person) = &mut self.person else { return Ok(None) };
        write!(self.err, "{question} ")?;
        self.err.flush()?;
        let mut answer = Vec::new();
        io::Read::take(person, MAX_ANSWER).read_until(b'\n', &mut answer)?;
        let first = String::from_utf8_lossy(&answer).trim().chars().next().unwrap_or('n');
        Ok(Some(first.to_ascii_lowercase()))
    }

    /// Says what will stop, then goes on only with `yes` or the person's word.
    ///
    /// # Errors
    /// [`Failure::Usage`] if there is nobody to ask, [`Failure::Failed`] if the person says no.
    pub fn confirm(&mut self, yes: bool, what_stops: &str) -> Result<(), Failure> {
        self.note(what_stops)?;
        if yes {
            return Ok(());
        }
        match self.ask("Go on? [y/N]")? {
            Some('y') => Ok(()),
            Some(_) => Err(Failure::Failed("nothing was changed".into())),
            None => Err(Failure::Usage("nobody is there to be asked: say --yes to go on".into())),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What a test saw printed.
    #[derive(Clone, Default)]
    pub struct Screen(Rc<RefCell<Vec<u8>>>);

    impl Screen {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A terminal with a screen for results and one for remarks, and a person who gives `answers`.
    pub fn terminal(json: bool, answers: Option<&'static str>) -> (Terminal, Screen, Screen) {
        let (out, err) = (Screen::default(), Screen::default());
        let person = answers.map(|text| Box::new(text.as_bytes()) as Box<dyn BufRead>);
        let terminal =
            Terminal { out: Box::new(out.clone()), err: Box::new(err.clone()), person, json, verbose: true };
        (terminal, out, err)
    }

    #[test]
    fn nothing_is_removed_without_a_yes() {
        let (mut nobody, ..) = terminal(false, None);
        assert_eq!(nobody.confirm(false, "all of it").unwrap_err().exit_code(), 2);
        assert!(nobody.confirm(true, "all of it").is_ok());
        let (mut person, _, err) = terminal(false, Some("y\nn\n\n"));
        assert!(person.confirm(false, "all of it").is_ok());
        assert_eq!(person.confirm(false, "all of it").unwrap_err().exit_code(), 1);
        assert_eq!(person.confirm(false, "all of it").unwrap_err().exit_code(), 1, "silence is no");
        assert!(err.text().starts_with("all of it\nGo on? [y/N] "), "{}", err.text());
    }
}
