//! The container: opening a file, choosing its video stream, reading packets, seeking.
//!
//! Goes to FFmpeg's C functions where the wrapper would panic on names that aren't UTF-8, allow other
//! protocols than files, or hide why reading ended.

use std::ffi::{CStr, CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Once;
use std::time::Instant;

use ffmpeg_next::packet::{Mut, Ref};
use ffmpeg_next::{Packet, Rational, ffi};

use super::reason;
use super::stream::{self, Stream};
use crate::stores::{self, Source};
use crate::{Error, Result};

/// Pictures beyond this (8K UHD with some room) are refused: one frame would take over 100 MB, and
/// a broken header would otherwise decide how much memory is used.
pub(super) const MAX_PIXELS: i64 = 8192 * 4608;

/// Of an object up to so many bytes all packets are read: it would take as long to ask for parts of it.
const LARGE_OBJECT: i64 = 8 << 20;

/// An open container with its video stream chosen.
pub(super) struct Input {
    /// The clip's name.
    pub path: PathBuf,
    /// Where it is read from.
    pub file: PathBuf,
    context: *mut ffi::AVFormatContext,
    io: *mut ffi::AVIOContext,
    /// Where the bytes come from, if from no file. Boxed: FFmpeg holds its address.
    source: Option<Box<Stream>>,
    stream: usize,
    /// FFmpeg crashes where it is asked twice to read ahead.
    analysed: bool,
    /// Whether only a part of the last packet was there, of whatever stream.
    pub partial: bool,
    /// Boxed: FFmpeg holds its address.
    deadline: Box<Option<Instant>>,
}

/// How reading packets ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At the file's end, as it should.
    Clean,
    /// In the middle: cut off or damaged.
    Broken,
}

impl End {
    /// Why a file that opens, and ended so before the first picture, can't be used.
    pub(super) fn without_pictures(self) -> &'static str {
        match self {
            Self::Clean => "holds no pictures",
            Self::Broken => "truncated: it ends before the first picture",
        }
    }
}

/// What a container's index says of a packet of the video.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// When it is decoded or shown, in the stream's ticks.
    pub stamp: i64,
    /// Where it lies in the file, in bytes.
    pub position: i64,
    pub key: bool,
    /// Outside the edit list.
    pub hidden: bool,
}

impl Input {
    /// Opens `path`, or the `file` that holds what is called so, and finds its video.
    pub(super) fn open(path: &Path, file: Option<&Path>, deadline: Option<Instant>) -> Result<Self> {
        let file = file.unwrap_or(path);
        let text = |before: &[u8], path: &Path| {
            CString::new([before, path.as_os_str().as_encoded_bytes()].concat())
                .map_err(|_| Error::clip(path, "has a zero byte in its name"))
        };
        // The name without the protocol, which some formats' detection would take for a part of it.
        let name = text(b"", path)?;
        if stores::is_address(file) {
            let source = stores::open(file).map_err(|e| Error::clip(stores::shown(path), e))?;
            return Self::open_source([path, file], source, &name, deadline);
        }
        reason::check_file(file).map_err(|error| Error::clip(path, error.reason()))?;
        Self::open_url([path, file], &text(b"file:", file)?, &name, deadline)
    }

    /// Reads the video on the standard input. A pipe can't go back; a file can, by its other name.
    pub(super) fn standard_input(deadline: Option<Instant>) -> Result<Self> {
        let file = Path::new("/dev/stdin");
        if std::fs::metadata(file).is_ok_and(|meta| meta.is_file()) {
            return Self::open(file, None, deadline);
        }
        Self::open_url([Path::new("standard input"); 2], c"pipe:0", c"pipe:0", deadline)
    }

    fn open_url(paths: [&Path; 2], url: &CStr, name: &CStr, deadline: Option<Instant>) -> Result<Self> {
        let mut input = Self::closed(paths, deadline);
        // SAFETY: `io` is null, and freed by `drop`.
        let code = unsafe {
            ffi::avio_open2(
                &mut input.io,
                url.as_ptr(),
                ffi::AVIO_FLAG_READ,
                &input.interrupt(),
                ptr::null_mut(),
            )
        };
        input.check(code)?;
        input.demux(name)
    }

