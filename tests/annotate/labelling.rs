//! One person, from the first clip to the model.

use fantoccini::Locator;

use crate::browser::{DESKTOP, ESCAPE, Page, browse};
use crate::clips;
use crate::program::{KINDS, Program, QUICK, labels};

/// What a clip shows, by its name.
pub(crate) fn kind(name: &str) -> &str {
    name.split('_').next().unwrap()
}

/// Labels the next clip by the digit of its kind, and returns its name.
pub(crate) async fn label(page: &Page, kinds: &[&str]) -> String {
    let name = page.past_grids().await;
    say(page, kinds, &name).await;
    name
}

/// Says of the clip on the stage that it is of the kind that its name says.
async fn say(page: &Page, kinds: &[&str], name: &str) {
    let place = kinds.iter().position(|k| *k == kind(name)).unwrap();
    page.press(&(place + 1).to_string()).await;
}

#[test]
fn ten_clips_by_keys_undo_a_new_label_reload_kill_and_go_on() {
    let Some(clips) = clips::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("labels.csv");
    let arguments = [&QUICK[..], &["--labels", "bars,fractal,life", "--by", "ann"]].concat();
    browse(DESKTOP, async |page| {
        let program = Program::start(clips, &list, &arguments);
        page.open(&program.address).await;
        assert!(
            !page.0.current_url().await.unwrap().as_str().contains("token"),
            "the address keeps the secret"
        );
        let mut named = Vec::new();
        for _ in 0..10 {
            named.push(label(&page, &KINDS).await);
        }
        page.labelled(10).await;
        assert_eq!(
            page.text("#said").await,
            format!("{}: {}", kind(&named[9]), named[9]),
            "told to a screen reader"
        );
        // The last two come back, the last first.
        page.press("u").await;
        page.labelled(9).await;
        assert_eq!(page.playing().await, named[9]);
        page.press("u").await;
        page.labelled(8).await;
        assert_eq!(page.playing().await, named[8]);
        // A label that isn't there yet, typed.
        page.press("n").await;
        page.wait("the text box", "return document.getElementById('ask').open").await;
        page.press("something else\u{e007}").await;
        page.labelled(9).await;
        page.wait(
            "its button",
            "return document.getElementById('keys').textContent.includes('something else')",
        )
        .await;
        // By its first letter that is free: s is skip's.
        assert_eq!(page.playing().await, named[9]);
        page.press("o").await;
        page.labelled(10).await;
        let next = page.playing().await;
        page.press("s").await;
        page.playing().await;
        page.0.refresh().await.unwrap();
        page.labelled(10).await;
        assert_ne!(page.playing().await, next, "what was skipped isn't asked for again");
        // Undo goes on after a reload.
        page.press("u").await;
        page.wait(
            "the skipped clip",
            &format!("return document.getElementById('name').textContent == '{next}'"),
        )
        .await;
        page.press("s").await;

        let port = program.port();
        page.playing().await;
        program.kill();
        let late = label(&page, &KINDS).await;
        page.wait("a word on it", "return !document.getElementById('trouble').hidden").await;
        let said = page.text("#trouble").await;
        assert!(said.contains("1 answer waits") && said.contains(&format!("--port {port}")), "{said}");
        let again = [&arguments[..], &["--port", &port]].concat();
        let program = Program::start(clips, &list, &again);
        page.open(&program.address).await;
        page.labelled(11).await;
        page.wait("the all-clear", "return document.getElementById('trouble').hidden").await;
        let ended = program.interrupt();
        assert!(ended.status.success(), "{}", ended.stderr);

        let found = labels(&list);
        assert_eq!(found.len(), 11);
        for name in named[..8].iter().chain([&late]) {
            assert_eq!(found[name], kind(name));
        }
        assert_eq!([&named[8], &named[9]].map(|name| found[name].as_str()), ["something else"; 2]);
        let journal = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let journal = journal
            .filter(|path| path.is_file() && *path != list)
            .map(|path| std::fs::read_to_string(path).unwrap());
        assert!(journal.collect::<String>().contains("\"ann\""), "who labelled stands in the journal");
    });
}

