//! Why a file can't be used, in plain words.

use std::io::SeekFrom;
use std::path::Path;

use ffmpeg_next::packet::side_data;
use ffmpeg_next::{Error as FfmpegError, Packet};

use crate::files::regular;
use crate::stores::{self, Source};
use crate::{Error, Result};

pub(super) const EMPTY: &str = "is empty (0 bytes)";

/// Says what is wrong with `path` before FFmpeg sees it.
pub(super) fn check_file(path: &Path) -> Result<()> {
    let say = |reason: &str| Err(Error::clip(path, reason));
    match regular(path).map_err(|reason| Error::clip(path, reason))? {
        meta if meta.is_dir() => say("is a folder, not a clip"),
        meta if meta.len() == 0 => say(EMPTY),
        _ => Ok(()),
    }
}

/// What an error of FFmpeg on opening the `file` that is called `path` means.
pub(super) fn cannot_open(path: &Path, file: &Path, error: FfmpegError) -> String {
    match error {
        FfmpegError::Other { errno: libc::EACCES } => "permission denied".into(),
        FfmpegError::Other { errno: libc::EPERM } => PLAYLIST.into(),
        _ if is_playlist(path, file) => PLAYLIST.into(),
        _ if has_ending(path, "m4s") => {
            "is a piece of a stream; join it behind its first piece: `cat init.m4s chunk*.m4s > clip.mp4`"
                .into()
        }
        FfmpegError::Other { errno: libc::ENOENT } => "no such file".into(),
        // A broken header asks for absurdly much far more often than there is too little.
        FfmpegError::Other { errno: libc::ENOMEM } => {
            "asks for more memory than there is; its header is probably damaged".into()
        }
        FfmpegError::Other { errno: libc::EIO } => "can't be read from the disk".into(),
        _ if mp4_without_index(file) => "truncated: its index (moov) is missing, so no frame can be found; \
             the recording or copy didn't finish"
            .into(),
        FfmpegError::Other { errno } => {
            format!("not a video that FFmpeg can read ({})", FfmpegError::Other { errno })
        }
        _ => "not a video that FFmpeg can read".into(),
    }
}

const PLAYLIST: &str = "is a playlist or refers to other files; name the video itself";

fn is_playlist(path: &Path, file: &Path) -> bool {
    let mut head = [0; 8];
    let read = stores::open(file).and_then(|mut file| read_up_to(file.as_mut(), &mut head));
    has_ending(path, "mpd")
        || read.is_ok_and(|n| head[..n].starts_with(b"#EXTM3U") || head[..n].starts_with(b"ffconcat"))
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// Whether the file is an MP4 or MOV whose list of frames never got written.
fn mp4_without_index(path: &Path) -> bool {
    let Ok(mut file) = stores::open(path) else {
        return false;
    };
    let size = file.size().unwrap_or_default();
    let mut offset: u64 = 0;
    let mut media = false;
    // Each box starts with its length (32 bits, or 1 and then 64 bits) and four letters.
    loop {
        let mut head = [0; 16];
        let Ok(n) = file.seek(SeekFrom::Start(offset)).and_then(|_| read_up_to(file.as_mut(), &mut head))
        else {
            return false;
        };
        if n < 8 {
            return media;
        }
        match &head[4..8] {
            // Cut off in the middle of it is as bad.
            b"moov" => return offset.saturating_add(box_length(&head)) > size,
            b"ftyp" | b"mdat" | b"wide" => media = true,
            b"free" | b"skip" | b"uuid" | b"pnot" => (),
            _ => return media && offset > 0,
        }
        let length = box_length(&head);
        if length < 8 {
            return media;
        }
        offset = offset.saturating_add(length);
    }
}

/// The length that a box's first 16 bytes claim.
fn box_length(head: &[u8; 16]) -> u64 {
    match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
        1 => u64::from_be_bytes(head[8..].try_into().expect("eight bytes")),
        n => u64::from(n),
    }
}

fn read_up_to(file: &mut dyn Source, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match file.read(&mut buffer[n..])? {
            0 => break,
            read => n += read,
        }
    }
    Ok(n)
}

/// Whether the packet's content is encrypted for a player with the key.
pub(super) fn is_encrypted(packet: &Packet) -> bool {
    packet.side_data().any(|data| data.kind() == side_data::Type::EncryptionInfo)
}

/// Why a file with packets gives no picture.
pub(super) fn none_decoded(path: &Path) -> &'static str {
    if has_ending(path, "webp") {
        return "FFmpeg can't decode animated WebP; make a GIF or a video of it first";
    }
    "none of its pictures can be decoded"
}

/// What to warn of where the file ends early.
pub(super) fn truncated(have: f64, claimed: f64) -> String {
    if claimed > have {
        format!("truncated: it ends after {have:.1} of {claimed:.1} s")
    } else {
        format!("truncated: it ends after {have:.1} s")
    }
}
