//! The frames that are seen are the right ones: container × codec × trouble, told by the numbers in the pictures,
//! on every way through a video.

mod barcodes;

use std::fs;
use std::path::{Path, PathBuf};

use barcodes::{RATE, draw, ffmpeg, frames, has_ffmpeg, numbers, sampled, watched};
use classify::model::Sampling;

/// What a video shows: each picture's start in seconds and number, and when the last one ends.
struct Film {
    shows: Vec<(f64, u16)>,
    duration: f64,
}

/// Pictures one after the other.
fn film(numbers: impl IntoIterator<Item = u16>) -> Film {
    let shows: Vec<(f64, u16)> = numbers.into_iter().enumerate().map(|(i, n)| (i as f64 / RATE, n)).collect();
    Film { duration: shows.len() as f64 / RATE, shows }
}

impl Film {
    /// The pictures from the one with this number on come so many seconds later.
    fn with_a_pause(mut self, number: u16, seconds: f64) -> Self {
        self.shows.iter_mut().filter(|(_, n)| *n >= number).for_each(|(start, _)| *start += seconds);
        self.duration += seconds;
        self
    }

    fn at(&self, moment: f64) -> u16 {
        self.shows[self.shows.partition_point(|(start, _)| *start <= moment).saturating_sub(1)].1
    }
}

const FRAMES: usize = 16;

/// What is wrong with the frames of `path`, on any way.
fn faults(path: &Path, film: &Film) -> Vec<String> {
    let ways = [
        ("memory", frames(path, FRAMES, usize::MAX)),
        ("jumps", frames(path, FRAMES, 0)),
        ("picture by picture", watched(path, FRAMES)),
    ];
    let fault = |(way, seen): (&str, classify::Result<classify::Frames>)| {
        let name = path.file_name().unwrap().display();
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => return Some(format!("{name} {way}: {error}")),
        };
        if (seen.duration - film.duration).abs() > 0.02 || !seen.warnings.is_empty() {
            let (is, wanted) = (seen.duration, film.duration);
            return Some(format!("{name} {way}: {is} s instead of {wanted}, {:?}", seen.warnings));
        }
        // Some containers count in milliseconds.
        let moment = |i: usize| (i as f64 + 0.5) * film.duration / FRAMES as f64;
        let is_right = |(i, number): (usize, &Option<u16>)| {
            [-3e-3, 3e-3].iter().any(|off| Some(film.at(moment(i) + off)) == *number)
        };
        let numbers = numbers(&seen);
        let right = numbers.iter().enumerate().all(is_right);
        (!right).then(|| {
            let wanted: Vec<u16> = (0..FRAMES).map(|i| film.at(moment(i))).collect();
            format!("{name} {way}: {numbers:?} instead of {wanted:?}")
        })
    };
    ways.into_iter().filter_map(fault).collect()
}

/// Checks films that are made in `dir`; says so where this ffmpeg can't make one.
fn check(made: impl IntoIterator<Item = (PathBuf, Option<Film>)>) {
    let mut all = Vec::new();
    for (path, film) in made {
        match film {
            Some(film) => all.extend(faults(&path, &film)),
            None => println!("skipped: this ffmpeg can't make {}", path.display()),
        }
    }
    assert!(all.is_empty(), "{all:#?}");
}

const X264: &str = "-c:v libx264 -pix_fmt yuv420p -qp 10 -g 25 -bf 3";
const NO_DELAY: &str = "-c:v libx264 -pix_fmt yuv420p -qp 10 -g 25 -bf 0";

