//! The worker's own side.

use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use candle_core::Device;
use serde::Serialize;

use super::{Checked, Clip, Decoded, Film, Look, Preview, Request, Saved, Setup, Told, Watched};
use crate::error::guard;
use crate::model::ModelFiles;
use crate::output::pages::Filmstrip;
use crate::timeline::preview::{self, Kind};
use crate::timeline::{self, Cuts, TimelineFormat};
use crate::video::{DecodeOptions, Frames, Preprocess, Seen, Walk, probe, read_frames};
use crate::{Classifier, ClipLabels, Error, Result, allocator, files, stores};

/// Answers requests on the standard input until it ends.
pub fn serve() -> ExitCode {
    be_a_good_child();
    allocator::keep_for_clips();
    let lines = read_lines();
    let Some(setup) = lines.recv().ok().and_then(|line| serde_json::from_str::<Setup>(&line).ok()) else {
        return ExitCode::from(2);
    };
    if setup.training {
        step_back();
    }
    // The kernels split their work over the pool that they are called in.
    let pool = match rayon::ThreadPoolBuilder::new().num_threads(setup.threads).build() {
        Ok(pool) => pool,
        Err(error) => return refuse(format!("can't start {} threads: {error}", setup.threads)),
    };
    pool.install(move || {
        let worker = match Worker::load(setup) {
            Ok(worker) => worker,
            Err(error) => return refuse(error.to_string()),
        };
        answer(&"ready");
        for line in lines {
            match serde_json::from_str::<(Request, _)>(&line) {
                Ok((request, query)) => {
                    stores::only(request.path(), query);
                    worker.work(&request);
                }
                Err(_) => return ExitCode::from(2),
            }
        }
        ExitCode::SUCCESS
    })
}

fn refuse(reason: String) -> ExitCode {
    answer(&reason);
    ExitCode::from(2)
}

struct Worker {
    setup: Setup,
    classifier: Option<Classifier>,
}

impl Worker {
    fn load(setup: Setup) -> Result<Self> {
        let classifier = match &setup.model {
            Some(model) if setup.training => {
                let mut folder = ModelFiles::named(model)?.changed(&setup.changes).load(&Device::Cpu)?;
                folder.keep_backbone();
                Some(Classifier::of_cnn(&folder, &Device::Cpu)?)
            }
            Some(model) => {
                let device = match setup.device.as_str() {
                    "cuda" => Device::new_cuda(0)?,
                    _ => Device::Cpu,
                };
                let files = ModelFiles::named(model)?.changed(&setup.changes);
                Some(Classifier::of_files(files, &device)?)
            }
            None => None,
        };
        Ok(Self { setup, classifier })
    }

    fn work(&self, request: &Request) {
        match request {
            Request::Label(clip) => reply(&clip.path, || self.label(clip)),
            Request::Strip(clip) => reply(&clip.path, || self.strip(clip)),
            Request::Check(clip) => reply(&clip.path, || self.check(clip)),
            Request::Length(clip) => reply(&clip.path, || Ok(probe(&clip.path)?.duration)),
            Request::Cuts(clip) => reply(&clip.path, || self.cuts(clip)),
            Request::Frames(clip) => reply(&clip.path, || self.frames(clip)),
            Request::Features(clip) => reply(&clip.path, || self.features(clip)),
            Request::Timeline(film) => reply(&film.path, || self.timeline(film)),
            Request::Decode(look) => reply(&look.path, || decode(look)),
            Request::Preview(preview) => reply(&preview.path, || self.preview(preview)),
        }
    }

    fn options(&self, clip: &Clip) -> DecodeOptions {
        DecodeOptions { threads: self.setup.threads, ..DecodeOptions::of(clip.span) }
    }

    fn classifier(&self) -> Result<&Classifier> {
        self.classifier.as_ref().ok_or_else(|| Error::Usage("this worker has no model".into()))
    }

    fn label(&self, clip: &Clip) -> Result<ClipLabels> {
        let (classifier, start) = (self.classifier()?, Instant::now());
        let mut frames = classifier.frames(&clip.path, &self.options(clip))?;
        let decoded = start.elapsed();
        let mut labels = classifier.look(&clip.path, &mut frames, decoded)?;
        labels.shorten(self.setup.top);
        if let Some(strip) = &clip.to {
            save_strip(&frames, strip)?;
        }
        Ok(labels)
    }

    fn strip(&self, clip: &Clip) -> Result<()> {
        let frames = self.classifier()?.frames(&clip.path, &self.options(clip))?;
        clip.to.as_ref().map_or(Ok(()), |strip| save_strip(&frames, strip))
    }

    fn check(&self, clip: &Clip) -> Result<Checked> {
        let mut walk = Walk::open(&clip.path, &Preprocess::new(64, 127.0, 128.0), &self.options(clip))?;
        while walk.step()?.is_some() {}
        let Seen { pictures, duration, warnings } = walk.seen();
        Ok(Checked { pictures, duration_s: (duration * 1e3).round() / 1e3, warnings })
    }

