//! What comes out of small clips of every kind that people have. `clips/make.sh` says what is in them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use classify::Error;
use classify::{
    DecodeOptions, Frames, Span,
    internals::video::{probe, read_frames},
    model::{Preprocess, Resample, Sampling, Size},
};

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clips").join(name)
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

fn read(path: &Path, frames: usize, size: usize) -> classify::Result<Frames> {
    read_as(path, frames, &Preprocess::new(size, 127.0, 128.0))
}

fn read_as(path: &Path, frames: usize, preprocess: &Preprocess) -> classify::Result<Frames> {
    let sampling = Sampling::spread(1, frames);
    let options =
        DecodeOptions { deadline: Some(Instant::now() + Duration::from_secs(60)), ..Default::default() };
    read_frames(path, &sampling, preprocess, &options)
}

fn good(name: &str, frames: usize, size: usize) -> Frames {
    let frames = read(&clip(name), frames, size).unwrap();
    assert_eq!(frames.pixels.len(), frames.times.len() * frames.height * frames.width * 3);
    frames
}

/// Red, green and blue of the pixel at `x`, `y`.
fn pixel(frames: &Frames, frame: usize, x: usize, y: usize) -> [u8; 3] {
    let at = ((frame * frames.height + y) * frames.width + x) * 3;
    frames.pixels[at..][..3].try_into().unwrap()
}

/// The numbers of the counter's pictures, from their brightness (limited range: 16 is black, 235 white).
fn counts(frames: &Frames) -> Vec<i64> {
    let luma = |i| f64::from(pixel(frames, i, 10, 10)[0]) * 219.0 / 255.0 + 16.0;
    (0..frames.times.len()).map(|i| ((luma(i) - 20.0) / 8.0).round() as i64).collect()
}

fn close(times: &[f64], expected: &[f64]) -> bool {
    times.len() == expected.len() && times.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-3)
}

#[track_caller]
fn assert_colour(got: [u8; 3], expected: [u8; 3]) {
    let far = got.iter().zip(expected).any(|(g, e)| g.abs_diff(e) > 4);
    assert!(!far, "{got:?} instead of {expected:?}");
}

