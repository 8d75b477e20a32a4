use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

/// What a scripted relay does at a command it knows.
#[derive(Debug, Clone, Copy)]
enum Act {
    Say(&'static str),
    Close,
    Hang,
}

/// A relay on loopback that answers as usual, but for the script: the first act whose word begins the line. `.` is
/// the end of a letter. Keeps what it was told; `+` is a new connection.
async fn relay(script: &'static [(&'static str, Act)]) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            hearing.lock().unwrap().push("+".to_owned());
            tokio::spawn(converse(stream, script, Arc::clone(&hearing)));
        }
    });
    (port, heard)
}

async fn converse(
    stream: tokio::net::TcpStream,
    script: &[(&str, Act)],
    heard: Arc<Mutex<Vec<String>>>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::from("+");
    let mut in_letter = false;
    loop {
        let usual = match line.split([' ', ':']).next().unwrap_or_default() {
            "+" => "220 relay.example.org ready",
            "EHLO" => "250-relay.example.org\r\n250 AUTH PLAIN LOGIN",
            "DATA" => "354 go on",
            "." => "250 2.0.0 queued as 7",
            "AUTH" => "235 2.7.0 welcome",
            _ => "250 2.0.0 fine",
        };
        if !in_letter || line == "." {
            let act = script.iter().find(|(word, _)| line.starts_with(word)).map(|(_, act)| *act);
            match act.unwrap_or(Act::Say(usual)) {
                Act::Say(said) => {
                    stream.write_all(format!("{said}\r\n").as_bytes()).await?;
                    in_letter = said.starts_with("354");
                }
                Act::Close => return Ok(()),
                Act::Hang => std::future::pending().await,
            }
        }
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        assert!(line.ends_with("\r\n") && !line.trim_end_matches("\r\n").contains('\r'), "{line:?}");
        line.truncate(line.len() - 2);
        heard.lock().unwrap().push(line.clone());
    }
}

fn settings(relay: Option<Relay>) -> MailSettings {
    MailSettings {
        reply_to: None,
        bounces: None,
        lang: Lang::En,
        dkim: Vec::new(),
        relay,
        from_name: "Sonnette\r\nBcc: all@example.org\0".to_owned(),
        from_address: "notify@example.org".to_owned(),
        domain: "sonnette.example.org".to_owned(),
        maildir: PathBuf::new(),
    }
}

/// Noon on 1 December 2026.
#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> i64 {
        1_796_126_400_000
    }
}

fn mailer(port: u16) -> Mailer {
    let relay =
        Relay { host: "127.0.0.1".to_owned(), port, tls: RelayTls::None, authorities: None, login: None };
    Mailer::with(settings(Some(relay)), MailLimits::default(), Arc::new(Noon)).unwrap()
}

fn letter() -> Letter {
    Letter {
        return_path: None,
        to: "ada@example.org".to_owned(),
        subject: "Déploiement réussi".to_owned(),
        text: "Bonjour\n.\nà bientôt".to_owned(),
        html: "<p>Bonjour</p>".to_owned(),
        message_id: "4711".to_owned(),
        headers: vec![
            ("Auto-Submitted".to_owned(), "auto-generated".to_owned()),
            ("List-Unsubscribe".to_owned(), format!("<https://example.org/{}>", "t".repeat(200))),
        ],
    }
}

#[tokio::test]
async fn a_letter_the_relay_takes_is_accepted_in_its_words() {
    let (port, heard) = relay(&[]).await;
    let mailer = mailer(port);
    assert_eq!(mailer.mail(&letter()).await, Posted::Accepted("250 2.0.0 queued as 7".to_owned()));
    let heard = heard.lock().unwrap().clone();
    let has = |line: &str| assert!(heard.iter().any(|heard| heard == line), "{line}: {heard:#?}");
    has("EHLO sonnette.example.org");
    has("MAIL FROM:<notify@example.org>");
    has("RCPT TO:<ada@example.org>");
    has("To: ada@example.org");
    has("Message-ID: <4711@sonnette.example.org>");
    has("Auto-Submitted: auto-generated");
    has(&format!("List-Unsubscribe: <https://example.org/{}>", "t".repeat(200)));
    assert!(heard.iter().any(|line| line.starts_with("Content-Type: multipart/alternative")));
    has("Date: Tue, 01 Dec 2026 12:00:00 +0000");
    assert!(!heard.iter().any(|line| line.starts_with("Bcc")), "{heard:#?}");
    assert!(heard.iter().all(|line| line.is_ascii()));
}