    /// Reads the video in `source`.
    fn open_source(
        paths: [&Path; 2],
        source: Box<dyn Source>,
        name: &CStr,
        deadline: Option<Instant>,
    ) -> Result<Self> {
        if source.size().is_ok_and(|size| size == 0) {
            return Err(Error::clip(paths[0], reason::EMPTY));
        }
        let mut input = Self::closed(paths, deadline);
        input.io = input.source.insert(Box::new(Stream::new(source))).context();
        if input.io.is_null() {
            return Err(Error::clip(paths[0], "out of memory"));
        }
        input.demux(name)
    }

    /// Nothing is open yet. The clip's name, and where it is read from.
    fn closed([path, file]: [&Path; 2], deadline: Option<Instant>) -> Self {
        silence();
        Self {
            path: path.to_owned(),
            file: file.to_owned(),
            context: ptr::null_mut(),
            io: ptr::null_mut(),
            source: None,
            stream: 0,
            analysed: false,
            partial: false,
            deadline: Box::new(deadline),
        }
    }

    fn interrupt(&mut self) -> ffi::AVIOInterruptCB {
        ffi::AVIOInterruptCB {
            callback: Some(deadline_passed),
            opaque: ptr::from_mut(self.deadline.as_mut()).cast(),
        }
    }

    /// Finds the video in the open bytes.
    fn demux(mut self, name: &CStr) -> Result<Self> {
        let interrupt = self.interrupt();
        let path = self.path.clone();
        let input = &mut self;
        // SAFETY: the pointers are either null or owned by `input`, whose `drop` frees them; FFmpeg
        // frees the context itself (and sets it to null) where opening fails.
        unsafe {
            input.context = ffi::avformat_alloc_context();
            if input.context.is_null() {
                return Err(Error::clip(path, "out of memory"));
            }
            (*input.context).pb = input.io;
            (*input.context).interrupt_callback = interrupt;
            (*input.context).io_open = Some(refuse_to_open);
            // For formats that open others on their own.
            (*input.context).protocol_whitelist = ffi::av_strdup(c"none".as_ptr());
            let code =
                ffi::avformat_open_input(&mut input.context, name.as_ptr(), ptr::null_mut(), ptr::null_mut());
            input.check(code)?;
        }
        if !input.has_complete_headers() {
            input.analyse()?;
        }
        input.choose_stream()?;
        Ok(self)
    }

    /// Whether the container told everything that a decoder needs, so that reading ahead (which
    /// costs as much as decoding a few frames) can be left out.
    fn has_complete_headers(&self) -> bool {
        let format = self.format();
        (format.starts_with("mov,") || format.starts_with("matroska,"))
            && self.streams().any(|s| is_video(s) && is_complete(s))
            && self.streams().filter(|s| is_video(*s)).all(is_complete)
    }