#[test]
fn an_answer_is_sent_again_where_the_reply_is_lost_and_counts_once() {
    let Some(clips) = clips::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = Program::of_kinds(clips, &folder.path().join("labels.csv"));
    browse(DESKTOP, async |page| {
        page.open(&program.address).await;
        page.ask(
            "const ask = window.fetch; window.sent = 0; \
             window.fetch = async (to, options) => { \
                 const answer = await ask(to, options); \
                 if (String(to).includes('/api/label') && ++window.sent === 1) throw new TypeError('lost'); \
                 return answer; \
             }",
        )
        .await;
        label(&page, &KINDS).await;
        page.wait("the second time", "return window.sent == 2").await;
        page.labelled(1).await;
        page.press("u").await;
        page.labelled(0).await;
    });
}

#[test]
fn a_grid_is_confirmed_labels_are_renamed_and_finish_makes_a_model() {
    let Some(clips) = clips::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("labels.csv");
    browse(DESKTOP, async |page| {
        let program = Program::of_kinds(clips, &list);
        page.open(&program.address).await;
        let mut count = 0;
        // After a round the grid comes up instead of a clip.
        while let Some(name) = page.stage().await {
            assert!(count < 40, "no grid after {count} labels");
            say(&page, &KINDS, &name).await;
            count += 1;
            page.labelled(count).await;
            if count.is_multiple_of(14) {
                let learned = format!(
                    "const note = document.getElementById('counts-note').textContent; \
                     return note.startsWith('round {},') && !note.includes('learning')",
                    1 + count / 14
                );
                page.wait("the round's end", &learned).await;
            }
        }
        let of = page.text("#grid-title em").await;
        let tiles = page.0.find_all(Locator::Css("#grid-clips .tile-of-clip")).await.unwrap();
        page.wait("a tile that plays", "return [...document.querySelectorAll('#grid-clips video')].some(v => v.readyState > 1 && !v.paused)").await;
        page.shoot("grid-after-a-round").await;
        let mut right = 0;
        for tile in &tiles {
            let name = tile.attr("title").await.unwrap().unwrap();
            if kind(name.rsplit('/').next().unwrap()) == of {
                right += 1;
            } else {
                tile.click().await.unwrap();
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        // A tile that was come to by keys answers to Enter itself.
        page.ask("document.querySelector('#grid-clips .tile-of-clip').focus()").await;
        let pressed = "return document.querySelector('#grid-clips .tile-of-clip').ariaPressed";
        let before = page.ask(pressed).await;
        page.press("\u{e007}").await;
        assert_ne!(page.ask(pressed).await, before);
        page.press("\u{e007}").await;
        assert_eq!(page.ask(pressed).await, before);
        page.ask("document.activeElement.blur()").await;
        page.press("\u{e007}").await;
        count += right;
        page.labelled(count).await;
        page.playing().await;
        page.press("u").await;
        page.labelled(count - right).await;
        count -= right;

        // Rename in the table of labels: everywhere at once.
        page.click("#counts tr:first-child td:last-child button:last-child").await;
        page.press("stripes\u{e007}").await;
        page.wait("the new name", "return document.getElementById('counts').textContent.includes('stripes')")
            .await;
        // Find by name, and mend a label.
        page.click("[data-view=find]").await;
        page.click("#search [name=text]").await;
        page.press("life_g0").await;
        page.wait("ten clips", "return document.getElementById('found').textContent.startsWith('10 clips')")
            .await;
        page.wait("a tile", "return document.querySelector('#find-clips .mend button:not(:disabled)')").await;
        page.click("#find-clips .mend button").await;
        page.wait("its likes", "return document.getElementById('found').textContent.includes('alike')").await;
        page.wait("many tiles", "return document.querySelectorAll('#find-clips .tile-of-clip').length > 20")
            .await;
        page.shoot("find-alike").await;
        // Back, as Esc does.
        page.press(ESCAPE).await;
        page.wait("the stage", "return !document.getElementById('label').hidden").await;

        page.click("#finish-button").await;
        page.wait("the model", "return !document.getElementById('finish-done').hidden").await;
        page.shoot("finished").await;
        let command = page.text("#finish-command").await;
        assert!(command.starts_with("classify ") && command.contains("labels-model"), "{command}");
        let model = folder.path().join("labels-model");
        for name in ["config.json", "model.safetensors", "report.html", "README.md"] {
            assert!(model.join(name).is_file(), "{name}");
        }
        let found = labels(&list);
        assert_eq!(found.len(), count);
        assert!(
            found
                .iter()
                .all(|(name, label)| label == kind(name) || label == "stripes" && kind(name) == "bars")
        );
        // Nothing is new, so Ctrl-C makes no second model.
        let ended = program.interrupt();
        assert!(
            ended.status.success() && ended.stdout.contains("label the rest: classify "),
            "{}",
            ended.stdout
        );
    });
}