    fn cuts(&self, clip: &Clip) -> Result<Cuts> {
        Cuts::find(&clip.path, self.setup.threads, |at| answer(&Told { at }))
    }

    fn frames(&self, clip: &Clip) -> Result<Saved> {
        let frames = self.classifier()?.frames(&clip.path, &self.options(clip))?;
        let Frames { windows, per_window, height, width, .. } = frames;
        save(&frames.pixels, vec![windows, per_window, height, width, 3], frames.warnings, clip)
    }

    fn features(&self, clip: &Clip) -> Result<Saved> {
        let classifier = self.classifier()?;
        let frames = classifier.frames(&clip.path, &self.options(clip))?;
        let features = classifier.features(&frames)?;
        let numbers = features.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        save(&bytes, features.dims().to_vec(), frames.warnings, clip)
    }

    fn timeline(&self, film: &Film) -> Result<Watched> {
        let (threads, file) = (self.setup.threads, film.file.clone());
        let options = timeline::Options { window: film.window, cuts: film.cuts, threads, file };
        let open = |path| OpenOptions::new().write(true).open(path).map_err(|e| Error::io(path, e));
        let mut pipe = film.to.as_ref().map(open).transpose()?;
        let (mut segments, mut number) = (Vec::new(), 0);
        let seen = timeline::watch(self.classifier()?, &film.path, &options, |told| {
            match (told, &mut pipe) {
                (timeline::Told::Segment(segment), Some(pipe)) => {
                    number += 1;
                    let line = TimelineFormat::Json.segment(&film.path, number, &segment);
                    // Nobody reads on: nobody wants the rest.
                    return Ok(pipe.write_all(line.as_bytes()).is_ok());
                }
                (timeline::Told::Segment(segment), None) => segments.push(segment),
                (timeline::Told::At { .. }, _) => (),
            }
            Ok(true)
        })?;
        Ok(Watched { segments, duration_s: seen.duration, warnings: seen.warnings })
    }

    fn preview(&self, Preview { path, span, to }: &Preview) -> Result<Option<Kind>> {
        match to {
            Some(to) => preview::copy(path, *span, to, self.setup.threads).map(Some),
            None => Ok(preview::playable(path, &probe(path)?)),
        }
    }
}

fn decode(look: &Look) -> Result<Decoded> {
    let file = look.file.clone();
    let options = DecodeOptions { threads: look.threads, file, ..DecodeOptions::default() };
    let mut frames = read_frames(&look.path, &look.sampling, &look.preprocess, &options)?;
    std::fs::write(&look.to, &frames.pixels).map_err(|e| Error::io(&look.to, e))?;
    let mut decoded = Decoded::of(&frames);
    if let Some(windows) = look.strip {
        frames.keep_windows(windows);
        decoded.strip = Filmstrip::small(&frames);
    }
    Ok(decoded)
}

/// Saves `bytes` where the request for `clip` says. The file is its owner's: perhaps one in memory that has no name to
/// be renamed to.
fn save(bytes: &[u8], shape: Vec<usize>, warnings: Vec<String>, clip: &Clip) -> Result<Saved> {
    if let Some(to) = &clip.to {
        std::fs::write(to, bytes).map_err(|e| Error::io(to, e))?;
    }
    Ok(Saved { shape, warnings })
}

fn save_strip(frames: &Frames, path: &Path) -> Result<()> {
    match Filmstrip::small(frames) {
        Some(strip) => files::write_atomically(path, &strip.jpeg),
        None => Ok(()),
    }
}

/// Answers with what `work` on the video at `path` gives, or with the reason why it can't be done.
fn reply<T: Serialize>(path: &Path, work: impl FnOnce() -> Result<T>) {
    answer(&guard(path, work).map_err(|error| error.reason()));
}

fn answer(value: &impl Serialize) {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    if out.write_all(&line).and_then(|()| out.flush()).is_err() {
        // Nobody listens any more.
        std::process::exit(2);
    }
}

/// Requests, read by a thread of its own: when the owner is gone, however it ended, the input ends,
/// and the worker must not live on inside a decoder that hangs.
fn read_lines() -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    lines
}

/// Lets whatever else wants the processor go first; threads that start from here on do the same. On Linux it is this thread
/// that steps back, elsewhere the process.
pub(crate) fn step_back() {
    #[cfg(unix)]
    // SAFETY: a plain setting of this process.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 15);
    }
}

/// Ctrl-C goes to the whole group of processes: the owner decides what it means. A clip that takes
/// all memory should cost the worker, not the owner; one that crashes should leave no core file.
fn be_a_good_child() {
    #[cfg(unix)]
    // SAFETY: plain settings of this process.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_IGN);
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &none);
    }
    #[cfg(target_os = "linux")]
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
}
