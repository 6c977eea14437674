//! The command, run as a user runs it.

mod bad_inputs;
mod builder;
mod evaluation;
mod formats;
mod inputs;
mod interruption;
mod jobs;
mod options;
mod output_file;
#[path = "../ran/mod.rs"]
mod ran;
mod several;
mod subcommands;
mod training;
mod unknown;
