//! Clips that a browser doesn't play, and some that nobody can.

use crate::browser::{DESKTOP, browse};
use crate::clips::{self, ffmpeg};
use crate::labelling::label;
use crate::program::{KINDS, Program, QUICK, labels};

#[test]
fn copies_play_where_the_browser_cannot_and_broken_clips_are_shown_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let clips = folder.path().join("clips");
    std::fs::create_dir(&clips).unwrap();
    let picture = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1"];
    let kinds: [(&str, &[&str]); 5] = [
        ("xvid.avi", &["-c:v", "mpeg4"]),
        ("old.mpg", &["-c:v", "mpeg2video"]),
        ("studio.mov", &["-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"]),
        ("full_colour.mp4", &["-c:v", "libx264", "-pix_fmt", "yuv444p"]),
        ("ten.mp4", &["-c:v", "libx264", "-pix_fmt", "yuv420p10le"]),
    ];
    let mut made = Vec::new();
    for (name, codec) in kinds {
        match ffmpeg(&[&picture[..], codec].concat(), &clips.join(name)) {
            true => made.push(name),
            false => println!("skipped: this ffmpeg can't make {name}"),
        }
    }
    if ffmpeg(&["-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=22", "-c:v", "mpeg4"], &clips.join("long.avi")) {
        made.push("long.avi");
    }
    std::fs::write(clips.join("torn.mp4"), b"\0\0\0\x20ftypisom torn").unwrap();
    let list = folder.path().join("labels.csv");
    let program = Program::start(&clips, &list, &QUICK);
    browse(DESKTOP, async |page| {
        page.open(&program.address).await;
        let mut seen = Vec::new();
        for n in 1..=made.len() {
            let name = page.playing().await;
            let cut = "return document.querySelector('.slot.on').hasAttribute('data-cut')";
            if name == "long.avi" {
                page.wait("a word that it is longer", cut).await;
            } else {
                assert_eq!(page.ask(cut).await, false, "{name} is shown to its end");
            }
            if n == 1 {
                page.press("n").await;
                page.press("odd\u{e007}").await;
            } else {
                page.press("1").await;
            }
            page.labelled(n).await;
            seen.push(name);
        }
        seen.sort();
        made.sort_unstable();
        assert_eq!(seen, made, "all but the torn one are played");
        page.click("[data-view=find]").await;
        page.click("#search [name=text]").await;
        page.press("torn").await;
        let script =
            "const r = document.querySelector('#find-clips .reason'); return r && !r.hidden && r.textContent";
        let reason = page.wait("why it can't be shown", script).await;
        assert!(reason.as_str().unwrap().starts_with("This clip can’t be shown: "), "{reason}");
    });
    program.interrupt();
    assert_eq!(labels(&list).len(), made.len());
    let copies = std::fs::read_dir(folder.path().join("cache/previews")).unwrap().count();
    assert_eq!(copies, made.len(), "each is copied once");
}

#[test]
fn a_copy_plays_where_the_browser_refuses_the_file() {
    let Some(clips) = clips::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = Program::of_kinds(clips, &folder.path().join("labels.csv"));
    browse(DESKTOP, async |page| {
        page.open(&program.address).await;
        // From here on it gets nothing that it can play but copies.
        page.ask(
            "const ask = window.fetch; window.copies = 0; \
             window.fetch = async (to, options) => { \
                 if (!String(to).startsWith('/clip/')) return ask(to, options); \
                 if (!String(to).includes('copy=true')) \
                     return new Response('no video', { headers: { 'content-type': 'video/mp4' } }); \
                 window.copies++; \
                 return ask(to, options); \
             }",
        )
        .await;
        for n in 1..=10 {
            label(&page, &KINDS).await;
            page.labelled(n).await;
        }
        page.playing().await;
        let copies = page.ask("return window.copies").await;
        assert!(copies.as_u64().unwrap() > 1, "{copies}");
    });
}
