//! Clips as a browser can play them: the files themselves, with ranges, or small copies that are kept in a cache.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::{self, Query, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tower_http::services::ServeFile;

use super::Desk;
use crate::annotation::{Clip, Id};
use crate::bulk::worker::{Pool, Request as Work, Setup};
use crate::timeline::preview::Kind;
use crate::video::Span;
use crate::web::refusal::Refusal;
use crate::{Error, Result};

/// Bytes up to which a file is shown itself in a grid of many.
const SMALL: u64 = 4 << 20;

/// Bytes that copies take up at most; then those go that were made first.
const MOST: u64 = 2 << 30;

/// Copies that are made at a time. Processors are needed for features, too.
const COPIES: usize = 2;

/// Files that are looked into at a time.
const LOOKS: usize = 2;

/// How long a clip that failed isn't tried again: at once it would be no better, and perhaps as late.
const RETRY: Duration = Duration::from_secs(600);

/// Tells the page that it gets a copy, which begins where its part of the file begins.
const COPIED: HeaderName = HeaderName::from_static("x-copied");

/// Makes what browsers play, in worker processes, as any file may crash the decoder.
pub(crate) struct Media {
    pool: Arc<Pool>,
    /// Where copies are kept.
    folder: PathBuf,
    /// Goes with them where they aren't kept.
    _draft: Option<tempfile::TempDir>,
    known: Mutex<HashMap<(Id, Wish), Known>>,
    looks: Semaphore,
    copies: Semaphore,
}

/// What of a clip is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    /// Something small, as many are shown beside each other.
    small: bool,
    /// A copy in any case: the browser couldn't play the file.
    copy: bool,
}

#[derive(Debug, Clone)]
struct Playable {
    path: PathBuf,
    kind: Kind,
    copied: bool,
}

/// What came of a wish.
#[derive(Debug, Clone)]
enum Known {
    Found(Playable),
    Failed { reason: String, until: Instant },
}

impl Known {
    /// Whether it need not be tried again.
    fn holds(&self) -> bool {
        match self {
            // A copy may have made room for others.
            Self::Found(found) => found.path.exists(),
            Self::Failed { until, .. } => Instant::now() < *until,
        }
    }
}

impl Media {
    /// Copies are kept in `folder`, else as long as this lives. A clip that takes longer than `timeout` is given up.
    pub(crate) fn new(folder: Option<PathBuf>, timeout: Duration) -> Result<Self> {
        let kept = folder.filter(|folder| fs::create_dir_all(folder).is_ok());
        let (folder, draft) = match kept {
            Some(folder) => (folder, None),
            None => {
                let draft = tempfile::Builder::new().prefix("classify-").tempdir();
                let draft = draft.map_err(|e| Error::io(std::env::temp_dir(), e))?;
                (draft.path().to_owned(), Some(draft))
            }
        };
        Ok(Self {
            pool: Arc::new(Pool::of_this_program(Setup::without_model(1), timeout)?),
            folder,
            _draft: draft,
            known: Mutex::default(),
            looks: Semaphore::new(LOOKS),
            copies: Semaphore::new(COPIES),
        })
    }

    /// What to play of `clip`, made where it must be.
    async fn playable(&self, clip: &Clip, wish: Wish) -> Result<Playable, Error> {
        let known = self.known().get(&(clip.id, wish)).cloned();
        match known.filter(Known::holds) {
            Some(Known::Found(found)) => return Ok(found),
            Some(Known::Failed { reason, .. }) => return Err(Error::clip(&clip.path, reason)),
            None => {}
        }
        // A file that isn't there may be back the next moment.
        let meta = fs::metadata(&clip.path).map_err(|e| Error::clip(&clip.path, crate::error::plain(&e)))?;
        let found = self.find(clip, &meta, wish).await;
        let known = match &found {
            Ok(found) => Known::Found(found.clone()),
            // Of the clip itself.
            Err(Error::Clip { reason, .. }) => {
                Known::Failed { reason: reason.clone(), until: Instant::now() + RETRY }
            }
            Err(_) => return found,
        };
        self.known().insert((clip.id, wish), known);
        found
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(Id, Wish), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self, clip: &Clip, meta: &fs::Metadata, wish: Wish) -> Result<Playable, Error> {
        let copy = wish.copy || wish.small && (meta.len() > SMALL || clip.span.is_some());
        if !copy && let Some(kind) = self.ask(&self.looks, Work::playable(&clip.path)).await? {
            return Ok(Playable { path: clip.path.clone(), kind, copied: false });
        }
        let to = self.folder.join(name(clip, meta));
        let kind = match kind_of(&to) {
            Some(kind) => Some(kind),
            None => {
                let span = clip.span.map(|[start, end]| Span { start, end: Some(end) });
                let made = self.ask(&self.copies, Work::preview(&clip.path, span, to.clone())).await?;
                let folder = self.folder.clone();
                tokio::task::spawn_blocking(move || tidy(&folder, MOST));
                made
            }
        };
        let kind = kind.ok_or_else(|| Error::clip(&clip.path, "has no copy"))?;
        Ok(Playable { path: to, kind, copied: true })
    }

