//! The command `classify`: read the arguments, do what they ask, say how it went.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == classify::worker::ARGUMENT) {
        return classify::worker::serve();
    }
    let console = cli::Console::new();
    let status = match cli::parse(&console) {
        Ok(cli) => cli.run(&console).unwrap_or_else(|error| {
            console.error(&error);
            cli::Status::of(&error)
        }),
        Err(status) => status,
    };
    status.into()
}
