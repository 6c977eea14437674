//! Odd files of more kinds, made here: each gives a label or one clear line, within ten seconds, from the
//! command as a process. What FFmpeg's command makes is left out where it isn't there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn sample() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/bikes.mp4")).unwrap()
}

/// `bytes` with `new` at `offset` from the name of the box `name`; the index stands at the file's end.
fn patched(bytes: &[u8], name: &[u8], offset: usize, new: &[u8]) -> Vec<u8> {
    let place = bytes.windows(name.len()).rposition(|window| window == name).unwrap() + offset;
    let mut patched = bytes.to_vec();
    patched[place..place + new.len()].copy_from_slice(new);
    patched
}

/// Files made from a real one, byte by byte, and what is said of them.
fn by_hand(dir: &Path) -> Vec<(&'static str, &'static str)> {
    let whole = sample();
    let media = whole.windows(4).position(|w| w == b"mdat").unwrap();
    let index = whole.windows(4).rposition(|w| w == b"moov").unwrap() - 4;
    let joined = [&whole[..], &whole].concat();
    let mut no_media = whole[..media - 4].to_vec();
    no_media.extend([0, 0, 0, 8]);
    no_media.extend(b"mdat");
    no_media.extend(&whole[index..]);
    let mut hole = whole.clone();
    hole[whole.len() / 3..whole.len() / 2].fill(0);
    let huge = 0x7fff_ffffu32.to_be_bytes();
    let files: Vec<(&str, Vec<u8>, &str)> = vec![
        ("joined.mp4", joined, "labelled"),
        ("no_media.mp4", no_media, "none of its pictures can be decoded"),
        ("hole.mp4", hole, "labelled"),
        ("no_index.mp4", whole[..index].to_vec(), "truncated: its index (moov) is missing"),
        ("middle.mp4", whole[index / 2..index].to_vec(), "not a video that FFmpeg can read"),
        // Width and height stand 28 bytes after the name of the sample entry.
        ("huge_size.mp4", patched(&whole, b"avc1", 28, &[0xff; 4]), "its pictures are too large"),
        ("no_size.mp4", patched(&whole, b"avc1", 28, &[0; 4]), "labelled"),
        ("huge_times.mp4", patched(&whole, b"stts", 8, &huge), "asks for more memory than there is"),
        ("huge_list.mp4", patched(&whole, b"stco", 8, &huge), "asks for more memory than there is"),
        ("no_clock.mp4", patched(&whole, b"mdhd", 16, &[0; 4]), "labelled"),
        ("text.mp4", b"This is no video.\n".repeat(500), "not a video that FFmpeg can read"),
        ("zeros.mp4", vec![0; 1 << 20], "not a video that FFmpeg can read"),
        ("byte.mp4", vec![0], "not a video that FFmpeg can read"),
        ("empty.mp4", vec![], "is empty (0 bytes)"),
        (
            "list.mp4",
            b"ffconcat version 1.0\nfile joined.mp4\n".to_vec(),
            "is a playlist or refers to other files",
        ),
        (
            "stream.mp4",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\njoined.mp4\n#EXT-X-ENDLIST\n".to_vec(),
            "is a playlist or refers to other files",
        ),
        ("new\nline.mp4", whole.clone(), "labelled"),
        ("concat:a|b%03d.mp4", whole, "labelled"),
    ];
    let mut said = Vec::new();
    for (name, bytes, says) in files {
        fs::write(dir.join(name), bytes).unwrap();
        said.push((name, says));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("loop_b.mp4", dir.join("loop_a.mp4")).unwrap();
        symlink("loop_a.mp4", dir.join("loop_b.mp4")).unwrap();
        symlink("gone.mp4", dir.join("dangling.mp4")).unwrap();
        assert!(Command::new("mkfifo").arg(dir.join("pipe.mp4")).status().unwrap().success());
        said.push(("loop_a.mp4", "is a link that leads back to itself"));
        said.push(("loop_b.mp4", "is a link that leads back to itself"));
        said.push(("dangling.mp4", "no such file"));
        said.push(("pipe.mp4", "is a pipe or a device, not a file"));
    }
    // A folder is walked, whatever its name.
    fs::create_dir(dir.join("folder.mp4")).unwrap();
    fs::write(dir.join("folder.mp4/clip.mp4"), sample()).unwrap();
    said.push(("folder.mp4/clip.mp4", "labelled"));
    said
}

const PATTERN: &str = "-f lavfi -i testsrc2=d=2:s=160x120:r=25";

