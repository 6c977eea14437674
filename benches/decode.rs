//! How much reading the frames of a clip costs beside FFmpeg's plain decoding of the whole clip, one thread.
//!
//! `cargo bench --bench decode -- [--frames N] [--size PX] FILE...`

use std::path::{Path, PathBuf};

use classify::{
    DecodeOptions,
    internals::video::read_frames,
    model::{Preprocess, Sampling},
};

/// Opens and decodes everything, as plainly as the library allows. Returns the number of pictures.
fn decode_all(path: &Path) -> usize {
    let mut input = ffmpeg_next::format::input(path).expect("opens");
    let stream = input.streams().best(ffmpeg_next::media::Type::Video).expect("a video");
    let index = stream.index();
    let context = ffmpeg_next::codec::Context::from_parameters(stream.parameters()).expect("a context");
    let mut decoder = context.decoder().video().expect("a decoder");
    let mut frame = ffmpeg_next::frame::Video::empty();
    let mut pictures = 0;
    for (stream, packet) in input.packets() {
        if stream.index() == index {
            let _ = decoder.send_packet(&packet);
            while decoder.receive_frame(&mut frame).is_ok() {
                pictures += 1;
            }
        }
    }
    let _ = decoder.send_eof();
    while decoder.receive_frame(&mut frame).is_ok() {
        pictures += 1;
    }
    pictures
}

/// Seconds that this thread has computed: waiting for a busy machine doesn't count.
fn cpu_time() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `now` only.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let (mut frames, mut size) = (16, 160);
    let mut clips: Vec<PathBuf> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok()).expect("a number");
        match argument.as_str() {
            "--frames" => frames = number(),
            "--size" => size = number(),
            "--bench" => (),
            file => clips.push(file.into()),
        }
    }
    if clips.is_empty() {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        clips = ["jumping_jacks.mp4", "bikes.mp4"].map(|name| samples.join(name)).into();
    }
    let sampling = Sampling::spread(1, frames);
    let preprocess = Preprocess::new(size, 127.0, 128.0);
    let (mut ours, mut plain, mut pictures) = (Vec::new(), Vec::new(), 0);
    for _ in 0..5 {
        let start = cpu_time();
        for clip in &clips {
            read_frames(clip, &sampling, &preprocess, &DecodeOptions::default()).expect("frames");
        }
        ours.push(cpu_time() - start);
        let start = cpu_time();
        pictures = clips.iter().map(|clip| decode_all(clip)).sum();
        plain.push(cpu_time() - start);
    }
    let (ours, plain, n) = (median(ours), median(plain), clips.len() as f64);
    println!("{} clips, {pictures} pictures, one thread, CPU time, medians of 5", clips.len());
    println!(
        "read_frames, {frames} frames at {size}: {:.1} clips/s ({:.2} ms a clip)",
        n / ours,
        ours / n * 1e3
    );
    println!("plain decoding of all pictures: {:.1} clips/s ({:.2} ms a clip)", n / plain, plain / n * 1e3);
    println!("ratio: {:.2} × plain decoding's speed", plain / ours);
}
