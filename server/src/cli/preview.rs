//! `preview`: what would be sent, read from the server for what it holds, and made here for samples.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sonnette_core::formats;
use sonnette_core::ids::{EventId, HookId};
use sonnette_core::lang::Lang;
use sonnette_core::secret::Secret;

use super::client::{Access, Client};
use super::failure::Failure;
use super::list;
use super::table::clean;
use super::terminal::Terminal;

/// What would be sent
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("what").args(["kind", "event", "hook"]).multiple(true).required(true)))]
pub struct PreviewArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// The sample of this kind, such as DEPLOYMENT_FAIL
    pub kind: Option<String>,
    /// A stored event instead: `evt_…` (asks the server)
    #[arg(long, conflicts_with = "kind")]
    pub event: Option<EventId>,
    /// As this hook tells it: `hook_…` (asks the server)
    #[arg(long, conflicts_with_all = ["format", "url", "fields"])]
    pub hook: Option<HookId>,
    /// In this format; `email` is a letter
    #[arg(long, value_parser = format_names(), default_value = "raw")]
    pub format: String,
    /// Where it would be posted to
    #[arg(long)]
    pub url: Option<String>,
    /// What the format needs besides, `name=value`; can be repeated
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = take_field)]
    pub fields: Vec<Field>,
    /// The language of a letter [default: the configuration's]
    #[arg(long, value_parser = languages())]
    pub lang: Option<String>,
    /// The configuration file, for samples
    #[arg(long, value_name = "FILE", env = "SONNETTE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Results as JSON.
    #[arg(from_global)]
    pub json: bool,
}

/// `mail preview`.
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("letters").args(["kinds", "all", "event"]).required(true)))]
pub struct MailPreviewArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// The samples of these kinds
    #[arg(value_name = "KIND")]
    pub kinds: Vec<String>,
    /// The samples of all kinds
    #[arg(long, conflicts_with = "kinds")]
    pub all: bool,
    /// A stored event instead: `evt_…` (asks the server)
    #[arg(long, conflicts_with_all = ["kinds", "all"])]
    pub event: Option<EventId>,
    /// The language of the letters [default: the configuration's]
    #[arg(long, value_parser = languages())]
    pub lang: Option<String>,
    /// The directory they are written into, two files each; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The configuration file, for samples
    #[arg(long, value_name = "FILE", env = "SONNETTE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Results as JSON.
    #[arg(from_global)]
    pub json: bool,
}

fn format_names() -> clap::builder::PossibleValuesParser {
    let formats = formats::FORMATS.iter().map(|format| format.name);
    formats.chain([crate::flow::preview::EMAIL]).collect::<Vec<_>>().into()
}

fn languages() -> clap::builder::PossibleValuesParser {
    Lang::ALL.iter().map(|lang| lang.as_str()).collect::<Vec<_>>().into()
}

/// Something a format takes besides the URL. Without a `=` all of it is the value: the one to say that no field has an
/// empty name repeats nothing of it.
#[derive(Debug, Clone)]
pub struct Field {
    name: String,
    value: Secret,
}

/// Takes any text: the parser of command lines prints the values it refuses, and this may be a credential.
fn take_field(text: &str) -> Result<Field, Infallible> {
    let (name, value) = text.split_once('=').unwrap_or(("", text));
    Ok(Field { name: name.to_owned(), value: Secret::new(value) })
}

impl PreviewArgs {
    /// Whether it is about something only the server knows.
    pub(super) fn asks_the_server(&self) -> bool {
        self.event.is_some() || self.hook.is_some()
    }

    /// The body of `POST /preview`.
    pub fn asked(&self) -> Value {
        let mut body = Map::new();
        let mut say = |name: &str, value: Option<String>| {
            body.extend(value.map(|value| (name.to_owned(), Value::from(value))));
        };
        say("kind", self.kind.clone());
        say("event", self.event.map(|id| id.to_string()));
        say("hook", self.hook.map(|id| id.to_string()));
        say("lang", self.lang.clone());
        if self.hook.is_none() {
            say("format", Some(self.format.clone()));
            say("url", self.url.clone());
            if !self.fields.is_empty() {
                let pair = |field: &Field| (field.name.clone(), field.value.expose().into());
                let fields = self.fields.iter().map(pair);
                body.insert("fields".to_owned(), Value::Object(fields.collect()));
            }
        }
        Value::Object(body)
    }
}

