//! The command line: one tree of commands, tables for people, JSON for scripts, exit codes that mean something.
//!
//! Commands that ask a running server speak its HTTP API, as anybody could, and live here, one file a noun. Those that are
//! the server (`serve`, `demo`, …) are only read here: [`run`] hands them to whoever can build one.

mod bounce;
pub(crate) mod client;
mod deliveries;
mod directory;
mod emit;
mod failure;
mod hooks;
mod import;
mod link;
mod list;
mod preview;
mod suppressions;
mod table;
mod terminal;
mod token;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use bounce::BounceArgs;
pub use deliveries::DeliveriesArgs;
pub use directory::{AddonArgs, AppArgs, OrgArgs, UserArgs};
pub use emit::EmitArgs;
pub use failure::{EXIT_CODES, Failure, Problem};
pub use hooks::HooksArgs;
pub use import::ImportArgs;
pub use link::LinkArgs;
pub use preview::{
    MailPreviewArgs, PreviewArgs, print_here as print_preview, say_written, write as write_letter,
};
pub use suppressions::SuppressionsArgs;
pub use token::TokenArgs;

use client::Access;
use terminal::Terminal;

/// Notifications of a platform: events in, e-mails, webhooks and a stream out.
#[derive(Debug, Parser)]
#[command(name = "sonnette", version, about, after_help = EXIT_CODES)]
#[command(propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Results as JSON, one document a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on standard error
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Show what it does: a server, a receiver and a story, in a temporary directory
    Demo(DemoArgs),
    /// Publish an event (needs an operator token)
    Emit(EmitArgs),
    /// Hooks: who is told of what, and where
    Hooks(HooksArgs),
    /// Show what would be sent: a kind's sample or a stored event, in any format or as a hook tells it
    Preview(PreviewArgs),
    /// Deliveries: what was sent, what waits, what failed; newest first
    Deliveries(DeliveriesArgs),
    /// Users: the people letters are written to
    User(UserArgs),
    /// Organisations, and who is in them
    Org(OrgArgs),
    /// Applications of an owner
    App(AppArgs),
    /// Add-ons of an owner
    Addon(AddonArgs),
    /// Tokens: operator tokens for the platform, pairs for people
    Token(TokenArgs),
    /// Addresses that are not written to any more, and why (needs an operator token)
    Suppressions(SuppressionsArgs),
    /// Take what came back by mail from standard input: a mail server pipes bounces and complaints into it
    Bounce(BounceArgs),
    /// Print a link that signs somebody in to the console (needs an operator token)
    Link(LinkArgs),
    /// Import users, organisations, members, applications and add-ons from a file of JSON lines
    Import(ImportArgs),
    /// Read the configuration and report every mistake in it
    CheckConfig(CheckConfigArgs),
    /// Look at what the server stands on: store, disk, relay, names, clock
    Doctor(DoctorArgs),
    /// Try the way letters go
    Mail(MailArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Where an installation keeps its things; what is left out is as the configuration or the defaults say.
#[derive(Debug, Clone, Args)]
pub struct Installation {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "SONNETTE_CONFIG")]
    pub config: Option<PathBuf>,
    /// The data directory
    #[arg(long, visible_alias = "data-dir", value_name = "DIR", env = "SONNETTE_DATA")]
    pub data: Option<PathBuf>,
}

/// `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Where its things are.
    #[command(flatten)]
    pub installation: Installation,
    /// The address to listen on [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDR", env = "SONNETTE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// For trying things on this machine: listen on loopback only, and let hooks post to loopback and private addresses
    #[arg(long)]
    pub dev: bool,
}

/// `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Tell the story once, check every delivery, and exit
    #[arg(long)]
    pub once: bool,
    /// Results as JSON.
    #[arg(from_global)]
    pub json: bool,
}

/// `check-config`.
#[derive(Debug, Clone, Args)]
pub struct CheckConfigArgs {
    /// Where its things are.
    #[command(flatten)]
    pub installation: Installation,
    /// Results as JSON.
    #[arg(from_global)]
    pub json: bool,
}

