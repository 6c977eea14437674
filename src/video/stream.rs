//! Bytes that FFmpeg gets from us, where they are in no file.

use std::ffi::{c_int, c_void};
use std::io::{Read, Seek, SeekFrom};
use std::ptr;

use ffmpeg_next::ffi;

use crate::stores::Source;

/// FFmpeg reads so many bytes at a time.
const BUFFER: usize = 64 << 10;

/// A source as FFmpeg reads it.
pub(super) struct Stream {
    source: Box<dyn Source>,
    /// Why it can't be read any more.
    failure: Option<String>,
}

impl Stream {
    pub(super) fn new(source: Box<dyn Source>) -> Self {
        Self { source, failure: None }
    }

    /// Why the last read failed, where one did: FFmpeg takes that for the stream's end.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What FFmpeg reads this stream by; null where there is no memory. It must be closed by [`close`] before the stream
    /// goes.
    pub(super) fn context(self: &mut Box<Self>) -> *mut ffi::AVIOContext {
        let stream: *mut c_void = ptr::from_mut(self.as_mut()).cast();
        // SAFETY: the buffer is FFmpeg's own; the stream is boxed, so that its address stays.
        unsafe {
            let buffer = ffi::av_malloc(BUFFER);
            if buffer.is_null() {
                return ptr::null_mut();
            }
            let context = ffi::avio_alloc_context(
                buffer.cast(),
                BUFFER as c_int,
                0,
                stream,
                Some(read),
                None,
                Some(seek),
            );
            if context.is_null() {
                ffi::av_free(buffer);
            }
            context
        }
    }
}

/// Frees what [`Stream::context`] gave.
///
/// # Safety
/// It must be such a context, or null, and nothing may use it any more.
pub(super) unsafe fn close(context: &mut *mut ffi::AVIOContext) {
    if !context.is_null() {
        // SAFETY: as the caller says; FFmpeg may have put another buffer in the place of ours.
        unsafe {
            ffi::av_freep(ptr::from_mut(&mut (**context).buffer).cast());
            ffi::avio_context_free(context);
        }
    }
}

unsafe extern "C" fn read(stream: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    // SAFETY: the stream lives as long as its context, and FFmpeg's buffer has `size` bytes.
    let (stream, buffer) = unsafe {
        (
            &mut *stream.cast::<Stream>(),
            std::slice::from_raw_parts_mut(buffer, usize::try_from(size).unwrap_or(0)),
        )
    };
    match stream.source.read(buffer) {
        Ok(0) => ffi::AVERROR_EOF,
        Ok(n) => n as c_int,
        Err(error) => {
            stream.failure.get_or_insert(error.to_string());
            ffi::AVERROR(libc::EIO)
        }
    }
}

unsafe extern "C" fn seek(stream: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: as above.
    let source = unsafe { &mut (*stream.cast::<Stream>()).source };
    let to = match whence & !(ffi::AVSEEK_FORCE as c_int) {
        whence if whence == ffi::AVSEEK_SIZE as c_int => {
            return source.size().ok().and_then(|size| i64::try_from(size).ok()).unwrap_or(-1);
        }
        libc::SEEK_SET => u64::try_from(offset).map(SeekFrom::Start).ok(),
        libc::SEEK_CUR => Some(SeekFrom::Current(offset)),
        libc::SEEK_END => Some(SeekFrom::End(offset)),
        _ => None,
    };
    let position = to.and_then(|to| source.seek(to).ok());
    position
        .and_then(|position| i64::try_from(position).ok())
        .unwrap_or(i64::from(ffi::AVERROR(libc::EINVAL)))
}
