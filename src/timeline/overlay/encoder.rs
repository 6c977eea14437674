//! Pictures to a file, through FFmpeg's encoders.

use std::path::Path;

use ffmpeg_next::codec::{self, encoder};
use ffmpeg_next::format::{self, Pixel, context};
use ffmpeg_next::software::scaling;
use ffmpeg_next::{Dictionary, Error, Packet, Rational, color, frame};

use super::sound::Sound;
use crate::video::Shown;

/// Ticks a second: all usual frame rates come out even, and MPEG-4 takes no more than 65,535.
const TICKS: i32 = 60_000;

/// Encoders of WebM and of all other containers, by FFmpeg's names, the better ones first. The distributions'
/// FFmpeg has libx264; one that is LGPL, as in the portable program, has not.
const WEBM: &[&str] = &["libvpx-vp9", "libvpx"];
const OTHERS: &[&str] = &[H264, "mpeg4"];
const H264: &str = "libx264";

/// The encoders that this FFmpeg has, of those that videos are written with.
pub(crate) fn encoders() -> Vec<&'static str> {
    let all = [WEBM, OTHERS].into_iter().flatten().copied();
    all.filter(|name| encoder::find_by_name(name).is_some()).collect()
}

pub(in crate::timeline) struct Encoder {
    output: context::Output,
    encoder: encoder::Video,
    scaler: scaling::Context,
    rgb: frame::Video,
    yuv: frame::Video,
    last: i64,
    /// How long the last picture is shown, in ticks: no other packet says when the video ends.
    length: i64,
    has_sound: bool,
}

impl Encoder {
    /// Starts the file `path`, whose ending names the container.
    pub(in crate::timeline) fn open(
        path: &Path,
        (width, height): (u32, u32),
        fps: Option<f64>,
        threads: usize,
        sound: Option<&Sound>,
    ) -> Result<Self, Error> {
        // The wrapper panics on names that aren't UTF-8.
        path.to_str().ok_or(Error::InvalidData)?;
        let mut output = format::output(path)?;
        let webm = output.format().name() == "webm";
        let mut wanted = if webm { WEBM } else { OTHERS }.iter();
        let codec = wanted.find_map(|name| encoder::find_by_name(name)).ok_or(Error::EncoderNotFound)?;
        let mut context = codec::Context::new_with_codec(codec);
        context.set_threading(codec::threading::Config::count(threads));
        let mut video = context.encoder().video()?;
        video.set_width(width);
        video.set_height(height);
        video.set_format(Pixel::YUV420P);
        video.set_time_base(Rational(1, TICKS));
        if let Some(fps) = fps {
            video.set_frame_rate(Some(Rational((fps * 1000.0).round() as i32, 1000)));
        }
        // What the scaler makes of RGB.
        video.set_colorspace(color::Space::SMPTE170M);
        video.set_color_range(color::Range::MPEG);
        if output.format().flags().contains(format::Flags::GLOBAL_HEADER) {
            video.set_flags(codec::Flags::GLOBAL_HEADER);
        }
        let mut options = Dictionary::new();
        match codec.name() {
            H264 => {
                options.set("crf", "20");
                options.set("preset", "veryfast");
            }
            "mpeg4" => options.set("qscale", "3"),
            _ => options.set("deadline", "realtime"),
        }
        if codec.name() == "mpeg4" {
            video.set_bit_rate((width * height * 4) as usize);
        }
        let video = video.open_with(options)?;
        output.add_stream(codec)?.set_parameters(&video);
        if let Some(sound) = sound {
            let mut stream = output.add_stream(encoder::find(codec::Id::None))?;
            stream.set_parameters(sound.parameters());
            stream.set_time_base(sound.time_base());
            // SAFETY: the stream was just added; another container has other tags.
            unsafe { (*(*stream.as_mut_ptr()).codecpar).codec_tag = 0 };
        }
        output.write_header()?;
        let flags = scaling::Flags::BILINEAR;
        let scaler =
            scaling::Context::get(Pixel::RGB24, width, height, Pixel::YUV420P, width, height, flags)?;
        Ok(Self {
            output,
            encoder: video,
            scaler,
            rgb: frame::Video::new(Pixel::RGB24, width, height),
            yuv: frame::Video::new(Pixel::YUV420P, width, height),
            last: -1,
            length: 0,
            has_sound: sound.is_some(),
        })
    }

    /// Whether it writes MPEG-4 for want of an H.264 encoder: larger files, which browsers don't play.
    pub(super) fn is_makeshift(&self) -> bool {
        self.encoder.id() == codec::Id::MPEG4
    }

    /// The next picture, `u8 [height, width, 3]`.
    pub(in crate::timeline) fn picture(&mut self, rgb: &[u8], shown: Shown) -> Result<(), Error> {
        let row = self.rgb.width() as usize * 3;
        let stride = self.rgb.stride(0);
        for (from, to) in rgb.chunks_exact(row).zip(self.rgb.data_mut(0).chunks_mut(stride)) {
            to[..row].copy_from_slice(from);
        }
        // The encoder may still hold the last one.
        self.yuv = frame::Video::new(Pixel::YUV420P, self.rgb.width(), self.rgb.height());
        self.scaler.run(&self.rgb, &mut self.yuv)?;
        let ticks = |seconds: f64| (seconds * f64::from(TICKS)).round() as i64;
        self.last = ticks(shown.start).max(self.last + 1);
        self.length = ticks(shown.end - shown.start).max(1);
        self.yuv.set_pts(Some(self.last));
        self.encoder.send_frame(&self.yuv)?;
        self.write()
    }

    /// Passes on the sound up to `until` seconds; `shift`: the time of the first picture in the film.
    pub(super) fn sound(&mut self, sound: &mut Sound, until: f64, shift: f64) -> Result<(), Error> {
        if !self.has_sound {
            return Ok(());
        }
        let base = self.output.stream(1).ok_or(Error::StreamNotFound)?.time_base();
        while let Some(mut packet) = sound.next(until + shift) {
            let ticks = (shift / f64::from(sound.time_base())).round() as i64;
            packet.set_pts(packet.pts().map(|t| t - ticks));
            packet.set_dts(packet.dts().map(|t| t - ticks));
            if packet.pts().is_some_and(|t| t < 0) {
                continue;
            }
            packet.rescale_ts(sound.time_base(), base);
            packet.set_stream(1);
            packet.set_position(-1);
            packet.write_interleaved(&mut self.output)?;
        }
        Ok(())
    }

    /// Writes what the encoder has ready.
    fn write(&mut self) -> Result<(), Error> {
        let base = self.output.stream(0).ok_or(Error::StreamNotFound)?.time_base();
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            packet.set_stream(0);
            packet.set_duration(self.length);
            packet.rescale_ts(Rational(1, TICKS), base);
            packet.write_interleaved(&mut self.output)?;
        }
        Ok(())
    }

    pub(in crate::timeline) fn finish(mut self) -> Result<(), Error> {
        self.encoder.send_eof()?;
        self.write()?;
        self.output.write_trailer()
    }
}
