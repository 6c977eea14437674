//! `classify annotate CLIPS… -o labels.csv`: labels by hand, on a page in the browser.

mod browser;
mod segments;
mod terminal;

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::annotation::{Options, Session};
use crate::learning::FeatureCache;
use crate::learning::training::TrainOptions;
use crate::model::Changes;
use crate::web::annotate::{Desk, Finish, Finishing, Media, router};
use crate::web::{Access, Server, Token};
use crate::{Error, Result, allocator, bulk};

use super::batch_args::{InputArgs, timeout};
use super::console::Verbosity;
use super::look::LookArgs;
use super::sink::say;
use super::train::values::count;
use super::{Console, Status, interrupt, shell};
use segments::{Divider, Segments};
use terminal::Terminal;

/// How often the terminal looks how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// How long requests that are under way at the end may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Label clips by hand, one key a clip, while a model learns along
///
/// Opens a page in the browser that shows one clip after the other: first typical ones, then those that the model can't
/// tell. Every answer is kept at once; the same command goes on where it was ended. Finish, or Ctrl-C, writes the list,
/// which `classify train` reads, and a model of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Clips, folders of clips, or patterns
    #[arg(value_name = "CLIP", required_unless_present = "list")]
    clips: Vec<PathBuf>,
    /// The labelled list, CSV: path,label,split,group. Rows that are there are taken up
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Labels that are offered from the start; others can be typed at any time
    #[arg(short, long, value_name = "A,B,…", value_delimiter = ',')]
    labels: Vec<String>,
    /// Folder to write the model to [default: beside the list, named after it: labels-model]
    #[arg(long, value_name = "MODEL_DIR")]
    model: Option<PathBuf>,
    /// Who labels, for the journal beside the list
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Regular expression with one capture: a clip's group (its source video, camera or person)
    #[arg(long, value_name = "REGEX")]
    group: Option<String>,
    /// Label long videos in parts, each on its own: of so many seconds, or from cut to cut; the list has columns start and
    /// end
    ///
    /// `cuts` decodes every clip once to find its shots. One of less than a second goes with the next; a clip without cuts
    /// stays whole, however long it is.
    #[arg(long, value_name = "SECONDS|cuts")]
    segments: Option<Segments>,
    /// Results of `classify` on these clips (.csv, .jsonl, .parquet): its labels are shown as guesses
    #[arg(long, value_name = "FILE")]
    guesses: Option<PathBuf>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Page")]
struct PageArgs {
    /// Port of this machine that the page is at [default: a free one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Open no browser: the address is printed
    #[arg(long)]
    no_open: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network")]
struct NetworkArgs {
    /// Model whose CNN looks at the clips: a name or a folder
    #[arg(long, value_name = "NAME|DIR", default_value = "kinetics400-i3d")]
    backbone: String,
    #[command(flatten)]
    look: LookArgs,
    /// Cores to use [default: all]
    #[arg(long, value_name = "N", value_parser = count(1024))]
    threads: Option<u64>,
    /// Give up on a clip after so long
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = timeout, hide_short_help = true)]
    timeout: Duration,
    /// Decides what is held out for the test, and every other draw
    #[arg(long, value_name = "N", default_value_t = 0, hide_short_help = true)]
    seed: u64,
    /// Where features, cuts and small copies of clips are kept [default: the user's cache folder]
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    cache: Option<PathBuf>,
    /// Keep no features, cuts and copies
    #[arg(long, conflicts_with = "cache", hide_short_help = true)]
    no_cache: bool,
}