#[test]
fn in_every_container() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), "source.mkv", 0..100);
    let made = [
        ("h264.mp4", X264),
        ("h264.mov", X264),
        ("h264.mkv", X264),
        ("h264.flv", X264),
        ("h264.ts", X264),
        ("h264.m2ts", X264),
        ("h264.avi", NO_DELAY),
        ("h264.h264", X264),
        ("fragments.mp4", "-c:v libx264 -pix_fmt yuv420p -g 25 -movflags frag_keyframe+empty_moov"),
        ("hevc.mp4", "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p"),
        ("mpeg4.mp4", "-c:v mpeg4 -q:v 2 -bf 2"),
        ("mpeg4.avi", "-c:v mpeg4 -q:v 2"),
        ("mpeg4.nut", "-c:v mpeg4 -q:v 2 -bf 2"),
        ("mjpeg.avi", "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"),
        ("mpeg2.ts", "-c:v mpeg2video -q:v 2 -bf 2"),
        ("mpeg2.mpg", "-c:v mpeg2video -q:v 2 -bf 2"),
        ("mpeg2.mxf", "-c:v mpeg2video -q:v 2"),
        ("mpeg2.m2v", "-c:v mpeg2video -q:v 2"),
        ("flv1.flv", "-c:v flv1 -q:v 2"),
        ("wmv2.asf", "-c:v wmv2 -q:v 2"),
        ("vp8.webm", "-c:v libvpx -b:v 1M -auto-alt-ref 1 -lag-in-frames 16"),
        ("vp8.ivf", "-c:v libvpx -b:v 1M"),
        ("vp9.webm", "-c:v libvpx-vp9 -b:v 1M -cpu-used 8"),
        ("theora.ogv", "-c:v libtheora -q:v 10"),
        ("gif.gif", "-c:v gif"),
        ("raw.y4m", "-pix_fmt yuv420p"),
        ("ffv1.mkv", "-c:v ffv1"),
    ];
    check(made.map(|(name, codec)| {
        let made = ffmpeg(dir.path(), &format!("-i source.mkv {codec} {name}"));
        (dir.path().join(name), made.then(|| film(0..100)))
    }));
}

#[test]
fn cut_without_encoding() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), "source.mkv", 0..100);
    assert!(ffmpeg(dir.path(), &format!("-i source.mkv {X264} whole.mp4")));
    // MP4 hides what comes before the cut; the others show all since the keyframe.
    let made = [("cut.mp4", 38), ("cut.mov", 38), ("cut.mkv", 25), ("cut.ts", 25), ("cut.flv", 25)];
    let cut = |(name, first): (&str, u16)| {
        let made = ffmpeg(dir.path(), &format!("-ss 1.52 -i whole.mp4 -c copy {name}"));
        (dir.path().join(name), made.then(|| film(first..100)))
    };
    let mut made: Vec<_> = made.map(cut).into();
    // Start and length of each edit in pictures, or a pause (no start) of that length.
    let whole = fs::read(dir.path().join("whole.mp4")).unwrap();
    assert!(ffmpeg(dir.path(), &format!("-i source.mkv {NO_DELAY} simple.mp4")));
    let simple = fs::read(dir.path().join("simple.mp4")).unwrap();
    for (name, whole, edits) in [
        ("tail.mp4", &whole, &[(Some(25), 50)][..]),
        ("pause.mp4", &whole, &[(None, 50), (Some(0), 100)]),
        ("pause_and_cut.mp4", &whole, &[(None, 50), (Some(38), 42)]),
        // FFmpeg hides a picture too many where an edit begins among pictures that are out of order.
        ("edits.mp4", &simple, &[(Some(50), 25), (Some(12), 25), (Some(80), 15)]),
        ("twice.mp4", &simple, &[(Some(30), 30), (Some(30), 30)]),
    ] {
        let shown = edits.iter().filter_map(|(start, length)| start.map(|start| start..start + length));
        fs::write(dir.path().join(name), with_edits(whole, edits)).unwrap();
        made.push((dir.path().join(name), Some(film(shown.flatten()))));
    }
    check(made);
}