impl MailPreviewArgs {
    /// Whether it is about something only the server knows.
    pub(super) fn asks_the_server(&self) -> bool {
        self.event.is_some()
    }
}

/// A preview as the API shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Preview {
    destination_id: Option<String>,
    request: Option<Request>,
    letter: Option<Letter>,
}

#[derive(Debug, Deserialize)]
struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Debug, Deserialize)]
struct Letter {
    subject: String,
    headers: Vec<(String, String)>,
    text: String,
    html: String,
    eml: String,
}

/// A text of several lines that cannot drive the terminal.
pub(super) fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

impl Preview {
    /// As it goes over the wire, for people.
    pub(super) fn page(&self) -> String {
        let line = |(name, value): &(String, String)| clean(&format!("{name}: {value}"));
        let (first, headers, body) = match (&self.request, &self.letter) {
            (Some(request), _) => {
                let first = clean(&format!("{} {}", request.method, request.url));
                (first, request.headers.iter().map(line).collect::<Vec<_>>(), &request.body)
            }
            (None, Some(letter)) => {
                let first = clean(&format!("Subject: {}", letter.subject));
                // Spelt for people above.
                let others = letter.headers.iter().filter(|(name, _)| name != "Subject");
                (first, others.map(line).collect(), &letter.text)
            }
            (None, None) => return String::new(),
        };
        format!("{first}\n{}\n\n{}", headers.join("\n"), clean_lines(body))
    }

    /// Which of a hook's destinations it is for.
    pub(super) fn heading(&self) -> Option<String> {
        self.destination_id.as_ref().map(|id| format!("# {}", clean(id)))
    }
}

/// Prints `{"items":[…]}`.
///
/// # Errors
/// If it is not what this version understands, or cannot be written.
pub(super) fn print(value: &Value, terminal: &mut Terminal) -> Result<(), Failure> {
    let items: Vec<Preview> = list::read(&value["items"])?;
    terminal.result(value, || {
        let several = items.len() > 1;
        let page = |preview: &Preview| match preview.heading().filter(|_| several) {
            Some(heading) => format!("{heading}\n{}", preview.page()),
            None => preview.page(),
        };
        items.iter().map(page).collect::<Vec<_>>().join("\n\n")
    })
}

/// Prints what was made without a server.
///
/// # Errors
/// As [`print`].
pub fn print_here(value: &Value, json: bool) -> Result<(), Failure> {
    print(value, &mut Terminal::standard(json, false))
}

/// Writes a letter as `NAME.eml` and `NAME.html`; gives their paths.
///
/// # Errors
/// If there is no letter, or the disk does not take it.
pub fn write(item: &Value, name: &str, out: &Path) -> Result<[PathBuf; 2], Failure> {
    let letter = list::read::<Preview>(item)?.letter;
    let letter = letter.ok_or_else(|| Failure::Failed("the server's reply is not understood".into()))?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let place = |ending: &str| out.join(format!("{name}.{ending}"));
    let paths = [place("eml"), place("html")];
    let write = || {
        std::fs::create_dir_all(out)?;
        std::fs::write(&paths[0], &letter.eml)?;
        std::fs::write(&paths[1], &letter.html)
    };
    write().map_err(|error: std::io::Error| {
        Failure::Failed(format!("cannot write into {}: {error}", out.display()))
    })?;
    Ok(paths)
}

/// Says what was written.
///
/// # Errors
/// If it cannot be said.
pub fn say_written(paths: &[PathBuf], json: bool) -> Result<(), Failure> {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    Terminal::standard(json, false).result(&json!({ "written": names }), || clean_lines(&names.join("\n")))
}

pub(super) async fn run(
    args: &PreviewArgs,
    client: &mut Client,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let answer = client.post("/preview", &args.asked()).await?;
    print(&answer.body, terminal)
}