impl Args {
    /// Serve the page until Ctrl-C, then write the list and the model.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        allocator::keep_for_training();
        console.set_verbosity(self.verbosity);
        let interrupted = interrupt::flag();
        let server = Server::bind(Ipv4Addr::LOCALHOST.into(), self.page.port)?;
        let background = Arc::new(AtomicBool::new(false));
        let session = Session::open(self.options(background.clone(), &interrupted, console)?)?;
        let media = Arc::new(Media::new(self.kept("previews"), self.network.timeout)?);
        let finish = Arc::new(Finish::new(self.rest()));
        let desk = Desk { session: session.clone(), media, finish: finish.clone() };
        let token = Token::random()?;
        let address = format!("http://{}/?token={}", server.address(), token.reveal());
        let access = Access { token: Some(token), open: &[] };
        let closed = Arc::new(AtomicBool::new(false));
        let end = closed.clone();
        let page = std::thread::spawn(move || server.run(router(desk), access, end, PATIENCE));
        say(&address)?;
        if !self.page.no_open && !browser::open(&address) {
            console.note("open this address in a browser of this machine");
        }
        let mut terminal = Terminal::new(console, &session.status());
        while !interrupted.load(Ordering::Relaxed) && !page.is_finished() {
            std::thread::sleep(LOOK);
            terminal.tell(&session.status(), &finish.state());
        }
        console.end_progress();
        let status = self.end(&session, &finish, console);
        background.store(true, Ordering::Relaxed);
        closed.store(true, Ordering::Relaxed);
        match page.join() {
            Ok(ended) => ended?,
            Err(_) => return Err(Error::Usage("the page stopped by a mistake of this program".into())),
        }
        status
    }

    /// The list and the model of what was said.
    fn end(&self, session: &Session, finish: &Finish, console: &Console) -> Result<Status> {
        let labelled = session.status().labelled;
        session.save()?;
        console.note(format!("{}: {labelled} clips labelled", self.output.display()));
        if labelled == 0 {
            return Ok(Status::Done);
        }
        console.note("making the model; Ctrl-C again ends at once, and nothing that was said is lost");
        match finish.run(session) {
            Finishing::Done(done) => {
                for warning in &done.finished.warnings {
                    console.warning(warning);
                }
                let folder = done.finished.folder.display();
                say(&format!(
                    "{}\nmodel: {folder}\nlabel the rest: {}",
                    done.finished.summary, done.command
                ))?;
            }
            // As `classify train` ends where it makes none.
            Finishing::Failed { reason } => {
                return Err(Error::Usage(format!("no model was made: {reason}")));
            }
            Finishing::Idle | Finishing::Running { .. } => (),
        }
        Ok(Status::Done)
    }

    fn options(&self, stop: Arc<AtomicBool>, interrupted: &AtomicBool, console: &Console) -> Result<Options> {
        let network = &self.network;
        let [windows, frames, size] = network.look.numbers();
        let cache = network.cache.clone().or(TrainOptions::default().cache);
        let clips = self.inputs.find(&self.clips)?.clips;
        let threads = network.threads.map_or_else(bulk::available_threads, |n| n as usize);
        let divider =
            Divider { timeout: network.timeout, threads, cache: self.kept("cuts"), interrupted, console };
        let parts = self.segments.map(|segments| divider.parts(&clips, segments));
        Ok(Options {
            clips,
            parts: parts.transpose()?.unwrap_or_default(),
            output: self.output.clone(),
            labels: self.labels.iter().map(|label| label.trim().to_owned()).collect(),
            backbone: network.backbone.clone(),
            changes: Changes { windows, frames, size, ..Changes::default() },
            cache: cache.filter(|_| !network.no_cache),
            by: self.by.clone(),
            seed: network.seed,
            group: self.group.clone(),
            prelabels: self.guesses.clone(),
            model: self.model(),
            command: shell::line(shell::typed()),
            threads,
            timeout: network.timeout,
            stop,
        })
    }

    fn model(&self) -> PathBuf {
        self.model.clone().unwrap_or_else(|| {
            let name = self.output.file_stem().unwrap_or_default().to_string_lossy();
            self.output.with_file_name(format!("{name}-model"))
        })
    }

    /// The folder `name` of the cache.
    fn kept(&self, name: &str) -> Option<PathBuf> {
        let network = &self.network;
        match &network.cache {
            _ if network.no_cache => None,
            Some(folder) => Some(folder.join(name)),
            None => Some(FeatureCache::default_folder()?.with_file_name(name)),
        }
    }

    /// The command that labels all these clips with the model; of films that were labelled in parts, what happens when.
    fn rest(&self) -> String {
        let mut words = vec![OsString::from("classify")];
        words.extend(self.clips.iter().map(OsString::from));
        if let Some(list) = &self.inputs.list {
            words.extend(["--list".into(), OsString::from(list)]);
        }
        if self.inputs.null {
            words.push("--null".into());
        }
        if let Some(segments) = self.segments {
            words.push("--timeline".into());
            if let Some(seconds) = segments.window() {
                words.extend(["--window".into(), OsString::from(seconds.to_string())]);
            }
        }
        let results = self.output.with_file_name("results.csv");
        words.extend(["--model".into(), OsString::from(self.model()), "-o".into(), results.into()]);
        shell::line(words)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    const END: &str = "--model lists/labels-model -o lists/results.csv";

    /// The command for the rest where these words were typed; it can be typed as it is.
    fn rest(words: &str) -> String {
        let typed = format!("classify annotate -o lists/labels.csv {words}");
        let cli = Cli::try_parse_from(typed.split(' ')).unwrap();
        let Some(Command::Annotate(args)) = cli.command else { panic!("{typed}") };
        let rest = args.rest();
        Cli::try_parse_from(rest.split(' ')).unwrap();
        rest
    }

    #[test]
    fn the_rest_is_named_as_the_clips_were() {
        for words in ["a.mp4 clips", "--list all.txt", "a.mp4 --list all.txt --null"] {
            assert_eq!(rest(words), format!("classify {words} {END}"));
        }
    }

    #[test]
    fn of_films_in_parts_the_rest_is_what_happens_when() {
        for (parts, window) in [("4", " --window 4"), ("0.01", " --window 0.1"), ("cuts", "")] {
            let words = format!("--list all.txt --segments {parts}");
            assert_eq!(rest(&words), format!("classify --list all.txt --timeline{window} {END}"));
        }
    }
}