/// An MP4 of ffmpeg's with another edit list.
fn with_edits(mp4: &[u8], edits: &[(Option<u16>, u16)]) -> Vec<u8> {
    let find = |name: &[u8]| mp4.windows(4).rposition(|window| window == name).unwrap() - 4;
    let (movie, track, list) = (find(b"moov"), find(b"trak"), find(b"elst"));
    let (edts, length) = (find(b"edts"), number(mp4, list) as usize);
    // The file's own list starts at the first picture; the media's clock stands in its head.
    let (first, scale) = (number(mp4, list + 20), number(mp4, find(b"mdhd") + 20));
    let mut new = [16 + 12 * edits.len() as u32, u32::from_be_bytes(*b"elst"), 0, edits.len() as u32]
        .map(u32::to_be_bytes)
        .concat();
    for (start, pictures) in edits {
        let start = start.map_or(u32::MAX, |start| first + u32::from(start) * scale / RATE as u32);
        let milliseconds = u32::from(*pictures) * 1000 / RATE as u32;
        new.extend([milliseconds, start, 1 << 16].map(u32::to_be_bytes).concat());
    }
    let mut mp4 = mp4.to_vec();
    let grown = (new.len() as u32).wrapping_sub(length as u32);
    for at in [movie, track, edts] {
        let size = number(&mp4, at).wrapping_add(grown);
        mp4[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    mp4.splice(list..list + length, new);
    mp4
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn joined_recordings() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), "a.mkv", 0..100);
    draw(dir.path(), "b.mkv", 100..200);
    let mut made = Vec::new();
    for (ending, codec) in [("ts", X264), ("mpg", "-c:v mpeg2video -q:v 2 -bf 2")] {
        // Seconds at which the two recordings' clocks start.
        for (i, (a, b)) in [(0, 0), (0, 7200), (7200, 0), (20, 10)].into_iter().enumerate() {
            let name = format!("joined{i}.{ending}");
            let part = |source: &str, offset: i32| {
                let arguments =
                    format!("-i {source}.mkv {codec} -output_ts_offset {offset} {source}.{ending}");
                ffmpeg(dir.path(), &arguments)
                    .then(|| fs::read(dir.path().join(format!("{source}.{ending}"))))
            };
            let parts = part("a", a).zip(part("b", b));
            if let Some((a, b)) = parts {
                fs::write(dir.path().join(&name), [a.unwrap(), b.unwrap()].concat()).unwrap();
            }
            made.push((dir.path().join(&name), dir.path().join(&name).exists().then(|| film(0..200))));
        }
    }
    // Twenty seconds between them on one clock were twenty seconds.
    let later = "-output_ts_offset 24";
    assert!(ffmpeg(dir.path(), &format!("-i a.mkv {NO_DELAY} a.ts")));
    assert!(ffmpeg(dir.path(), &format!("-i b.mkv {NO_DELAY} {later} b.ts")));
    let parts = ["a.ts", "b.ts"].map(|name| fs::read(dir.path().join(name)).unwrap());
    fs::write(dir.path().join("pause.ts"), parts.concat()).unwrap();
    made.push((dir.path().join("pause.ts"), Some(film(0..200).with_a_pause(100, 20.0))));
    check(made);
}

#[test]
fn time_stamps_that_leap() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), "source.mkv", 0..100);
    assert!(ffmpeg(dir.path(), &format!("-i source.mkv {NO_DELAY} simple.mp4")));
    assert!(ffmpeg(dir.path(), &format!("-i source.mkv {X264} delayed.mp4")));
    let from_the_middle =
        "-bsf:v setts=pts=if(gte(N\\,50)\\,PTS+3000/TB\\,PTS):dts=if(gte(N\\,50)\\,DTS+3000/TB\\,DTS)";
    let from_the_second =
        "-bsf:v setts=pts=if(gte(N\\,1)\\,PTS+3000/TB\\,PTS):dts=if(gte(N\\,1)\\,DTS+3000/TB\\,DTS)";
    let one = "-bsf:v setts=pts=if(eq(N\\,50)\\,PTS+3000/TB\\,PTS)";
    // Muxers that don't go back let the clock stand still after a bogus stamp.
    let standing = "-bsf:v setts=ts=if(eq(N\\,50)\\,TS+3000/TB\\,TS)";
    let mut made = Vec::new();
    for ending in ["mkv", "flv", "nut", "ts", "mp4", "mov"] {
        for (name, source, filter) in [
            ("middle", "simple", from_the_middle),
            ("delayed", "delayed", from_the_middle),
            ("second", "simple", from_the_second),
            ("one", "simple", one),
            ("one_delayed", "delayed", one),
        ] {
            let name = format!("{name}.{ending}");
            let made_it = ffmpeg(dir.path(), &format!("-i {source}.mp4 -c copy {filter} {name}"));
            made.push((dir.path().join(name), made_it.then(|| film(0..100))));
        }
    }
    for name in ["standing.mkv", "standing.flv"] {
        let made_it = ffmpeg(dir.path(), &format!("-i simple.mp4 -c copy {standing} {name}"));
        made.push((dir.path().join(name), made_it.then(|| film(0..100))));
    }
    check(made);
}