/// `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Where its things are.
    #[command(flatten)]
    pub installation: Installation,
    /// Results as JSON.
    #[arg(from_global)]
    pub json: bool,
}

/// `mail`.
#[derive(Debug, Clone, Args)]
pub struct MailArgs {
    #[command(subcommand)]
    verb: MailVerb,
}

#[derive(Debug, Clone, Subcommand)]
enum MailVerb {
    /// Send one letter now and say how it went
    Test(MailTestArgs),
    /// Write letters as .eml and .html files, to look at
    Preview(MailPreviewArgs),
}

/// `mail test`.
#[derive(Debug, Clone, Args)]
pub struct MailTestArgs {
    /// Whom to write to
    pub address: String,
    /// Where its things are.
    #[command(flatten)]
    pub installation: Installation,
    /// Results as JSON.
    #[arg(from_global)]
    pub json: bool,
}

/// The commands that are the server, or need its parts.
#[derive(Debug, Clone)]
pub enum ServerCommand {
    /// Run the server.
    Serve(ServeArgs),
    /// Show what it does.
    Demo(DemoArgs),
    /// Read the configuration.
    CheckConfig(CheckConfigArgs),
    /// Look at what it stands on.
    Doctor(DoctorArgs),
    /// Send one letter.
    MailTest(MailTestArgs),
    /// Show a sample.
    Preview(Box<PreviewArgs>),
    /// Write samples of letters.
    MailPreview(Box<MailPreviewArgs>),
}