    /// Reads ahead for what the headers left open (frame rate, pixel format).
    pub(super) fn analyse(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.analysed, true) {
            return Ok(());
        }
        // SAFETY: the context is open.
        let code = unsafe { ffi::avformat_find_stream_info(self.context, ptr::null_mut()) };
        self.check(code)
    }

    /// Whether [`Self::analyse`] was done.
    pub(super) fn is_analysed(&self) -> bool {
        self.analysed
    }

    /// When the last packet of any stream ends, in seconds, by reading the file once more.
    ///
    /// # Errors
    /// Where it can't be opened again, or the deadline passed.
    pub(super) fn last_moment(&self) -> Result<f64> {
        let again = Self::open(&self.path, Some(&self.file), *self.deadline)?;
        for stream in again.streams() {
            // SAFETY: `stream` comes from the open context.
            unsafe { (*stream).discard = ffi::AVDiscard::AVDISCARD_DEFAULT };
        }
        let (mut last, mut broken) = (0.0, 0);
        loop {
            again.check_deadline()?;
            let mut packet = Packet::empty();
            // SAFETY: the context is open, the packet empty.
            match unsafe { ffi::av_read_frame(again.context, packet.as_mut_ptr()) } {
                0 => (),
                ffi::AVERROR_INVALIDDATA if broken < 100 => {
                    broken += 1;
                    continue;
                }
                _ => {
                    again.check_source()?;
                    return Ok(last);
                }
            }
            // SAFETY: a packet's stream is one of the context's.
            let base = unsafe { (**(*again.context).streams.add(packet.stream())).time_base };
            let tick = f64::from(Rational::from(base));
            if let Some(stamp) = packet.pts().or(packet.dts()) {
                last = f64::max(last, stamp.saturating_add(packet.duration().max(0)) as f64 * tick);
            }
        }
    }

    /// Picks the video that a player would show and ignores all other streams.
    fn choose_stream(&mut self) -> Result<()> {
        let rank = |s: *mut ffi::AVStream| {
            // SAFETY: `s` comes from the open context.
            unsafe {
                let codec = (*s).codecpar;
                let decodable = !ffi::avcodec_find_decoder((*codec).codec_id).is_null();
                let default = (*s).disposition & ffi::AV_DISPOSITION_DEFAULT != 0;
                (decodable, default, i64::from((*codec).width) * i64::from((*codec).height))
            }
        };
        let videos = || self.streams().enumerate().filter(|(_, s)| is_video(*s));
        // The first of equals.
        let best = videos().rev().max_by_key(|(_, s)| rank(*s));
        let Some((index, stream)) = best else {
            let cover = self.streams().any(is_cover);
            let what = if cover { " (only a cover picture)" } else { "" };
            return Err(Error::clip(&self.path, format!("has no video stream{what}")));
        };
        if !rank(stream).0 {
            let reason = format!("its video codec ({}) is not known to this FFmpeg", codec_name(stream));
            return Err(Error::clip(&self.path, reason));
        }
        // SAFETY: `stream` comes from the open context.
        let (w, h) = unsafe { ((*(*stream).codecpar).width, (*(*stream).codecpar).height) };
        if i64::from(w) * i64::from(h) > MAX_PIXELS {
            let reason = format!("its pictures are too large: {w}×{h}, the limit is 8192×4608");
            return Err(Error::clip(&self.path, reason));
        }
        for (i, s) in self.streams().enumerate() {
            if i != index {
                // SAFETY: as above.
                unsafe { (*s).discard = ffi::AVDiscard::AVDISCARD_ALL };
            }
        }
        self.stream = index;
        Ok(())
    }

    fn streams(&self) -> impl DoubleEndedIterator<Item = *mut ffi::AVStream> + ExactSizeIterator {
        // SAFETY: `streams` holds `nb_streams` pointers while the context is open.
        let (streams, n) = unsafe { ((*self.context).streams, (*self.context).nb_streams as usize) };
        (0..n).map(move |i| unsafe { *streams.add(i) })
    }

    /// The chosen stream, valid while `self` lives.
    pub(super) fn stream(&self) -> *mut ffi::AVStream {
        // SAFETY: `choose_stream` set an index within bounds; streams are never removed.
        unsafe { *(*self.context).streams.add(self.stream) }
    }

    pub(super) fn context(&self) -> *mut ffi::AVFormatContext {
        self.context
    }

    pub(super) fn codec(&self) -> ffi::AVCodecID {
        // SAFETY: see `stream`.
        unsafe { (*(*self.stream()).codecpar).codec_id }
    }

    pub(super) fn time_base(&self) -> Rational {
        // SAFETY: see `stream`.
        unsafe { (*self.stream()).time_base }.into()
    }

    /// Frames per second, by what the container says or FFmpeg guesses.
    pub(super) fn frame_rate(&self) -> Option<f64> {
        // SAFETY: both pointers are valid, a missing frame is allowed.
        let rate = unsafe { ffi::av_guess_frame_rate(self.context, self.stream(), ptr::null_mut()) };
        (rate.num > 0 && rate.den > 0).then(|| f64::from(rate.num) / f64::from(rate.den))
    }

    /// Seconds of video, if the container says so.
    pub(super) fn duration(&self) -> Option<f64> {
        // SAFETY: see `stream`.
        let (stream, file) = unsafe { ((*self.stream()).duration, (*self.context).duration) };
        let known = |ticks: i64| ticks != ffi::AV_NOPTS_VALUE && ticks > 0;
        if known(stream) {
            Some(stream as f64 * f64::from(self.time_base()))
        } else {
            known(file).then(|| file as f64 / f64::from(ffi::AV_TIME_BASE))
        }
    }

    /// Frames that the container's index lists.
    pub(super) fn frame_count(&self) -> Option<u64> {
        // SAFETY: see `stream`.
        let n = unsafe { (*self.stream()).nb_frames };
        u64::try_from(n).ok().filter(|n| *n > 0)
    }

    /// The next packet of the video stream, or how the file ended.
    pub(super) fn read(&mut self) -> Result<Result<Packet, End>> {
        let mut broken = 0;
        loop {
            self.check_deadline()?;
            let before = self.position();
            let mut packet = Packet::empty();
            // SAFETY: the context is open, the packet empty.
            match unsafe { ffi::av_read_frame(self.context, packet.as_mut_ptr()) } {
                0 => {
                    self.partial = is_partial(&packet, &self.format());
                    if packet.stream() == self.stream {
                        return Ok(Ok(packet));
                    }
                }
                _ if self.source_failed().is_some() => self.check_source()?,
                ffi::AVERROR_EOF => return Ok(Err(self.end())),
                // A demuxer finds its way again after a damaged packet; the limit is for those that
                // report the same one forever.
                ffi::AVERROR_INVALIDDATA if broken < 100 => broken += 1,
                _ => {
                    self.check_deadline()?;
                    // Some demuxers know no other way to say that there is nothing left.
                    let nothing_left = self.size().is_some_and(|size| before >= size);
                    return Ok(Err(if nothing_left { self.end() } else { End::Broken }));
                }
            }
        }
    }

    /// Bytes of the file that were read, or skipped.
    pub(super) fn position(&self) -> i64 {
        // SAFETY: `io` is open; a seek by nothing tells where it is.
        unsafe { ffi::avio_seek(self.io, 0, libc::SEEK_CUR) }
    }

    fn end(&self) -> End {
        // SAFETY: `io` is open.
        match unsafe { (*self.io).error } {
            0 | ffi::AVERROR_EOF => End::Clean,
            _ => End::Broken,
        }
    }

    /// Goes to the last keyframe at or before `stamp` (in the stream's time base); to the start for
    /// the least of numbers.
    pub(super) fn seek(&mut self, stamp: i64) -> bool {
        let stream = self.stream as c_int;
        if stamp == i64::MIN {
            // SAFETY: the context is open. Not every container can seek by time, so go by byte then.
            return unsafe {
                let (least, most) = (i64::MIN, i64::MAX);
                let start = (*self.stream()).start_time.max(-(1 << 40));
                ffi::avformat_seek_file(self.context, stream, least, start, most, 0) >= 0
                    || ffi::avformat_seek_file(self.context, stream, 0, 0, 0, ffi::AVSEEK_FLAG_BYTE) >= 0
            };
        }
        // SAFETY: the context is open.
        unsafe { ffi::avformat_seek_file(self.context, stream, i64::MIN, stamp, stamp, 0) >= 0 }
    }

    /// The time of the keyframe that a seek to `stamp` would land on, if the index knows.
    pub(super) fn keyframe_before(&self, stamp: i64) -> Option<i64> {
        // SAFETY: the entry is read before anything else touches the stream.
        unsafe {
            let backward = ffi::AVSEEK_FLAG_BACKWARD as c_int;
            let entry = ffi::avformat_index_get_entry_from_timestamp(self.stream(), stamp, backward);
            entry.as_ref().map(|e| e.timestamp)
        }
    }

    /// How much the container's index lists.
    pub(super) fn index_length(&self) -> usize {
        // SAFETY: the stream is open.
        usize::try_from(unsafe { ffi::avformat_index_get_entries_count(self.stream()) }).unwrap_or(0)
    }

    /// What the container's index lists of the video, in its order: all packets or some of the keyframes.
    pub(super) fn index(&self) -> Vec<Entry> {
        // SAFETY: the stream is open; each entry is read before anything else touches the stream.
        let entry = |i| unsafe { ffi::avformat_index_get_entry(self.stream(), i as c_int).as_ref() };
        let entries = (0..self.index_length()).filter_map(entry);
        entries
            .map(|entry| Entry {
                stamp: entry.timestamp,
                position: entry.pos,
                key: entry.flags() & ffi::AVINDEX_KEYFRAME != 0,
                hidden: entry.flags() & ffi::AVINDEX_DISCARD_FRAME != 0,
            })
            .collect()
    }

    /// Bytes of the file; `None` of a pipe.
    pub(super) fn size(&self) -> Option<i64> {
        // SAFETY: `io` is open.
        let size = unsafe { ffi::avio_size(self.io) };
        (size > 0).then_some(size)
    }

    /// FFmpeg's names of the container, as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub(super) fn format(&self) -> String {
        // SAFETY: the context is open; `iformat` and its name live as long as the program.
        unsafe { CStr::from_ptr((*(*self.context).iformat).name) }.to_string_lossy().into_owned()
    }

    /// Whether the container is one in which stamps may start anew at any time.
    pub(super) fn is_broadcast(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*(*self.context).iformat).flags & ffi::AVFMT_TS_DISCONT != 0 }
    }

    pub(super) fn check_deadline(&self) -> Result<()> {
        match *self.deadline {
            Some(deadline) if Instant::now() > deadline => Err(Error::clip(
                &self.path,
                "not decoded within its time limit; allow more time or leave it out",
            )),
            _ => Ok(()),
        }
    }

    fn source_failed(&self) -> Option<&str> {
        self.source.as_ref().and_then(|source| source.failure())
    }

    /// What could not be read must not pass for the video's end.
    fn check_source(&self) -> Result<()> {
        self.source_failed().map_or(Ok(()), |reason| Err(Error::clip(&self.path, reason)))
    }

    /// How many bytes of packets are worth keeping in memory: none of a large object, so that only what is needed of it
    /// is fetched.
    pub(super) fn worth_keeping(&self) -> usize {
        match (&self.source, self.size()) {
            (Some(_), Some(size)) if size > LARGE_OBJECT => 0,
            _ => usize::MAX,
        }
    }

    fn check(&self, code: c_int) -> Result<()> {
        if code >= 0 {
            return Ok(());
        }
        self.check_deadline()?;
        self.check_source()?;
        Err(Error::clip(&self.path, reason::cannot_open(&self.path, &self.file, code.into())))
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: both are owned; closing the context leaves the separately opened `io` alone.
        unsafe {
            ffi::avformat_close_input(&mut self.context);
            match self.source {
                Some(_) => stream::close(&mut self.io),
                None => drop(ffi::avio_closep(&mut self.io)),
            }
        }
    }
}