#[tokio::test]
async fn letters_share_a_connection_and_one_closed_meanwhile_is_replaced() {
    let (port, heard) = relay(&[]).await;
    let steady = mailer(port);
    for _ in 0..LETTERS_A_LINE + 1 {
        assert!(matches!(steady.mail(&letter()).await, Posted::Accepted(_)));
    }
    let connections = || heard.lock().unwrap().iter().filter(|line| *line == "+").count();
    assert_eq!(connections(), 2);
    let (port, _) = relay(&[("RSET", Act::Close)]).await;
    let forgetful = mailer(port);
    for _ in 0..3 {
        assert!(matches!(forgetful.mail(&letter()).await, Posted::Accepted(_)));
    }
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_and_one_for_good_is_not() {
    let (port, _) = relay(&[("RCPT", Act::Say("451 4.7.1 greylisted"))]).await;
    assert_eq!(
        mailer(port).mail(&letter()).await,
        Posted::Again(Some(451), "451 4.7.1 greylisted".to_owned())
    );
    let (port, heard) = relay(&[("RCPT", Act::Say("550 5.1.1 no such user"))]).await;
    let strict = mailer(port);
    for _ in 0..2 {
        let refused = Posted::NoSuchAddress(550, "550 5.1.1 no such user".to_owned());
        assert_eq!(strict.mail(&letter()).await, refused);
    }
    let connections = heard.lock().unwrap().iter().filter(|line| *line == "+").count();
    assert_eq!(connections, 1, "the connection is good for the next letter");
    let (port, _) = relay(&[(".", Act::Say("554 5.7.1 looks like spam"))]).await;
    assert!(matches!(mailer(port).mail(&letter()).await, Posted::Refused(Some(554), _)));
}

#[tokio::test]
async fn a_connection_lost_before_the_answer_is_tried_again() {
    for script in [&[(".", Act::Close)][..], &[("DATA", Act::Close)], &[("+", Act::Close)]] {
        let (port, _) = relay(script).await;
        let lost = Posted::Again(None, "the relay closed the connection".to_owned());
        assert_eq!(mailer(port).mail(&letter()).await, lost, "{script:?}");
    }
}

#[tokio::test]
async fn a_relay_that_hangs_is_left_and_its_late_reply_is_nobodys() {
    let (port, _) = relay(&[(".", Act::Hang)]).await;
    let relay =
        Relay { host: "127.0.0.1".to_owned(), port, tls: RelayTls::None, authorities: None, login: None };
    let limits = MailLimits { total: Duration::from_millis(100), ..MailLimits::default() };
    let mailer = Mailer::with(settings(Some(relay)), limits, Arc::new(SystemClock)).unwrap();
    let late = Posted::Again(None, "no answer from the relay within 0 s".to_owned());
    assert_eq!(mailer.mail(&letter()).await, late);
    let Way::Relay(lines) = &mailer.way else { panic!() };
    assert_eq!(lines.idle.count(), 0);
}

#[tokio::test]
async fn what_the_operator_must_put_right_does_not_end_a_letter() {
    let login = Some(("me".to_owned(), Secret::new("hunter2")));
    for script in [
        &[("AUTH", Act::Say("535 5.7.8 wrong password"))][..],
        &[("+", Act::Say("554 5.7.1 no service"))],
        &[("MAIL", Act::Say("530 5.7.0 sign in first"))],
    ] {
        let (port, _) = relay(script).await;
        let relay = Relay {
            host: "127.0.0.1".to_owned(),
            port,
            tls: RelayTls::None,
            authorities: None,
            login: login.clone(),
        };
        let mailer = Mailer::new(settings(Some(relay))).unwrap();
        let posted = mailer.mail(&letter()).await;
        assert!(matches!(&posted, Posted::Again(Some(_), _)), "{posted:?}");
        assert!(!format!("{posted:?} {mailer:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_relay_without_starttls_gets_no_letter_where_it_is_asked_for() {
    let (port, heard) = relay(&[]).await;
    let relay =
        Relay { host: "127.0.0.1".to_owned(), port, tls: RelayTls::StartTls, authorities: None, login: None };
    let posted = Mailer::new(settings(Some(relay))).unwrap().mail(&letter()).await;
    assert!(matches!(&posted, Posted::Again(None, words) if words.contains("STARTTLS")), "{posted:?}");
    assert!(!heard.lock().unwrap().iter().any(|line| line.starts_with("MAIL")));
}

#[tokio::test]
async fn no_text_of_a_letter_becomes_a_command_or_a_header() {
    let (port, heard) = relay(&[]).await;
    let mut letter = letter();
    letter.subject = "One\r\nBcc: all@example.org\u{202e}\u{200f}\u{61c}\u{feff}\0".to_owned();
    letter.text = "a\r.\r\nb\n.\n\0c\r\n.\r\nMAIL FROM:<x@y.z>".to_owned();
    letter.html = letter.text.clone();
    letter.message_id = "1>\r\nBcc: x@y.z".to_owned();
    assert!(matches!(mailer(port).mail(&letter).await, Posted::Accepted(_)));
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.iter().filter(|line| *line == ".").count(), 1);
    assert!(!heard.iter().any(|line| line.starts_with("Bcc")), "{heard:#?}");
    assert!(heard.iter().any(|line| line == "Subject: One  Bcc: all@example.org"), "{heard:#?}");
}

#[test]
fn a_dot_that_begins_a_line_is_doubled_and_the_letter_ends_once() {
    assert_eq!(stuffed(b".a\r\n.\r\nb.\r\n\r\n"), "..a\r\n..\r\nb.\r\n\r\n.\r\n");
    assert_eq!(stuffed(b"a\n.\nb\r.\rc"), "a\r\n..\r\nb.c\r\n.\r\n", "no line end but ours");
}

#[tokio::test]
async fn a_letter_that_cannot_be_written_is_refused_without_a_word_to_the_relay() {
    let (port, heard) = relay(&[]).await;
    let wrong_header = |name: &str, value: &str| {
        let mut letter = letter();
        letter.headers.push((name.to_owned(), value.to_owned()));
        letter
    };
    let to = |to: &str| Letter { to: to.to_owned(), ..letter() };
    for letter in [
        to(""),
        to("nobody"),
        to("a b@example.org"),
        to("ada@example.org>\r\nRCPT TO:<x@y.z"),
        to("é@example.org"),
        wrong_header("X-A", "one\r\nBcc: x@y.z"),
        wrong_header("X A", "one"),
        wrong_header("Bcc", "x@y.z"),
        wrong_header("X-A", "é"),
    ] {
        assert!(matches!(mailer(port).mail(&letter).await, Posted::Refused(None, _)), "{letter:?}");
    }
    assert!(heard.lock().unwrap().is_empty());
    assert_eq!(address("ada@bücher.example").unwrap().to_string(), "ada@xn--bcher-kva.example");
}

#[tokio::test]
async fn without_a_relay_a_letter_is_a_file_and_a_repeat_the_same_file() {
    let data = tempfile::tempdir().unwrap();
    let mailer = Mailer::new(MailSettings { maildir: data.path().join("mail"), ..settings(None) }).unwrap();
    for _ in 0..2 {
        assert_eq!(mailer.mail(&letter()).await, Posted::Written("mail/new/4711.eml".to_owned()));
    }
    let written = std::fs::read_to_string(data.path().join("mail/new/4711.eml")).unwrap();
    assert!(
        written.contains("\nMessage-ID: <4711@sonnette.example.org>\n") && !written.contains('\r'),
        "{written}"
    );
    assert_eq!(std::fs::read_dir(data.path().join("mail/new")).unwrap().count(), 1);
}