/// Name, arguments of FFmpeg before it, what is said. `{}` is the pattern.
const MADE: [(&str, &str, &str); 24] = [
    ("audio.mp4", "-f lavfi -i sine=d=2 -c:a aac", "has no video stream"),
    ("wave.mp4", "-f lavfi -i sine=d=2 -f wav", "has no video stream"),
    ("one.gif", "{} -frames:v 1", "labelled"),
    ("moving.gif", "{}", "labelled"),
    ("picture.mp4", "{} -frames:v 1 -f image2 -c:v png", "labelled"),
    ("moving_picture.mp4", "{} -frames:v 5 -f apng", "labelled"),
    ("grey16.mkv", "{} -pix_fmt gray16le -c:v ffv1", "labelled"),
    ("planes16.mkv", "{} -pix_fmt gbrap16le -c:v ffv1", "labelled"),
    ("mono.nut", "{} -pix_fmt monow -c:v rawvideo", "labelled"),
    ("palette.nut", "{} -pix_fmt pal8 -c:v rawvideo", "labelled"),
    ("flat.mkv", "-f lavfi -i testsrc2=d=1:s=4000x2 -pix_fmt yuv444p -c:v ffv1", "labelled"),
    ("thin.mkv", "-f lavfi -i testsrc2=d=1:s=2x1000 -pix_fmt yuv444p -c:v ffv1", "labelled"),
    ("large.avi", "-f lavfi -i color=d=1:s=12000x6000:r=1 -c:v mjpeg", "its pictures are too large"),
    ("early.mkv", "{} -output_ts_offset -5 -avoid_negative_ts disabled -c:v mpeg4", "labelled"),
    ("early.mp4", "{} -output_ts_offset -1 -avoid_negative_ts disabled -c:v mpeg4", "labelled"),
    ("gap.mkv", "{} -vf setpts='if(lt(N,20),PTS,PTS+10800/TB)' -fps_mode vfr -c:v mjpeg", "labelled"),
    ("gap.mp4", "{} -vf setpts='if(lt(N,20),PTS,PTS+10800/TB)' -fps_mode vfr -c:v mjpeg", "labelled"),
    (
        "one_key.mp4",
        "-f lavfi -i testsrc2=d=300:s=64x48 -c:v mpeg4 -g 600 -sc_threshold 1000000000",
        "labelled",
    ),
    ("fast.mkv", "-f lavfi -i testsrc2=d=1:s=64x48:r=1000 -c:v mjpeg", "labelled"),
    ("slow.mp4", "-f lavfi -i testsrc2=d=90:s=64x48:r=1/30 -c:v mpeg4", "labelled"),
    ("transport.mp4", "{} -c:v mpeg2video -f mpegts", "labelled"),
    ("parts.mp4", "{} -c:v mpeg4 -movflags frag_keyframe+empty_moov", "labelled"),
    ("raw.mp4", "{} -pix_fmt yuv420p -f rawvideo", "not a video that FFmpeg can read"),
    (
        "cover.m4a",
        "-f lavfi -i sine=d=2 {} -map 0 -map 1 -frames:v 1 -c:v mjpeg -disposition:v attached_pic -f mp4",
        "has no video stream (only a cover picture)",
    ),
];

fn by_ffmpeg(dir: &Path) -> Vec<(&'static str, &'static str)> {
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: files that the command ffmpeg makes");
        return Vec::new();
    }
    let make = |(name, arguments, says): (&'static str, &str, &'static str)| {
        let arguments = arguments.replace("{}", PATTERN);
        // The same to the shell and to FFmpeg's own reading of quotes.
        let words = arguments.split(' ').filter(|word| !word.is_empty());
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error", "-y"]).args(words).arg(dir.join(name));
        assert!(ffmpeg.status().unwrap().success(), "{name}");
        (name, says)
    };
    MADE.map(make).into()
}

/// Few small frames: what the labels are isn't the matter.
const QUICK: [&str; 8] = ["--format", "json", "--model", "imagenet-lite0", "--frames", "4", "--size", "96"];

#[test]
fn each_kind_gives_a_label_or_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = by_hand(dir.path());
    expected.extend(by_ffmpeg(dir.path()));

    let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
    command.args(QUICK).args(["--timeout", "10"]);
    command.args(expected.iter().map(|(name, _)| name)).current_dir(dir.path()).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let reason = row["error"].as_str().unwrap_or("labelled").to_owned();
        assert!(!reason.contains('\n'), "{reason}");
        said.insert(row["path"].as_str().unwrap().to_owned(), reason);
    }
    assert_eq!(said.len(), expected.len());
    let wrong = expected.iter().filter(|(name, says)| !said[*name].starts_with(says));
    let wrong: Vec<String> =
        wrong.map(|(name, says)| format!("{name}: {}, not {says}", said[*name])).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The other two ways through a file: picture by picture, for its check and for a timeline.
#[test]
fn each_kind_can_be_watched_or_gives_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = by_hand(dir.path());
    expected.extend(by_ffmpeg(dir.path()));
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_classify"));
        command.args(arguments).args(&names).current_dir(dir.path()).stdin(Stdio::null());
        let start = Instant::now();
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(start.elapsed() < Duration::from_secs(10) * names.len() as u32);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let failing = expected.iter().filter(|(_, says)| *says != "labelled").count();
    let (lines, _) = run(&["check"]);
    assert_eq!(lines.lines().filter(|line| line.starts_with("broken ")).count(), failing, "{lines}");
    let (_, errors) = run(&[&["--timeline"], &QUICK[..]].concat());
    assert_eq!(errors.lines().filter(|line| line.starts_with("error: ")).count(), failing, "{errors}");
    assert!(!lines.contains("crashed") && !errors.contains("crashed"), "{lines}{errors}");
}
