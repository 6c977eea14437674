//! What is cut off is called so, what is whole never: every container that ffmpeg writes × whole and four cuts.

mod barcodes;

use std::fs;
use std::path::Path;

use barcodes::{ffmpeg, ffmpeg_to, frames, has_ffmpeg, watched};

/// What a container lets one tell of a cut.
#[derive(Clone, Copy, PartialEq)]
enum Tells {
    /// That there is one.
    Yes,
    /// That there is one in the picture, but not in the sound, if the file is small.
    Picture,
    /// Nothing: a bare stream of pictures.
    No,
}
use Tells::{No, Picture, Yes};

/// Name, arguments of ffmpeg after the picture and the sound, what it tells.
const MADE: [(&str, &str, Tells); 46] = [
    ("index_last.mp4", "-c:v libx264 -c:a aac", Yes),
    ("index_first.mp4", "-c:v libx264 -c:a aac -movflags faststart", Yes),
    ("fragments.mp4", "-c:v libx264 -c:a aac -movflags frag_keyframe+empty_moov -g 25", Yes),
    ("film.mov", "-an -c:v libx264", Yes),
    ("film.3gp", "-an -c:v h263 -s 176x144", Yes),
    ("film.f4v", "-an -c:v libx264", Yes),
    ("film.ismv", "-c:v libx264 -c:a aac", Yes),
    ("film.mkv", "-c:v libx264 -c:a aac", Yes),
    ("long_sound.mkv", "-t 4 -c:v libx264 -c:a aac -af apad=pad_dur=3", Yes),
    ("live.mkv", "-c:v libx264 -c:a aac -live 1", Yes),
    ("film.webm", "-c:v libvpx -b:v 500k -c:a libopus -ar 48000", Yes),
    ("film.avi", "-c:v mpeg4", Yes),
    ("film.flv", "-c:v flv1 -ar 44100", Yes),
    ("h264.flv", "-c:v libx264 -c:a aac", Yes),
    ("film.asf", "-c:v wmv2 -c:a wmav2", Yes),
    ("film.wmv", "-an -c:v msmpeg4", Yes),
    ("film.nut", "-c:v mpeg4", Picture),
    ("silent.nut", "-an -c:v mpeg4", Yes),
    ("no_index.nut", "-an -c:v mpeg4 -write_index 0", Yes),
    ("film.mxf", "-c:v mpeg2video -ar 48000", Yes),
    ("film.ogv", "-c:v libtheora -c:a libvorbis", Yes),
    ("silent.ogv", "-an -c:v libtheora", Yes),
    ("film.gif", "-an -c:v gif", Yes),
    ("film.apng", "-an -t 1 -f apng", Yes),
    ("film.mpg", "-c:v mpeg2video", Yes),
    ("film.vob", "-c:v mpeg2video", Yes),
    ("svcd.mpg", "-c:v mpeg2video -f svcd", Yes),
    ("vcd.mpg", "-c:v mpeg1video -f vcd", Yes),
    ("film.ts", "-c:v libx264 -c:a aac", Yes),
    ("film.m2ts", "-an -c:v libx264", Yes),
    ("film.ivf", "-an -c:v libvpx -b:v 500k", Yes),
    ("film.y4m", "-an -pix_fmt yuv420p", Yes),
    ("film.dv", "-an -t 1 -s 720x576 -pix_fmt yuv420p", Yes),
    ("film.rm", "-an -c:v rv10 -s 176x144", Yes),
    ("film.swf", "-c:v flv1 -ar 44100", Yes),
    ("film.gxf", "-an -t 2 -s 720x576 -c:v mpeg2video -pix_fmt yuv420p", Yes),
    ("film.wtv", "-c:v mpeg2video", Yes),
    ("film.roq", "-an -t 1 -s 128x128 -r 30", Yes),
    ("film.smjpeg", "-an -c:v mjpeg -f smjpeg", Yes),
    ("film.h264", "-an -c:v libx264", No),
    ("film.hevc", "-an -c:v libx265 -x265-params log-level=none", No),
    ("film.m1v", "-an -c:v mpeg1video", No),
    ("film.m2v", "-an -c:v mpeg2video", No),
    ("film.m4v", "-an -c:v mpeg4 -f m4v", No),
    ("film.mjpeg", "-an -c:v mjpeg", No),
    ("film.obu", "-an -t 1 -c:v libaom-av1 -cpu-used 8 -row-mt 1", No),
];

/// Written to a pipe, so that nothing could be put in at the beginning later.
const PIPED: [(&str, &str, Tells); 7] = [
    ("pipe.mkv", "-c:v libx264 -c:a aac -f matroska", Yes),
    ("pipe.flv", "-c:v libx264 -c:a aac -f flv", Yes),
    ("pipe.avi", "-c:v mpeg4 -f avi", Yes),
    ("pipe.asf", "-c:v wmv2 -c:a wmav2 -f asf", Yes),
    ("pipe.nut", "-an -c:v mpeg4 -f nut", Yes),
    ("pipe.mxf", "-an -c:v mpeg2video -f mxf", Yes),
    ("pipe.mp4", "-an -c:v libx264 -f mp4 -movflags frag_keyframe+empty_moov", Yes),
];

/// What every way says of the file: of being cut off, or why it can't be used.
fn said(path: &Path) -> [String; 3] {
    let ways = [frames(path, 4, usize::MAX), frames(path, 4, 0), watched(path, 4)];
    ways.map(|seen| match seen {
        Ok(seen) => seen.warnings.into_iter().find(|said| said.starts_with("truncated")).unwrap_or_default(),
        Err(error) => error.reason(),
    })
}

fn faults(dir: &Path, name: &str, tells: Tells) -> Vec<String> {
    let path = dir.join(name);
    let whole = fs::read(&path).unwrap();
    let mut faults = Vec::new();
    let mut expect = |what: &str, path: &Path, good: &dyn Fn(&str) -> bool| {
        let said = said(path);
        let agree = said.iter().all(|way| way.is_empty() == said[0].is_empty());
        if !agree || !said.iter().all(|way| good(way)) {
            faults.push(format!("{name} {what}: {said:?}"));
        }
    };
    expect("whole", &path, &str::is_empty);
    for percent in [20, 50, 80, 97] {
        let cut = dir.join(format!("cut_{name}"));
        // A little off, lest it fall between two packets of a fixed size: nothing tells such a cut.
        fs::write(&cut, &whole[..whole.len() * percent / 100 + 21]).unwrap();
        expect(&format!("{percent} %"), &cut, &|said| tells != Yes || !said.is_empty());
    }
    faults
}

#[test]
fn every_container() {
    if !has_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(ffmpeg(dir.path(), "-f lavfi -i testsrc2=d=4:s=160x120:r=25 -c:v ffv1 picture.mkv"));
    assert!(ffmpeg(dir.path(), "-f lavfi -i sine=d=4 sound.wav"));
    let mut all = Vec::new();
    let source = "-i picture.mkv -i sound.wav -pix_fmt yuv420p";
    let mut check = |made: bool, name: &str, tells: Tells| match made {
        true => all.extend(faults(dir.path(), name, tells)),
        false => println!("skipped: this ffmpeg can't make {name}"),
    };
    for (name, arguments, tells) in MADE {
        check(ffmpeg(dir.path(), &format!("{source} {arguments} {name}")), name, tells);
    }
    for (name, arguments, tells) in PIPED {
        check(ffmpeg_to(dir.path(), &format!("{source} {arguments} pipe:1"), Some(name)), name, tells);
    }
    assert!(all.is_empty(), "{all:#?}");
}