#[test]
fn pauses_that_are_real() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), "source.mkv", 0..100);
    let mut made = Vec::new();
    for ending in ["mkv", "mp4", "ts", "flv", "nut"] {
        let name = format!("pause.{ending}");
        let pause = "-vf setpts='if(lt(N,50),PTS,PTS+20/TB)' -fps_mode vfr";
        let made_it = ffmpeg(dir.path(), &format!("-i source.mkv {pause} {X264} {name}"));
        made.push((dir.path().join(name), made_it.then(|| film(0..100).with_a_pause(50, 20.0))));
        // A picture every ten seconds.
        let name = format!("slow.{ending}");
        let made_it = ffmpeg(dir.path(), &format!("-r 1/10 -i source.mkv -frames:v 12 {NO_DELAY} {name}"));
        let slow =
            Film { shows: (0..12).map(|i| (f64::from(i) * 10.0, i as u16)).collect(), duration: 120.0 };
        made.push((dir.path().join(name), made_it.then_some(slow)));
    }
    check(made);
}

#[test]
fn strides_count_pictures_at_any_rate() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), "source.mkv", 0..301);
    draw(dir.path(), "short.mkv", 0..30);
    // Every tenth picture stays as long as six; every third comes early.
    let uneven = "-vf setpts='(N+5*floor(N/10)-0.4*not(mod(N,3)))/25/TB' -fps_mode passthrough";
    let mut faults = Vec::new();
    for (name, made) in [
        ("25.mp4", format!("-i source.mkv {X264}")),
        ("25.mkv", format!("-i source.mkv {X264}")),
        ("25.ts", format!("-i source.mkv {X264}")),
        ("25.h264", format!("-i source.mkv {X264}")),
        ("25.avi", format!("-i source.mkv {NO_DELAY}")),
        ("30.mp4", format!("-r 30 -i source.mkv {X264}")),
        ("30.mkv", format!("-r 30000/1001 -i source.mkv {X264}")),
        ("30.webm", "-r 30 -i source.mkv -c:v libvpx -b:v 1M -auto-alt-ref 1 -lag-in-frames 16".into()),
        ("uneven.mp4", format!("-i source.mkv {uneven} {X264}")),
        ("uneven.mkv", format!("-i source.mkv {uneven} {X264}")),
        ("uneven_no_delay.mp4", format!("-i source.mkv {uneven} {NO_DELAY}")),
        ("short.mp4", format!("-i short.mkv {X264}")),
    ] {
        if !ffmpeg(dir.path(), &format!("{made} {name}")) {
            println!("skipped: this ffmpeg can't make {name}");
            continue;
        }
        let last = if name.starts_with("short") { 28 } else { 300 };
        for (windows, starts) in [(1, vec![120]), (3, vec![0, 120, 240]), (4, vec![0, 80, 160, 240])] {
            let sampling = Sampling { stride: Some(4), ..Sampling::spread(windows, 16) };
            let frame = |start: u16, i: u16| Some(last.min(if last == 28 { 4 * i } else { start + 4 * i }));
            let wanted: Vec<_> = starts.iter().flat_map(|start| (0..16).map(|i| frame(*start, i))).collect();
            for memory in [0, usize::MAX] {
                let seen = numbers(&sampled(&dir.path().join(name), &sampling, memory).unwrap());
                if seen != wanted {
                    faults.push(format!("{name}, memory {memory}: {seen:?} instead of {wanted:?}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