/// Reads the process's command line and does what it says, [`run`]'s way.
pub fn main(server_side: impl FnOnce(ServerCommand) -> anyhow::Result<ExitCode>) -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => run(cli, server_side),
        Err(error) => {
            // Help and version come this way too, with exit code 0. A closed pipe is not worth a word.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

/// Does what a command line says. `server_side` gets the commands that need a server's parts; an error of it that is, or was
/// caused by, a [`Failure`] ends with that failure's exit code, any other with 1.
pub fn run(cli: Cli, server_side: impl FnOnce(ServerCommand) -> anyhow::Result<ExitCode>) -> ExitCode {
    let command = match split(cli.command) {
        Side::Server(command) => return server_side(command).unwrap_or_else(|error| server_failed(&error)),
        Side::Client(command) => command,
        Side::Completions(shell) => return completions(shell),
    };
    let mut terminal = Terminal::standard(cli.json, cli.verbose);
    match ask(&command, &mut terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let failure = command.fails_by(failure);
            if !failure.is_silent() {
                // If this cannot be written either, the exit code still says it.
                let _ = terminal.note(&format!("error: {failure}"));
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Who does a command.
enum Side {
    Server(ServerCommand),
    Client(Box<Asking>),
    Completions(Shell),
}

/// The commands that ask a running server.
enum Asking {
    Emit(EmitArgs),
    Hooks(HooksArgs),
    Preview(PreviewArgs),
    MailPreview(MailPreviewArgs),
    Deliveries(DeliveriesArgs),
    User(UserArgs),
    Org(OrgArgs),
    App(AppArgs),
    Addon(AddonArgs),
    Token(TokenArgs),
    Suppressions(SuppressionsArgs),
    Bounce(BounceArgs),
    Link(LinkArgs),
    Import(ImportArgs),
}

fn split(command: Command) -> Side {
    let asking = match command {
        Command::Serve(args) => return Side::Server(ServerCommand::Serve(args)),
        Command::Demo(args) => return Side::Server(ServerCommand::Demo(args)),
        Command::CheckConfig(args) => return Side::Server(ServerCommand::CheckConfig(args)),
        Command::Doctor(args) => return Side::Server(ServerCommand::Doctor(args)),
        Command::Mail(MailArgs { verb: MailVerb::Test(args) }) => {
            return Side::Server(ServerCommand::MailTest(args));
        }
        Command::Mail(MailArgs { verb: MailVerb::Preview(args) }) if args.asks_the_server() => {
            Asking::MailPreview(args)
        }
        Command::Mail(MailArgs { verb: MailVerb::Preview(args) }) => {
            return Side::Server(ServerCommand::MailPreview(Box::new(args)));
        }
        Command::Preview(args) if args.asks_the_server() => Asking::Preview(args),
        Command::Preview(args) => return Side::Server(ServerCommand::Preview(Box::new(args))),
        Command::Completions { shell } => return Side::Completions(shell),
        Command::Emit(args) => Asking::Emit(args),
        Command::Hooks(args) => Asking::Hooks(args),
        Command::Deliveries(args) => Asking::Deliveries(args),
        Command::User(args) => Asking::User(args),
        Command::Org(args) => Asking::Org(args),
        Command::App(args) => Asking::App(args),
        Command::Addon(args) => Asking::Addon(args),
        Command::Token(args) => Asking::Token(args),
        Command::Suppressions(args) => Asking::Suppressions(args),
        Command::Bounce(args) => Asking::Bounce(args),
        Command::Link(args) => Asking::Link(args),
        Command::Import(args) => Asking::Import(args),
    };
    Side::Client(Box::new(asking))
}

impl Asking {
    /// How a failure ends it. A mail server gives up what it pipes into us for any code it does not know: a wrong token is as
    /// good a reason to wait as a server that is away.
    fn fails_by(&self, failure: Failure) -> Failure {
        match self {
            Self::Bounce(_) => Failure::Again(Box::new(failure)),
            _ => failure,
        }
    }

    fn access(&self) -> &Access {
        match self {
            Self::Emit(args) => &args.access,
            Self::Hooks(args) => &args.access,
            Self::Preview(args) => &args.access,
            Self::MailPreview(args) => &args.access,
            Self::Deliveries(args) => &args.access,
            Self::User(args) => &args.access,
            Self::Org(args) => &args.access,
            Self::App(args) => &args.access,
            Self::Addon(args) => &args.access,
            Self::Token(args) => &args.access,
            Self::Suppressions(args) => &args.access,
            Self::Bounce(args) => &args.access,
            Self::Link(args) => &args.access,
            Self::Import(args) => &args.access,
        }
    }
}

/// Asks a running server, on this thread alone.
fn ask(command: &Asking, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut client = command.access().client(terminal)?;
    let (client, runtime) = (&mut client, tokio::runtime::Builder::new_current_thread().enable_all().build());
    let runtime = runtime.map_err(|error| Failure::Failed(format!("the runtime does not start: {error}")))?;
    runtime.block_on(async {
        match command {
            Asking::Emit(args) => emit::run(args, client, terminal).await,
            Asking::Hooks(args) => hooks::run(args, client, terminal).await,
            Asking::Preview(args) => preview::run(args, client, terminal).await,
            Asking::MailPreview(args) => preview::run_mail(args, client).await,
            Asking::Deliveries(args) => deliveries::run(args, client, terminal).await,
            Asking::User(args) => directory::user(args, client, terminal).await,
            Asking::Org(args) => directory::org(args, client, terminal).await,
            Asking::App(args) => directory::app(args, client, terminal).await,
            Asking::Addon(args) => directory::addon(args, client, terminal).await,
            Asking::Token(args) => token::run(args, client, terminal).await,
            Asking::Suppressions(args) => suppressions::run(args, client, terminal).await,
            Asking::Bounce(args) => bounce::run(args, client, terminal).await,
            Asking::Link(args) => link::run(args, client, terminal).await,
            Asking::Import(args) => import::run(args, client, terminal).await,
        }
    })
}

/// Prints lines of a result on standard output.
///
/// # Errors
/// If standard output does not take them; a reader who has seen enough is then no failure of the command.
pub fn say(lines: &str) -> Result<(), Failure> {
    Terminal::standard(false, false).say(lines)
}

fn server_failed(error: &anyhow::Error) -> ExitCode {
    let failure = error.downcast_ref::<Failure>();
    let code = failure.map_or(1, Failure::exit_code);
    if failure.is_some_and(Failure::is_silent) {
        return ExitCode::from(code);
    }
    let mut terminal = Terminal::standard(false, false);
    let _ = terminal.note(&format!("error: {}", table::clean(&format!("{error:#}"))));
    ExitCode::from(code)
}

fn completions(shell: Shell) -> ExitCode {
    // Into memory first: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sonnette", &mut script);
    match io::Write::write_all(&mut io::stdout(), &script).map_err(Failure::from) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.exit_code()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::body::Incoming;
    use hyper_util::rt::TokioIo;
    use serde_json::{Value, json};
    use sonnette_core::secret::Secret;
    use tokio::net::TcpListener;
    use url::Url;

    use super::client::Client;
    use super::*;

    fn parse(words: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["sonnette"].into_iter().chain(words.split_whitespace()))
    }

    /// Reads a command line that must be one of `T`'s.
    pub(super) fn parse_as<T: TryFrom<Command>>(words: &str) -> T {
        let command = parse(words).unwrap_or_else(|error| panic!("{words}: {error}")).command;
        T::try_from(command).unwrap_or_else(|_| panic!("{words}: another command"))
    }

    /// Whether a command line is refused as wrong.
    pub(super) fn refuses(words: &str) -> bool {
        parse(words).is_err_and(|error| error.exit_code() == 2)
    }

    macro_rules! commands {
        ($($variant:ident => $args:ty),+ $(,)?) => {$(
            impl TryFrom<Command> for $args {
                type Error = ();
                fn try_from(command: Command) -> Result<Self, ()> {
                    match command { Command::$variant(args) => Ok(args), _ => Err(()) }
                }
            }
        )+};
    }
    commands! {
        Serve => ServeArgs, Emit => EmitArgs, Hooks => HooksArgs, Deliveries => DeliveriesArgs, User => UserArgs,
        Org => OrgArgs, App => AppArgs, Addon => AddonArgs, Token => TokenArgs, Link => LinkArgs,
        Suppressions => SuppressionsArgs, Bounce => BounceArgs, Preview => PreviewArgs,
        Import => ImportArgs,
    }

    type Asked = Arc<Mutex<Vec<(String, Value)>>>;

    /// The API at the other end of a real socket: gives the replies it was told, in order, and remembers what was asked.
    pub(super) struct Server {
        url: Url,
        asked: Asked,
        authorized_by: Arc<Mutex<Option<String>>>,
    }

    impl Server {
        pub(super) async fn answering(replies: impl IntoIterator<Item = (u16, Value)>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
            let server = Self { url, asked: Asked::default(), authorized_by: Arc::default() };
            let replies: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(replies.into_iter().collect()));
            let (asked, authorized_by) = (Arc::clone(&server.asked), Arc::clone(&server.authorized_by));
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (replies, asked) = (Arc::clone(&replies), Arc::clone(&asked));
                    let authorized_by = Arc::clone(&authorized_by);
                    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                        let (replies, asked) = (Arc::clone(&replies), Arc::clone(&asked));
                        let authorized_by = Arc::clone(&authorized_by);
                        async move {
                            let (head, body) = request.into_parts();
                            let body = body.collect().await.unwrap().to_bytes();
                            let line = format!("{} {}", head.method, head.uri);
                            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                            asked.lock().unwrap().push((line, body));
                            let token = head.headers.get("authorization");
                            *authorized_by.lock().unwrap() =
                                token.map(|value| value.to_str().unwrap().to_owned());
                            let next = replies.lock().unwrap().pop_front();
                            let (status, body) = next.unwrap_or((500, json!({"detail": "not expected"})));
                            let body = if body.is_null() { String::new() } else { body.to_string() };
                            let reply = Response::builder().status(status).header("retry-after", "0");
                            Ok::<_, Infallible>(reply.body(Full::new(Bytes::from(body))).unwrap())
                        }
                    });
                    tokio::spawn(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service),
                    );
                }
            });
            server
        }

        pub(super) fn client(&self) -> Client {
            Client::new(self.url.clone(), Some(Secret::new("sop_hunter2")))
        }

        pub(super) fn asked(&self) -> Vec<(String, Value)> {
            self.asked.lock().unwrap().clone()
        }
    }

    #[test]
    fn the_tree_of_commands_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_tells_the_exit_codes() {
        let help = Cli::command().render_help().to_string();
        assert!(help.contains("not allowed") && help.contains("cannot be reached"), "{help}");
    }

    #[test]
    fn the_server_is_configured_by_its_own_flags() {
        let args: ServeArgs = parse_as("serve --config a.toml --data d --listen [::1]:1 --dev");
        assert_eq!(args.installation.config, Some("a.toml".into()));
        assert_eq!(args.installation.data, Some("d".into()));
        assert_eq!(args.listen, Some("[::1]:1".parse().unwrap()));
        assert!(args.dev);
        assert!(refuses("serve --listen nowhere"));
    }

    #[test]
    fn global_flags_reach_the_commands_of_the_server() {
        let Side::Server(ServerCommand::Doctor(doctor)) = split(parse("doctor --json").unwrap().command)
        else {
            panic!("another command")
        };
        assert!(doctor.json);
        let Side::Server(ServerCommand::MailTest(test)) = split(parse("mail test a@b.c").unwrap().command)
        else {
            panic!("another command")
        };
        assert!(!test.json);
    }

    #[test]
    fn ids_that_are_none_are_refused_before_anybody_is_asked() {
        for words in [
            "hooks show hook_1",
            "hooks list --owner acme",
            "deliveries resend dlv_1/../../users",
            "token revoke tok_?x",
            "user remove user_1",
            "emit X --owner nobody",
            "hooks add --owner orga_11111111-1111-4111-8111-111111111111 --name n",
        ] {
            assert!(refuses(words), "{words}");
        }
    }

    #[test]
    fn a_failure_inside_an_error_of_the_server_side_keeps_its_exit_code() {
        let run_with = |error: anyhow::Error| run(parse("demo").unwrap(), |_| Err(error));
        let usage = anyhow::Error::from(Failure::Usage("x".into())).context("while starting");
        assert_eq!(format!("{:?}", run_with(usage)), format!("{:?}", ExitCode::from(2)));
        assert_eq!(format!("{:?}", run_with(anyhow::anyhow!("x"))), format!("{:?}", ExitCode::from(1)));
    }

    #[test]
    fn whatever_hinders_a_bounce_makes_the_mail_server_try_again() {
        for (words, code) in [("bounce", 75), ("token list", 2)] {
            let Side::Client(asking) = split(parse(words).unwrap().command) else { panic!("{words}") };
            assert_eq!(asking.fails_by(Failure::Usage("a wrong token".into())).exit_code(), code, "{words}");
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let Side::Client(asking) =
            split(parse(&format!("bounce --server http://127.0.0.1:{port}")).unwrap().command)
        else {
            panic!("another command")
        };
        let (mut terminal, ..) = terminal::tests::terminal(false, None);
        assert_eq!(asking.fails_by(ask(&asking, &mut terminal).unwrap_err()).exit_code(), 75);
    }

    #[tokio::test]
    async fn an_event_is_posted_with_the_token_and_its_id_printed() {
        let mut replies = vec![(202, json!({"id": "evt_1"}))];
        replies.push((200, json!({"id": "evt_1"})));
        let server = Server::answering(replies).await;
        let owner = "orga_11111111-1111-4111-8111-111111111111";
        let words = format!(
            "emit DEPLOYMENT_SUCCESS --owner {owner} --data {{\"a\":1.10}} --id 7 --date 2026-01-02T10:00:00Z"
        );
        let args: EmitArgs = parse_as(&words);
        let (mut terminal, out, err) = terminal::tests::terminal(false, None);
        let mut client = server.client();
        emit::run(&args, &mut client, &mut terminal).await.unwrap();
        assert_eq!(err.text(), "");
        emit::run(&args, &mut client, &mut terminal).await.unwrap();
        assert_eq!(out.text(), "evt_1\nevt_1\n");
        assert!(err.text().starts_with("This is a repeat"));
        let body = json!({"event": "DEPLOYMENT_SUCCESS", "ownerId": owner, "data": {"a": 1.10}, "id": "7",
                          "date": 1_767_348_000_000_i64});
        assert_eq!(server.asked()[0], ("POST /api/v1/events".to_owned(), body));
        assert_eq!(server.authorized_by.lock().unwrap().as_deref(), Some("Bearer sop_hunter2"));
    }
}