fn is_video(stream: *mut ffi::AVStream) -> bool {
    // SAFETY: comes from an open context.
    let kind = unsafe { (*(*stream).codecpar).codec_type };
    kind == ffi::AVMediaType::AVMEDIA_TYPE_VIDEO && !is_cover(stream)
}

fn is_cover(stream: *mut ffi::AVStream) -> bool {
    // SAFETY: comes from an open context.
    let disposition = unsafe { (*stream).disposition };
    disposition & (ffi::AV_DISPOSITION_ATTACHED_PIC | ffi::AV_DISPOSITION_TIMED_THUMBNAILS) != 0
}

fn is_complete(stream: *mut ffi::AVStream) -> bool {
    // SAFETY: comes from an open context.
    let codec = unsafe { &*(*stream).codecpar };
    codec.codec_id != ffi::AVCodecID::AV_CODEC_ID_NONE && codec.width > 0 && codec.height > 0
}

/// Whether the file ended in the middle of the packet.
fn is_partial(packet: &Packet, format: &str) -> bool {
    // NUT's demuxer says so only by room that it made and didn't fill.
    // SAFETY: a packet is valid while borrowed, its buffer while the packet is.
    let room = unsafe { (*packet.as_ptr()).buf.as_ref() }.map_or(0, |buffer| buffer.size);
    let padded = packet.size() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
    packet.is_corrupt() || (format == "nut" && room > padded)
}

