//! The command line: the only room that prints, and the only one that reads arguments.
//!
//! Each subcommand is a file of its own, or a folder: to add one, write `NAME.rs` with an `Args` and its `run`, and name
//! it in [`Command`] and in [`Cli::run`].

#[cfg(feature = "serve")]
mod annotate;
mod batch_args;
mod check;
mod completions;
mod console;
mod doctor;
mod eval;
mod export;
mod figures;
mod fork;
mod frames;
mod hints;
mod interrupt;
mod label;
mod look;
mod man;
mod merge;
mod model_args;
mod models;
#[cfg(feature = "hub")]
mod pull;
#[cfg(all(feature = "serve", target_os = "linux"))]
mod serve;
mod shell;
mod sink;
mod status;
mod train;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::bulk::worker;
use crate::video::VIDEO_EXTENSIONS;
use crate::{Error, Result};

use console::Console;
use status::Status;

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{}\nFFmpeg {}", env!("CARGO_PKG_VERSION"), crate::video::ffmpeg_version()));

static AFTER_HELP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "In folders, files with these endings are taken: {}.\n\
         A file that is named itself is taken whatever its ending. A folder called like a command is ./NAME.\n\n\
         Exit status: 0 all clips labelled, 1 some clip failed, 2 nothing could be done (wrong usage, no input, \
         no model), 130 interrupted.",
        VIDEO_EXTENSIONS.join(" ")
    )
});

/// Says what happens in video clips.
///
/// Labels each clip with what is seen in it, best guess first. Works offline, with the models that
/// are inside the program, one of your own, or one that `classify pull` fetched.
#[derive(Debug, Parser)]
#[command(
    name = "classify",
    version = VERSION.as_str(),
    after_help = AFTER_HELP.as_str(),
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    label: label::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::Args>),
    Eval(eval::Args),
    #[cfg(feature = "serve")]
    Annotate(Box<annotate::Args>),
    #[cfg(feature = "hub")]
    Pull(pull::Args),
    #[cfg(all(feature = "serve", target_os = "linux"))]
    Serve(serve::Args),
    Models(models::Args),
    Frames(frames::Args),
    Check(check::Args),
    Merge(merge::Args),
    Export(export::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// The program: a worker, or the command that the arguments ask for.
pub fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == worker::ARGUMENT) {
        return worker::serve();
    }
    run(std::env::args_os()).into()
}

/// Does what `arguments` ask, the program's name first, prints the error, and returns the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let typed = shell::keep(arguments);
    let console = Console::new();
    if typed.len() < 2 {
        console.note(hints::NOTHING_TO_DO);
        return Status::Refused.code();
    }
    let status = match parse(typed) {
        Ok(cli) => cli.run(&console).unwrap_or_else(|error| {
            console.error(&error);
            Status::of(&error)
        }),
        Err(error) => explain(&error, &console),
    };
    status.code()
}

/// [`run`] for another program: the error is given back.
///
/// # Errors
/// Whatever the command's are; [`Error::Usage`] where the arguments make no sense.
pub fn attempt(arguments: impl IntoIterator<Item = OsString>) -> Result<u8> {
    let cli = parse(shell::keep(arguments)).map_err(|error| {
        let text = error.render().to_string();
        let text = text.split("\n\n").next().unwrap_or_default();
        Error::Usage(text.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" "))
    })?;
    Ok(cli.run(&Console::new())?.code())
}

impl Cli {
    /// Does what was asked.
    fn run(self, console: &Console) -> Result<Status> {
        keep_candle_off_the_cores();
        match self.command {
            None => self.label.run(console),
            Some(Command::Train(args)) => args.run(console),
            Some(Command::Eval(args)) => args.run(console),
            #[cfg(feature = "serve")]
            Some(Command::Annotate(args)) => args.run(console),
            #[cfg(feature = "hub")]
            Some(Command::Pull(args)) => args.run(console),
            #[cfg(all(feature = "serve", target_os = "linux"))]
            Some(Command::Serve(args)) => args.run(console),
            Some(Command::Models(args)) => args.run(console),
            Some(Command::Frames(args)) => args.run(console),
            Some(Command::Check(args)) => args.run(console),
            Some(Command::Merge(args)) => args.run(console),
            Some(Command::Export(args)) => args.run(console),
            Some(Command::Doctor(args)) => args.run(),
            Some(Command::Completions(args)) => args.run(),
            Some(Command::Man(args)) => args.run(),
        }
    }
}

/// What the arguments mean.
fn parse(typed: &[OsString]) -> Result<Cli, clap::Error> {
    // First what was typed, so that messages are about that.
    let cli = Cli::try_parse_from(typed)?;
    let expanded = train::expanded(typed.iter().cloned());
    if expanded == typed { Ok(cli) } else { Cli::try_parse_from(expanded) }
}

/// Prints what is wrong with the arguments, or the help that they ask for; the status to end with.
fn explain(error: &clap::Error, console: &Console) -> Status {
    // A closed pipe leaves nobody to tell.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Status::Done,
        _ => {
            hints::at_folder(console);
            Status::Refused
        }
    }
}

/// The networks run on our own kernels in rayon's pools. What is left to candle is small, and its
/// pool for that spins on the cores that decoders and kernels need. To be called before threads start.
fn keep_candle_off_the_cores() {
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        // SAFETY: no other thread is there yet that could read the environment.
        unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    }
}
