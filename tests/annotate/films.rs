//! Films, labelled in parts.

use crate::browser::{DESKTOP, browse};
use crate::clips::ffmpeg;
use crate::program::{Program, QUICK};

#[test]
fn parts_of_a_film_are_played_and_labelled_each_on_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mp4");
    if !ffmpeg(&["-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=9"], &film) {
        println!("skipped: a film that the command ffmpeg makes");
        return;
    }
    let list = folder.path().join("labels.csv");
    let program =
        Program::start(&film, &list, &[&QUICK[..], &["--segments", "3", "--labels", "x,y"]].concat());
    browse(DESKTOP, async |page| {
        page.open(&program.address).await;
        for n in 1..=3 {
            let name = page.playing().await;
            let times = ["0:00–0:03", "0:03–0:06", "0:06–0:09"];
            let part = times.iter().position(|times| name == format!("film.mp4 {times}")).unwrap() as f64;
            // Round and round in its part.
            for _ in 0..8 {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                let now = page.ask("return document.querySelector('.slot.on video').currentTime").await;
                let now = now.as_f64().unwrap();
                assert!((3.0 * part - 0.1..3.0 * part + 3.5).contains(&now), "{name}: {now}");
            }
            page.press("1").await;
            page.labelled(n).await;
        }
        // In a grid of many a part is a small copy of its own.
        page.click("[data-view=find]").await;
        let script = "const v = [...document.querySelectorAll('#find-clips video')].filter(v => v.readyState > 1); \
                      return v.length == 3 && v.map(v => v.duration)";
        let lengths = page.wait("three copies", script).await;
        for length in lengths.as_array().unwrap() {
            assert!((length.as_f64().unwrap() - 3.0).abs() < 0.2, "{lengths}");
        }
    });
    let ended = program.interrupt();
    assert!(ended.stderr.contains("no model was made"), "one label makes no model: {}", ended.stderr);
    let text = std::fs::read_to_string(&list).unwrap();
    let mut rows: Vec<&str> = text.lines().collect();
    rows[1..].sort_unstable();
    assert_eq!(rows[0], "path,start,end,label,split,group");
    let parts = ["film.mp4,0,3,x,", "film.mp4,3,6,x,", "film.mp4,6,9,x,"];
    assert!(
        rows.len() == 4 && std::iter::zip(&rows[1..], parts).all(|(row, part)| row.starts_with(part)),
        "{text}"
    );
}

/// Clips end to end, and the same parts after a new start.
#[test]
fn a_film_is_divided_at_its_cuts_and_its_answers_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mp4");
    let [jacks, beam] = ["jumping_jacks", "balance_beam"]
        .map(|name| format!("{}/samples/{name}.mp4", env!("CARGO_MANIFEST_DIR")));
    // The second shot is over after eight tenths of a second: too short for a part.
    let shots = [("0:v", 2.4, "null"), ("1:v", 0.8, "null"), ("0:v", 2.0, "negate"), ("1:v", 1.6, "null")];
    let shots = shots.map(|(input, length, look)| {
        format!("[{input}]fps=25,trim=duration={length},setpts=PTS-STARTPTS,scale=160:120,setsar=1,{look}")
    });
    let [a, b, c, d] = shots;
    let graph = format!("{a}[a];{b}[b];{c}[c];{d}[d];[a][b][c][d]concat=n=4");
    if !ffmpeg(&["-i", &jacks, "-i", &beam, "-filter_complex", &graph, "-an"], &film) {
        println!("skipped: a film that the command ffmpeg makes");
        return;
    }
    let list = folder.path().join("labels.csv");
    let arguments = [&QUICK[..], &["--segments", "cuts", "--labels", "x,y"]].concat();
    let label = async |page: &crate::browser::Page, n| {
        let key = if page.playing().await == "film.mp4 0:00–0:02.4" { "1" } else { "2" };
        page.press(key).await;
        page.labelled(n).await;
    };
    browse(DESKTOP, async |page| {
        let program = Program::start(&film, &list, &arguments);
        page.open(&program.address).await;
        label(&page, 1).await;
        label(&page, 2).await;
        program.kill();
        let program = Program::start(&film, &list, &arguments);
        page.open(&program.address).await;
        page.labelled(2).await;
        label(&page, 3).await;
        let ended = program.interrupt();
        assert!(ended.status.success(), "{}", ended.stderr);
        assert!(!ended.stderr.contains("looking for cuts"), "they are known: {}", ended.stderr);
    });
    let text = std::fs::read_to_string(&list).unwrap();
    let mut rows: Vec<String> =
        text.lines().map(|row| row.split(',').take(4).collect::<Vec<_>>().join(",")).collect();
    rows[1..].sort_unstable();
    let parts = ["path,start,end,label", "film.mp4,0,2.4,x", "film.mp4,2.4,5.2,y", "film.mp4,5.2,6.8,y"];
    assert_eq!(rows, parts, "{text}");
}