pub(super) async fn run_mail(args: &MailPreviewArgs, client: &mut Client) -> Result<(), Failure> {
    let Some(event) = args.event else { return Ok(()) };
    let mut body = json!({"event": event.to_string(), "format": crate::flow::preview::EMAIL});
    if let Some(lang) = &args.lang {
        body["lang"] = lang.clone().into();
    }
    let answer = client.post("/preview", &body).await?;
    let paths = write(&answer.body["items"][0], &event.to_string(), &args.out)?;
    say_written(&paths, args.json)
}

#[cfg(test)]
mod tests {
    use super::super::terminal::tests::terminal;
    use super::super::tests::{Server, parse_as, refuses};
    use super::*;

    const EVENT: &str = "evt_0000000000001";
    const HOOK: &str = "hook_0000000000001";

    #[test]
    fn a_preview_is_of_a_kind_an_event_or_a_hook() {
        assert!(refuses("preview"));
        assert!(refuses(&format!("preview GIT_PUSH --event {EVENT}")));
        assert!(refuses(&format!("preview --hook {HOOK} --format slack")));
        assert!(refuses("preview GIT_PUSH --format fax"));
        assert!(refuses("preview GIT_PUSH --lang de"));
        for words in ["mail preview --out d", "mail preview --all", "mail preview --all GIT_PUSH --out d"] {
            assert!(refuses(words), "{words}");
        }
        let wrong: PreviewArgs = parse_as("preview GIT_PUSH --field hunter2");
        assert!(!format!("{wrong:?}").contains("hunter2"));
        let sample: PreviewArgs =
            parse_as("preview GIT_PUSH --format slack --url https://a.example/ --field a=b=c");
        assert!(!sample.asks_the_server());
        assert_eq!(
            sample.asked(),
            json!({"kind": "GIT_PUSH", "format": "slack", "url": "https://a.example/", "fields": {"a": "b=c"}})
        );
        let hook: PreviewArgs = parse_as(&format!("preview GIT_PUSH --hook {HOOK}"));
        assert!(hook.asks_the_server());
        assert_eq!(hook.asked(), json!({"kind": "GIT_PUSH", "hook": HOOK}));
    }

    #[tokio::test]
    async fn each_destination_is_shown_as_it_goes_over_the_wire_and_cannot_drive_the_terminal() {
        let request = |id: &str| {
            json!({"format": "raw", "destinationId": id, "request": {"method": "POST", "url": "https://a.example/x",
                   "headers": [["host", "a.example"], ["content-type", "application/json"]], "body": "{\"a\":\n\"\u{1b}[31m\"}"}})
        };
        let items = json!({"items": [request("dst_0000000000001"), request("dst_0000000000002")]});
        let server = Server::answering([(200, items)]).await;
        let args: PreviewArgs = parse_as(&format!("preview --event {EVENT} --hook {HOOK}"));
        let (mut terminal, out, _) = terminal(false, None);
        run(&args, &mut server.client(), &mut terminal).await.unwrap();
        assert_eq!(
            server.asked(),
            [("POST /api/v1/preview".to_owned(), json!({"event": EVENT, "hook": HOOK}))]
        );
        let one = "POST https://a.example/x\nhost: a.example\ncontent-type: application/json\n\n{\"a\":\n\"\u{fffd}[31m\"}";
        assert_eq!(out.text(), format!("# dst_0000000000001\n{one}\n\n# dst_0000000000002\n{one}\n"));
    }

    #[test]
    fn a_letter_is_written_as_two_files_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let letter = json!({"format": "email", "letter": {"to": "a@b.example", "subject": "s", "headers": [],
                            "text": "t", "html": "<p>", "eml": "Subject: s\r\n\r\nt"}});
        let paths = write(&letter, "../A B", &dir.path().join("new")).unwrap();
        assert_eq!(paths, ["---A-B.eml", "---A-B.html"].map(|name| dir.path().join("new").join(name)));
        assert_eq!(std::fs::read_to_string(&paths[0]).unwrap(), "Subject: s\r\n\r\nt");
        assert!(write(&json!({"format": "raw"}), "x", dir.path()).is_err());
    }
}