    async fn ask(&self, turns: &Semaphore, work: Work) -> Result<Option<Kind>, Error> {
        let pool = self.pool.clone();
        let _turn = turns.acquire().await;
        let asked = tokio::task::spawn_blocking(move || pool.ask(&work)).await;
        asked.unwrap_or_else(|e| Err(Error::Interrupted(e.to_string())))
    }
}

/// `GET /clip/ID`: the clip, or a copy; `?small=true`, `?copy=true`.
pub(super) async fn clip(
    State(desk): State<Desk>,
    extract::Path(id): extract::Path<String>,
    Query(wish): Query<Wish>,
    request: Request,
) -> Result<Response, Refusal> {
    let clip = id.parse().ok().and_then(|id| desk.session.clip(id)).ok_or_else(super::unknown)?;
    let Playable { path, kind, copied } = desk.media.playable(&clip, wish).await?;
    let served = ServeFile::new(&path).try_call(request).await.map_err(|e| Error::io(&path, e))?;
    let mut response = served.map(Body::new).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if copied {
        headers.insert(COPIED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The name of a clip's copy: another one where the file has changed.
fn name(clip: &Clip, meta: &fs::Metadata) -> String {
    let mut hasher = blake3::Hasher::new();
    let changed = meta.modified().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
    let facts = (meta.len(), changed.map(|t| t.as_nanos()), clip.span.map(|span| span.map(f64::to_bits)));
    let path = std::path::absolute(&clip.path).unwrap_or_else(|_| clip.path.clone());
    hasher.update(path.as_os_str().as_encoded_bytes()).update(format!("{facts:?}").as_bytes());
    hasher.finalize().to_hex()[..32].to_owned()
}

/// What the copy at `path` is; none where there is none.
fn kind_of(path: &Path) -> Option<Kind> {
    let mut head = [0; 2];
    fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    Some(if head == [0xff, 0xd8] { Kind::Jpeg } else { Kind::Webm })
}

/// Removes the oldest files in `folder` until they take up `most` bytes at most.
fn tidy(folder: &Path, most: u64) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((meta.modified().ok()?, meta.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut size: u64 = files.iter().map(|(_, len, _)| len).sum();
    for (_, len, path) in files {
        if size <= most {
            break;
        }
        // One that can't be removed now is tried again after the next copy.
        let _ = fs::remove_file(path);
        size -= len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotation::Standing;

    #[test]
    fn a_copy_that_is_gone_and_a_failure_are_no_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.avi");
        let clip = Clip {
            id: Id::of("clip.avi"),
            name: "clip.avi".into(),
            path: path.clone(),
            span: None,
            standing: Standing::Open,
            guess: None,
            group: None,
            ready: false,
        };
        let media = Media::new(Some(folder.path().join("copies")), Duration::from_secs(1)).unwrap();
        let wish = Wish { small: false, copy: true };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let play = || runtime.block_on(media.playable(&clip, wish));
        // Copies that are there already: no worker has to make them.
        let copied = |content: &str| {
            fs::write(&path, content).unwrap();
            let copy = media.folder.join(name(&clip, &fs::metadata(&path).unwrap()));
            fs::write(&copy, "copy").unwrap();
            copy
        };
        assert_eq!(play().unwrap_err().reason(), "no such file or folder");
        let first = copied("a film");
        assert_eq!(play().unwrap().path, first, "the file is back");
        fs::remove_file(&first).unwrap();
        let second = copied("another film");
        assert_eq!(play().unwrap().path, second, "the first copy is gone");
        let fail = |until| {
            media.known().insert((clip.id, wish), Known::Failed { reason: "torn".into(), until });
        };
        fail(Instant::now() + RETRY);
        assert_eq!(play().unwrap_err().reason(), "torn");
        fail(Instant::now());
        assert_eq!(play().unwrap().path, second);
    }

    #[test]
    fn the_oldest_copies_go_first() {
        let folder = tempfile::tempdir().unwrap();
        for (age, name) in [(30, "a"), (10, "b"), (20, "c")] {
            let path = folder.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        tidy(folder.path(), 150);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["b"]);
        assert_eq!(
            (kind_of(&folder.path().join("a")), kind_of(&folder.path().join("b"))),
            (None, Some(Kind::Webm))
        );
    }
}
