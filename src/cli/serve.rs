//! `classify serve`: models that other programs call over HTTP.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{DEFAULT_MODEL, ModelFiles};
use crate::web::Token;
use crate::web::serve::{Model, Options, serve};
use crate::{Classifier, Error, Result, allocator, bulk};

use super::batch_args::timeout;
use super::console::Verbosity;
use super::model_args::{DeviceName, warn_of_unnamed};
use super::{Console, Status, interrupt};

/// The variable that a token may stand in.
const TOKEN: &str = "CLASSIFY_TOKEN";

/// Label clips for other programs, over HTTP
///
/// POST a clip to /classify: `curl -F file=@clip.mp4 http://127.0.0.1:8080/classify`. A page to drop clips on is at /,
/// what else there is says /openapi.json. Ctrl-C and SIGTERM end it once the running clips are answered.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A model inside the program or a pulled one (see `classify models`), or a model folder; several times for
    /// several models, of which requests name one (?model=NAME), else the first answers
    #[arg(short, long, value_name = "NAME|DIR", default_value = DEFAULT_MODEL)]
    model: Vec<String>,
    /// The address of this machine to listen at; 0.0.0.0 for all
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen at; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Answer only those who send the token in this file (Authorization: Bearer TOKEN), or in the variable
    /// CLASSIFY_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let requests name files below this folder: {"path": "clip.mp4"}
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Let requests give addresses of clips on this host; several times for several hosts
    #[arg(long, value_name = "HOST[:PORT]")]
    allow_url: Vec<String>,
    /// Let this site's pages ask, as https://shop.example; * for all sites
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// Take clips up to so many bytes, as 500M or 2G
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = bytes)]
    max_size: u64,
    /// Let so many requests wait; more are told to come back
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    queue: u32,
    /// Give up on a clip after so long
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = timeout)]
    timeout: Duration,
    /// Give up on a long video, of POST /timeline, after so long
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = timeout)]
    timeline_timeout: Duration,
    /// Cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Where the network runs
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu, hide_short_help = true)]
    device: DeviceName,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// `500M` as a number.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return Err("must be a number of bytes, as 500M or 2G".into()),
    };
    let number = digits.parse::<u64>().ok().filter(|number| *number > 0).and_then(|n| n.checked_mul(factor));
    number.ok_or_else(|| "must be a number of bytes, as 500M or 2G".into())
}

impl Args {
    /// Serves until it is told to end.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        console.set_verbosity(self.verbosity);
        allocator::keep_for_clips();
        let token = self.token()?;
        let models = self.models(console)?;
        if token.is_none() && !self.host.is_loopback() {
            console.warning(format!(
                "whoever reaches {} may ask: a token keeps others out (--token-file, {TOKEN})",
                self.host
            ));
        }
        let names = models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        let logged = Console::new();
        logged.set_verbosity(self.verbosity);
        let options = Options {
            models,
            host: self.host,
            port: self.port,
            token,
            cors: self.cors,
            allow_url: self.allow_url,
            root: self.root,
            max_size: self.max_size,
            threads: self.threads.map_or_else(bulk::available_threads, |n| n as usize),
            queue: self.queue as usize,
            timeout: self.timeout,
            film_timeout: self.timeline_timeout,
            stop: interrupt::flag(),
        };
        let started = |address| console.note(format!("{names} at http://{address}; Ctrl-C ends it"));
        serve(options, Arc::new(move |line| logged.detail(line)), started)?;
        Ok(Status::Done)
    }

    fn token(&self) -> Result<Option<Token>> {
        if let Some(path) = &self.token_file {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
            let token = Token::new(text.trim());
            return token.map(Some).map_err(|e| Error::Usage(format!("{}: {e}", path.display())));
        }
        match std::env::var(TOKEN) {
            Ok(text) if !text.is_empty() => {
                Token::new(&text).map(Some).map_err(|e| Error::Usage(format!("{TOKEN}: {e}")))
            }
            Err(std::env::VarError::NotUnicode(_)) => Err(Error::Usage(format!("{TOKEN}: is no text"))),
            _ => Ok(None),
        }
    }

    fn models(&self, console: &Console) -> Result<Vec<Model>> {
        let device = self.device.open()?;
        let mut models: Vec<Model> = Vec::new();
        for given in &self.model {
            let files = ModelFiles::named(given)?;
            files.config.sampling.check().map_err(Error::Usage)?;
            warn_of_unnamed(given, &files, console);
            let classifier = Classifier::of_files(files, &device)?;
            let name = classifier.name().to_owned();
            if models.iter().any(|model| model.name == name) {
                return Err(Error::Usage(format!("--model {given}: there is another model called {name}")));
            }
            models.push(Model { name, given: given.clone(), classifier });
        }
        Ok(models)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!([bytes("7"), bytes("500M"), bytes("2g")], [Ok(7), Ok(500 << 20), Ok(2 << 30)]);
        for wrong in ["", "0", "M", "1T", "-1", "1.5G", "99999999999G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
