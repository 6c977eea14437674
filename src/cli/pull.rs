//! `classify pull OWNER/NAME`: a model from the hub.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::model::ModelFiles;
use crate::model::hub::{HubName, Settings, Told, pull};
use crate::{Error, Result};
use indicatif::DecimalBytes;

use super::console::Verbosity;
use super::model_args::warn_of_unnamed;
use super::sink::say;
use super::{Console, Status, interrupt};

/// Fetch a model from the Hugging Face hub
///
/// It goes to the cache folder that Python's huggingface_hub has too ($HF_HOME/hub, usually
/// ~/.cache/huggingface/hub), and `--model OWNER/NAME` takes it from there. Only the files that are needed are
/// fetched, each is checked by its checksum, and a download that was broken off goes on where it stopped.
///
/// Variables, as in Python: HF_HOME, HF_HUB_CACHE, HF_TOKEN (for gated and private models), HF_ENDPOINT,
/// HF_HUB_OFFLINE, and HTTPS_PROXY.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model, and where it isn't `main` a branch, tag, commit or refs/pr/N
    #[arg(value_name = "OWNER/NAME[@REVISION]", value_parser = name)]
    model: HubName,
    #[command(flatten)]
    verbosity: Verbosity,
}

fn name(text: &str) -> Result<HubName, String> {
    HubName::parse(text)
        .ok_or_else(|| "models of the hub are called OWNER/NAME, or OWNER/NAME@REVISION".into())
}

/// What the thread that fetches has to say.
enum Message {
    Told(Told),
    Done(Result<PathBuf>),
}

impl Args {
    /// Fetches, says where it is; to be interrupted at any time, also while the network says nothing.
    pub(super) fn run(self, console: &Console) -> Result<Status> {
        console.set_verbosity(self.verbosity);
        let settings = Settings::of_user()?;
        let (sender, receiver) = channel();
        let model = self.model.clone();
        std::thread::spawn(move || {
            // Where nobody listens any more the process is about to end.
            let tell = |told| drop(sender.send(Message::Told(told)));
            let done = pull(&model, &settings, &tell);
            let _ = sender.send(Message::Done(done));
        });
        let stop = interrupt::flag();
        let folder = loop {
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(Message::Told(told)) => self.show(told, console),
                Ok(Message::Done(done)) => break done,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(Error::model(self.model.to_string(), "the thread that fetched it broke off"));
                }
            }
            if stop.load(Ordering::Relaxed) {
                console.end_progress();
                console.note("interrupted; the same command goes on from here");
                return Ok(Status::Interrupted);
            }
        };
        console.end_progress();
        let folder = folder?;
        let name = self.model.to_string();
        // Better told now than when the first clip is to be labelled.
        match ModelFiles::read(&folder) {
            Err(error) => console.warning(format!("it is there, but can't be used: {}", error.reason())),
            Ok(files) => {
                warn_of_unnamed(&name, &files, console);
                console.note(format!("to use it: classify --model {name} CLIP"));
            }
        }
        if Path::new(&name).is_dir() {
            console.warning(format!(
                "in this folder, --model {name} is the folder ./{name}, not what was pulled"
            ));
        }
        say(&folder.display().to_string())?;
        Ok(Status::Done)
    }

    fn show(&self, told: Told, console: &Console) {
        match told {
            Told::Found { commit, licence, bytes, there } => {
                let licence = licence.map_or("no licence is named".into(), |l| format!("licence {l}"));
                let part = match there {
                    0 => String::new(),
                    _ if there == bytes => ", all of it here already".into(),
                    _ => format!(", {} of it here already", DecimalBytes(there)),
                };
                let short = commit.get(..12).unwrap_or(&commit);
                console.note(format!("{} at {short}: {licence}, {}{part}", self.model, DecimalBytes(bytes)));
                console.start_bytes(bytes, there);
            }
            Told::Bytes(done) => console.bytes(done),
            Told::Note(text) => console.note(text),
        }
    }
}