pub(super) fn codec_name(stream: *mut ffi::AVStream) -> String {
    // SAFETY: comes from an open context; the name is a static string.
    let name = unsafe { std::ffi::CStr::from_ptr(ffi::avcodec_get_name((*(*stream).codecpar).codec_id)) };
    name.to_string_lossy().into_owned()
}

/// FFmpeg's own messages would tear progress bars; what matters of them is said in our errors.
fn silence() {
    static ONCE: Once = Once::new();
    // SAFETY: sets a global number.
    ONCE.call_once(|| unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) });
}

unsafe extern "C" fn deadline_passed(deadline: *mut c_void) -> c_int {
    // SAFETY: `Input::open` passed the address of its boxed deadline.
    let deadline = unsafe { *deadline.cast::<Option<Instant>>() };
    c_int::from(deadline.is_some_and(|d| Instant::now() > d))
}

/// Playlists and reference movies name other files and addresses; a clip may open none of them.
unsafe extern "C" fn refuse_to_open(
    _: *mut ffi::AVFormatContext,
    _: *mut *mut ffi::AVIOContext,
    _: *const std::ffi::c_char,
    _: c_int,
    _: *mut *mut ffi::AVDictionary,
) -> c_int {
    ffi::AVERROR(libc::EPERM)
}
