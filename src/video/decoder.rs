//! The decoder: packets in, pictures out.

use std::ffi::c_int;
use std::ptr;

use ffmpeg_next::{Error as FfmpegError, Packet, ffi, frame, packet::Ref};

use super::input::{Input, MAX_PIXELS};
use crate::{Error, Result};

pub(super) struct Decoder {
    context: *mut ffi::AVCodecContext,
    /// Packets that couldn't be decoded.
    pub errors: usize,
}

impl Decoder {
    /// A decoder for the video stream of `input`.
    ///
    /// `delay`: how many pictures may come before one that is shown earlier, where it is known;
    /// else the decoder finds out, at the risk of dropping pictures before it has.
    pub(super) fn open(input: &Input, threads: usize, delay: Option<usize>) -> Result<Self> {
        let stream = input.stream();
        // SAFETY: the stream is open; the context is freed by `drop`, also if opening it fails.
        let (decoder, code) = unsafe {
            let parameters = (*stream).codecpar;
            let codec = ffi::avcodec_find_decoder((*parameters).codec_id);
            let context = ffi::avcodec_alloc_context3(codec);
            if context.is_null() {
                return Err(Error::clip(&input.path, "out of memory"));
            }
            let decoder = Self { context, errors: 0 };
            let mut code = ffi::avcodec_parameters_to_context(context, parameters);
            (*context).pkt_timebase = (*stream).time_base;
            (*context).max_pixels = MAX_PIXELS;
            (*context).thread_count = threads.max(1) as c_int;
            (*context).thread_type = ffi::FF_THREAD_FRAME | ffi::FF_THREAD_SLICE;
            if let Some(delay) = delay {
                (*context).has_b_frames = (*context).has_b_frames.max(delay as c_int);
            }
            if code >= 0 {
                code = ffi::avcodec_open2(context, codec, ptr::null_mut());
            }
            (decoder, code)
        };
        if code < 0 {
            let reason = format!("its video can't be decoded ({})", FfmpegError::from(code));
            return Err(Error::clip(&input.path, reason));
        }
        Ok(decoder)
    }

    /// Whether pictures that no other picture needs are left out from here on.
    pub(super) fn skip_unneeded(&mut self, skip: bool) {
        let level = if skip { ffi::AVDiscard::AVDISCARD_NONREF } else { ffi::AVDiscard::AVDISCARD_DEFAULT };
        // SAFETY: the context is open; this field may change between packets.
        unsafe { (*self.context).skip_frame = level };
    }

    /// Whether decoding must begin with the file's first packet.
    ///
    /// Only there does the encoder x264 give its version, by which the decoder knows of a mistake that it
    /// made in 4:4:4 pictures.
    pub(super) fn needs_start(&self) -> bool {
        // SAFETY: the context is open; its extra data is as long as it says.
        let (codec, extra) = unsafe {
            let context = &*self.context;
            let size = usize::try_from(context.extradata_size).unwrap_or(0);
            let data = if context.extradata.is_null() {
                &[]
            } else {
                std::slice::from_raw_parts(context.extradata, size)
            };
            (context.codec_id, data)
        };
        // The configuration record of H.264: version 1, then the profile.
        codec == ffi::AVCodecID::AV_CODEC_ID_H264 && matches!(extra, [1, 244, ..])
    }

    /// Hands over a packet, or the end of the stream. A damaged one costs its own pictures only.
    pub(super) fn send(&mut self, packet: Option<&Packet>) {
        let packet = packet.map_or(ptr::null(), |p| p.as_ptr());
        // SAFETY: the context is open; the packet outlives the call.
        let code = unsafe { ffi::avcodec_send_packet(self.context, packet) };
        self.errors += usize::from(code < 0 && code != ffi::AVERROR_EOF);
    }

    /// The next picture, if one is ready.
    pub(super) fn receive(&mut self) -> Option<frame::Video> {
        // Decoders with threads report the errors of several packets one after the other.
        for _ in 0..64 {
            let mut frame = frame::Video::empty();
            // SAFETY: the context is open, the frame empty.
            match unsafe { ffi::avcodec_receive_frame(self.context, frame.as_mut_ptr()) } {
                0 => return Some(frame),
                ffi::AVERROR_EOF => return None,
                code if code == ffi::AVERROR(libc::EAGAIN) => return None,
                _ => self.errors += 1,
            }
        }
        None
    }

    /// Whether leaving out unneeded pictures changes nothing about the others.
    ///
    /// True where a picture's own header says whether any other needs it. HEVC is not among them:
    /// there it says so of one temporal layer only.
    pub(super) fn can_skip_unneeded(&self) -> bool {
        use ffi::AVCodecID::*;
        // SAFETY: the context is open.
        let codec = unsafe { (*self.context).codec_id };
        [AV_CODEC_ID_H264, AV_CODEC_ID_MPEG1VIDEO, AV_CODEC_ID_MPEG2VIDEO, AV_CODEC_ID_MPEG4, AV_CODEC_ID_VP8]
            .contains(&codec)
    }

    /// Forgets all pictures, to start anew at a keyframe.
    pub(super) fn flush(&mut self) {
        // SAFETY: the context is open.
        unsafe { ffi::avcodec_flush_buffers(self.context) };
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: owned.
        unsafe { ffi::avcodec_free_context(&mut self.context) };
    }
}

/// When a decoded picture is shown, in the stream's ticks.
pub(super) fn timestamp(frame: &frame::Video) -> Option<i64> {
    // The wrapper's `timestamp` is FFmpeg's best guess where the packet had no time.
    frame.pts().or_else(|| frame.timestamp())
}

/// The stamps of pictures whose packets don't all have one.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    /// Whether some have.
    some: bool,
}

impl Stamps {
    /// When a decoded picture is shown, in the stream's ticks, as far as it is known. FFmpeg's guess goes by when
    /// a picture is decoded: that is another time than those of pictures that say when they are shown.
    pub(super) fn next(&mut self, frame: &frame::Video) -> Option<i64> {
        self.some |= frame.pts().is_some();
        if self.some { frame.pts() } else { frame.timestamp() }
    }
}
