//! The `sonnette` command.

use std::process::ExitCode;

use sonnette::cli::{self, ServerCommand};
use sonnette::{check, demo, doctor, mail_test, preview, serve};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(|command| match command {
        ServerCommand::Serve(args) => serve::run(args),
        ServerCommand::Demo(args) => demo::run(&args),
        ServerCommand::CheckConfig(args) => check::run(&args),
        ServerCommand::Doctor(args) => doctor::run(&args),
        ServerCommand::MailTest(args) => mail_test::run(&args),
        ServerCommand::Preview(args) => preview::run(&args),
        ServerCommand::MailPreview(args) => preview::run_mail(&args),
    })
}