fn reason(path: &Path) -> String {
    match read(path, 4, 16) {
        Err(Error::Clip { path: named, reason }) => {
            assert_eq!(named, path);
            assert!(!reason.contains('\n'));
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_frame_on_screen_in_every_container() {
    for name in ["counter.mp4", "counter.mkv", "start100.ts", "counter.h264", "counter.avi"] {
        let frames = good(name, 5, 16);
        assert_eq!(counts(&frames), [2, 7, 12, 17, 22], "{name}");
        assert!(close(&frames.times, &[0.08, 0.28, 0.48, 0.68, 0.88]), "{name} {:?}", frames.times);
        assert!((frames.duration - 1.0).abs() < 2e-3, "{name} {}", frames.duration);
        assert!(frames.warnings.is_empty(), "{name} {:?}", frames.warnings);
        assert_eq!(counts(&good(name, 25, 16)), (0..25).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn windows_of_consecutive_frames() {
    let sampling = Sampling { fps: Some(25.0), ..Sampling::spread(2, 4) };
    let preprocess = Preprocess::new(16, 127.0, 128.0);
    let frames =
        read_frames(&clip("counter.mp4"), &sampling, &preprocess, &DecodeOptions::default()).unwrap();
    assert_eq!((frames.windows, frames.per_window), (2, 4));
    assert_eq!(counts(&frames), [0, 1, 2, 3, 21, 22, 23, 24]);
}

#[test]
fn a_stretch_is_looked_at_as_a_clip_of_its_own() {
    let preprocess = Preprocess::new(16, 127.0, 128.0);
    let read = |name: &str, sampling: &Sampling, start: f64, end: Option<f64>, memory: usize| {
        let span = Some(Span::new(start, end).unwrap());
        let options = DecodeOptions { memory, ..DecodeOptions::of(span) };
        read_frames(&clip(name), sampling, &preprocess, &options)
    };
    let spread = Sampling::spread(1, 5);
    for name in ["counter.mp4", "counter.mkv", "start100.ts", "counter.h264", "counter.avi"] {
        // In memory, and from one wanted picture to the next in the file.
        for memory in [48 << 20, 0] {
            let frames = read(name, &spread, 0.4, Some(0.6), memory).unwrap();
            assert_eq!(counts(&frames), [10, 11, 12, 13, 14], "{name}");
            assert!((frames.duration - 0.2).abs() < 2e-3, "{name} {}", frames.duration);
            assert!(close(&frames.times[..1], &[0.4]), "{name} {:?}", frames.times);
            assert!(frames.warnings.is_empty(), "{name} {:?}", frames.warnings);
            assert_eq!(
                counts(&read(name, &spread, 0.8, None, memory).unwrap()),
                [20, 21, 22, 23, 24],
                "{name}"
            );
            let all = read(name, &spread, 0.0, None, memory).unwrap();
            assert_eq!(counts(&all), counts(&good(name, 5, 16)), "{name}");
        }
    }
    let second = Sampling { stride: Some(2), ..Sampling::spread(1, 4) };
    assert_eq!(counts(&read("counter.mp4", &second, 0.4, Some(0.8), 48 << 20).unwrap()), [10, 12, 14, 16]);
    let paced = Sampling { fps: Some(25.0), ..Sampling::spread(2, 3) };
    assert_eq!(
        counts(&read("counter.mp4", &paced, 0.2, Some(0.6), 48 << 20).unwrap()),
        [5, 6, 7, 12, 13, 14]
    );
    let long = read("counter.mp4", &spread, 0.4, Some(9.0), 48 << 20).unwrap();
    assert!(long.warnings[0].contains("ends at 1.0 s"), "{:?}", long.warnings);
    let behind = read("counter.mp4", &spread, 1.0, Some(2.0), 48 << 20).unwrap_err().to_string();
    assert!(behind.contains("counter.mp4") && behind.contains("behind the video's end"), "{behind}");
}

#[test]
fn brightness_of_three_moments_makes_one_frame() {
    let read = |luma_lag| {
        let sampling = Sampling { luma_lag, ..Sampling::spread(1, 5) };
        let preprocess = Preprocess::new(16, 127.0, 128.0);
        read_frames(&clip("counter.mp4"), &sampling, &preprocess, &DecodeOptions::default()).unwrap()
    };
    // A fifth of a second apart, so that a frame's neighbours are the frames before and after.
    let (plain, mixed) = (read(None), read(Some(0.2)));
    assert_eq!(mixed.times, plain.times);
    let grey = |frame: usize, pixel: usize| {
        let rgb = &plain.pixels[(frame * 16 * 16 + pixel) * 3..][..3];
        0.299 * f32::from(rgb[0]) + 0.587 * f32::from(rgb[1]) + 0.114 * f32::from(rgb[2])
    };
    let mut changed = 0;
    for frame in 1..4 {
        for pixel in 0..16 * 16 {
            let rgb = &mixed.pixels[(frame * 16 * 16 + pixel) * 3..][..3];
            for (channel, value) in rgb.iter().enumerate() {
                let wanted = grey(frame + channel - 1, pixel);
                assert!((f32::from(*value) - wanted).abs() < 2.0, "{frame} {pixel} {rgb:?}: {wanted}");
            }
            changed += usize::from(rgb[0].abs_diff(rgb[2]) > 20);
        }
    }
    assert!(changed > 100, "{changed}");
}

#[test]
fn more_frames_than_there_are_repeat() {
    let frames = good("one.mp4", 3, 16);
    assert_eq!(counts(&frames), [0, 0, 0]);
    assert_eq!(frames.times, [0.0; 3]);
    assert_eq!(counts(&good("counter.gif", 10, 16)), [1, 1, 3, 3, 6, 6, 8, 8, 11, 11]);
}

#[test]
fn a_variable_rate_goes_by_time() {
    let frames = good("vfr.mkv", 5, 16);
    // The last picture lasts 0.04 s, so these are on screen at 0.2, 0.61, 1.02, 1.43 and 1.84 s.
    assert!((frames.duration - 2.04).abs() < 2e-3, "{}", frames.duration);
    assert_eq!(counts(&frames), [2, 2, 3, 3, 3]);
    assert!(close(&frames.times, &[0.2, 0.2, 1.0, 1.0, 1.0]), "{:?}", frames.times);
}

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const WHITE: [u8; 3] = [255; 3];

/// The colours of the four quarters, row by row.
fn quarters(frames: &Frames) -> [[u8; 3]; 4] {
    let (near, far) = (frames.width / 4, frames.width * 3 / 4);
    [(near, near), (far, near), (near, far), (far, far)].map(|(x, y)| pixel(frames, 0, x, y))
}

#[test]
fn pictures_are_upright_and_square() {
    for (name, expected) in [
        ("quarters.mp4", [RED, GREEN, BLUE, WHITE]),
        // Turned counterclockwise, as the display matrix of these files says.
        ("turned90.mp4", [GREEN, WHITE, RED, BLUE]),
        ("turned180.mp4", [WHITE, BLUE, GREEN, RED]),
        ("turned270.mp4", [BLUE, RED, WHITE, GREEN]),
        ("wide_pixels.mp4", [RED, GREEN, BLUE, WHITE]),
        ("odd_size.mp4", [RED, GREEN, BLUE, WHITE]),
        ("odd_size.webm", [RED, GREEN, BLUE, WHITE]),
        ("ten_bits.mp4", [RED, GREEN, BLUE, WHITE]),
    ] {
        for size in [32, 31, 200] {
            let frames = good(name, 1, size);
            for (got, expected) in quarters(&frames).into_iter().zip(expected) {
                let far = got.iter().zip(expected).any(|(g, e)| g.abs_diff(e) > 6);
                assert!(!far, "{name} at {size}: {got:?} instead of {expected:?}");
            }
            // Resized as the transformers library does it, cut and squashed.
            let resample = Some(Resample::Bicubic);
            let cut = Preprocess { resample, ..Preprocess::new(size, 127.0, 128.0) };
            let squashed = Preprocess { size: Size::Exact { height: size, width: size }, ..cut.clone() };
            for preprocess in [cut, squashed] {
                let frames = read_as(&clip(name), 1, &preprocess).unwrap();
                for (got, expected) in quarters(&frames).into_iter().zip(expected) {
                    let far = got.iter().zip(expected).any(|(g, e)| g.abs_diff(e) > 6);
                    assert!(!far, "{name} resized to {size}: {got:?} instead of {expected:?}");
                }
            }
        }
    }
}

#[test]
fn colours_are_true() {
    for name in
        ["colour_bt601_tv.mp4", "colour_bt709_tv.mp4", "colour_bt709_pc.mp4", "colour_bt2020nc_tv.mp4"]
    {
        assert_colour(pixel(&good(name, 1, 32), 0, 9, 20), [200, 100, 50]);
    }
}

/// Each of the chart's six colours.
fn chart(frames: &Frames, frame: usize) -> [[u8; 3]; 6] {
    let row = |y| [8, 24, 40].map(|x| pixel(frames, frame, x, y));
    let ([a, b, c], [d, e, f]) = (row(8), row(24));
    [a, b, c, d, e, f]
}

fn chart_of(name: &str) -> Frames {
    let mut preprocess = Preprocess::new(32, 127.0, 128.0);
    preprocess.crop_size.width = 48;
    read_as(&clip(name), 2, &preprocess).unwrap()
}

const CHART: [[u8; 3]; 6] = [[200, 100, 50], [60, 160, 90], [40, 70, 180], [128; 3], [255; 3], [0; 3]];
/// White of an HDR screen keeps some room above it.
const HDR_WHITE: [u8; 3] = [242; 3];

#[test]
fn hdr_and_wide_gamut_look_like_sdr() {
    let hdr = |i: usize| if i == 4 { HDR_WHITE } else { CHART[i] };
    let as_sdr = ["chart_bt709.mp4", "chart_bt2020.mp4", "chart_p3.mp4"];
    let as_hdr = ["chart_pq.mp4", "chart_pq_full.mp4", "chart_hlg.mp4", "chart_hlg_eight_bits.mp4"];
    for name in as_sdr.into_iter().chain(as_hdr) {
        let expected = if as_hdr.contains(&name) { std::array::from_fn(hdr) } else { CHART };
        let colours = chart(&chart_of(name), 1);
        let far =
            |(got, expected): (&[u8; 3], &[u8; 3])| got.iter().zip(expected).any(|(g, e)| g.abs_diff(*e) > 4);
        assert!(!colours.iter().zip(&expected).any(far), "{name}: {colours:?} instead of {expected:?}");
    }
}

#[test]
fn hdr_may_turn_into_sdr() {
    let mut preprocess = Preprocess::new(32, 127.0, 128.0);
    preprocess.crop_size.width = 48;
    let frames = read_as(&clip("chart_change.h265"), 4, &preprocess).unwrap();
    let whites = [0, 1, 2, 3].map(|frame| chart(&frames, frame)[4]);
    for (white, expected) in whites.into_iter().zip([HDR_WHITE, HDR_WHITE, [255; 3], [255; 3]]) {
        assert_colour(white, expected);
    }
    (0..4).for_each(|frame| assert_colour(chart(&frames, frame)[0], CHART[0]));
}

#[test]
fn interlaced_pictures_show_one_moment() {
    for (name, lines) in [
        ("interlaced.mp4", 64),
        ("interlaced_420p_65.mkv", 65),
        ("interlaced_420p_62.mkv", 62),
        ("interlaced_422p_63.mkv", 63),
    ] {
        // One line of the woven picture would be one line of the frame, combs and all.
        let frames = good(name, 4, lines);
        // Pictures 1, 3 and 6: in the first field, the bar covers 16 columns around 18 + 8n of 96.
        for (frame, picture) in [1, 3, 6].into_iter().enumerate() {
            let at = |x, y, channel: usize| f64::from(pixel(&frames, frame, x, y)[channel]);
            for channel in 0..3 {
                for x in 0..lines {
                    let column: Vec<f64> = (0..lines).map(|y| at(x, y, channel)).collect();
                    let (least, most) =
                        column.iter().fold((255.0, 0.0), |(a, b): (f64, f64), x| (a.min(*x), b.max(*x)));
                    // A comb: 130 at least from line to line.
                    assert!(most - least < 40.0, "{name} {frame} {x} {channel}: {column:?}");
                }
            }
            for y in [0, lines / 2, lines - 1] {
                let lit: Vec<f64> =
                    (0..lines).filter(|x| at(*x, y, 0) > 128.0).map(|x| x as f64 + 0.5).collect();
                let middle = lit.iter().sum::<f64>() / lit.len() as f64;
                let expected = f64::from(18 + 8 * picture) - (96 - lines) as f64 / 2.0;
                assert!((middle - expected).abs() <= 1.0, "{name} {frame} {y}: {middle}, not {expected}");
                assert!((15..=17).contains(&lit.len()), "{name} {frame} {y}: {} columns", lit.len());
            }
        }
    }
}

#[test]
fn a_change_of_size_changes_nothing() {
    let frames = good("size_change.h264", 10, 32);
    for i in 0..10 {
        for (corner, expected) in [((4, 4), RED), ((28, 4), GREEN), ((4, 28), BLUE), ((28, 28), WHITE)] {
            let got = pixel(&frames, i, corner.0, corner.1);
            assert!(got.iter().zip(expected).all(|(g, e)| g.abs_diff(e) <= 6), "{i} {got:?}");
        }
    }
}

#[test]
fn a_cut_off_clip_shows_what_it_has_and_says_so() {
    let frames = good("truncated.mp4", 4, 16);
    assert!(frames.warnings[0].starts_with("truncated: it ends after 0."), "{:?}", frames.warnings);
    assert!(frames.warnings[0].ends_with("of 1.0 s"), "{:?}", frames.warnings);
    let shown = counts(&frames);
    assert!(shown.is_sorted() && shown[0] <= 3 && shown[3] >= 10 && shown[3] < 20, "{shown:?}");
}

#[test]
fn what_is_no_clip_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    assert_eq!(reason(&folder.path().join("none.mp4")), "no such file");
    assert_eq!(reason(folder.path()), "is a folder, not a clip");
    assert_eq!(reason(&file("empty.mp4", b"")), "is empty (0 bytes)");
    assert_eq!(
        reason(&file("text.mp4", b"Dear diary, today I learned what a moov atom is.\n")),
        "not a video that FFmpeg can read"
    );
    assert!(reason(&clip("no_index.mp4")).starts_with("truncated: its index (moov) is missing"));
    assert!(reason(&clip("half_index.mp4")).starts_with("truncated: its index (moov) is missing"));
    assert_eq!(reason(&clip("sound.wav")), "has no video stream");
    assert_eq!(reason(&clip("cover.m4a")), "has no video stream (only a cover picture)");
    let target = clip("counter.mp4");
    let list = format!("ffconcat version 1.0\nfile {}\n", target.display());
    let hls = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n", target.display());
    for (name, content) in [("a.ffconcat", &list), ("a.mp4", &list), ("b.m3u8", &hls), ("b.mp4", &hls)] {
        let said = reason(&file(name, content.as_bytes()));
        assert!(said.contains("playlist") || said.starts_with("not a video"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn any_name_will_do_and_pipes_do_not_block() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let names: [&[u8]; 4] = [b"caf\xe9.mp4", b"http:x.mp4", b"pipe:0", b"a%d b\nc.mp4"];
    for name in names {
        let path = folder.path().join(std::ffi::OsStr::from_bytes(name));
        std::fs::copy(clip("counter.mp4"), &path).unwrap();
        assert_eq!(counts(&read(&path, 1, 16).unwrap()), [12], "{path:?}");
    }
    let pipe = folder.path().join("pipe.mp4");
    let c_path = std::ffi::CString::new(pipe.as_os_str().as_bytes()).unwrap();
    // SAFETY: a valid string.
    assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
    assert_eq!(reason(&pipe), "is a pipe or a device, not a file");
}

#[test]
fn a_deadline_ends_the_work() {
    let sampling = Sampling::spread(1, 4);
    let options = DecodeOptions { deadline: Some(Instant::now()), ..DecodeOptions::default() };
    let error = read_frames(&sample("bikes.mp4"), &sampling, &Preprocess::new(16, 0.0, 1.0), &options);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("not decoded within its time limit"), "{text}");
}

/// Leaving out groups of pictures and pictures that nothing needs must not change a single byte.
#[test]
fn savings_are_exact() {
    for (name, all) in [("bikes.mp4", 250), ("jumping_jacks.mp4", 78), ("balance_beam.mp4", 100)] {
        let every = read(&sample(name), all, 32).unwrap();
        assert_eq!(every.warnings, [""; 0], "{name}");
        for n in [1, 4, 9, 16] {
            for threads in [1, 2] {
                let sampling = Sampling::spread(1, n);
                let options = DecodeOptions { threads, ..DecodeOptions::default() };
                let preprocess = Preprocess::new(32, 127.0, 128.0);
                let few = read_frames(&sample(name), &sampling, &preprocess, &options).unwrap();
                assert_eq!(few.warnings, [""; 0]);
                for (time, rgb) in few.times.iter().zip(few.pixels.chunks(32 * 32 * 3)) {
                    let same = every.times.iter().position(|t| (t - time).abs() < 1e-9).unwrap();
                    let expected = &every.pixels[same * 32 * 32 * 3..][..32 * 32 * 3];
                    assert!(rgb == expected, "{name}: the frame at {time} s of {n} differs");
                }
            }
        }
    }
}

/// The decoder drops pictures whose references lie before the keyframe that it began at, and others with them.
#[test]
fn open_groups_show_what_closed_ones_do() {
    for n in 1..=12 {
        let (open, closed) = (good("open_groups.mp4", n, 32), good("counter.mp4", n, 32));
        assert_eq!(counts(&open), counts(&closed), "{n} frames");
    }
}

#[test]
fn a_probe_tells_what_the_container_says() {
    let info = probe(&clip("turned90.mp4")).unwrap();
    assert_eq!((info.codec.as_str(), info.width, info.height), ("h264", 128, 128));
    assert_eq!((info.rotation, info.frames), (270, Some(1)));
    let info = probe(&clip("wide_pixels.mp4")).unwrap();
    assert_eq!((info.width, info.height, info.aspect), (64, 128, 2.0));
    let info = probe(&clip("counter.mp4")).unwrap();
    assert_eq!((info.fps, info.duration, info.rotation), (Some(25.0), Some(1.0), 0));
    assert!(probe(&clip("sound.wav")).is_err());
}

#[test]
fn black_bars_are_cut_off_alike_from_all_pictures() {
    let cut = Preprocess { cut_bars: true, ..Preprocess::new(64, 127.0, 128.0) };
    for name in ["bars.mp4", "bars_ten_bits.mp4"] {
        let frames = read_as(&clip(name), 10, &cut).unwrap();
        // A black picture doesn't say what there is to cut; the ones after it do.
        assert_colour(pixel(&frames, 0, 1, 1), [0, 0, 0]);
        for frame in 5..10 {
            let colours = [(1, 1), (62, 1), (1, 62), (62, 62)].map(|(x, y)| pixel(&frames, frame, x, y));
            let quarters = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
            colours.into_iter().zip(quarters).for_each(|(colour, quarter)| assert_colour(colour, quarter));
        }
    }
    let whole = good("bars.mp4", 10, 64);
    assert_colour(pixel(&whole, 7, 1, 1), [0, 0, 0]);
    // Bars that are gone in the end are no bars.
    let preprocess = Preprocess { cut_bars: false, ..cut.clone() };
    let read = |preprocess| read_as(&clip("bars_open.mp4"), 15, preprocess).unwrap().pixels;
    assert!(read(&cut) == read(&preprocess));
    // What has no bars stays as it is.
    let preprocess = [
        Preprocess::new(96, 127.0, 128.0),
        Preprocess { cut_bars: true, ..Preprocess::new(96, 127.0, 128.0) },
    ];
    let [plain, cut] =
        preprocess.map(|preprocess| read_as(&sample("bikes.mp4"), 8, &preprocess).unwrap().pixels);
    assert!(plain == cut);
}

#[test]
fn a_colour_profile_that_is_not_read_is_told() {
    let mut bytes = std::fs::read(sample("jumping_jacks.mp4")).unwrap();
    let tagged = memchr::memmem::find(&bytes, b"colrncl").expect("a tag that says what the colours are");
    assert!(read(&sample("jumping_jacks.mp4"), 4, 32).unwrap().warnings.is_empty());
    bytes[tagged + 4..][..4].copy_from_slice(b"prof");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.mp4");
    std::fs::write(&path, bytes).unwrap();
    let warnings = read(&path, 4, 32).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("ICC profile")), "{warnings:?}");
}
