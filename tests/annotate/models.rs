//! The model that is there before anybody presses Finish.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::browser::{DESKTOP, ESCAPE, Page, browse};
use crate::clips;
use crate::labelling::label;
use crate::program::{KINDS, Program};

/// When the model in `folder` was written.
fn written(folder: &Path) -> SystemTime {
    std::fs::metadata(folder.join("model.safetensors")).unwrap().modified().unwrap()
}

async fn made_of(page: &Page, labels: usize) {
    let script = format!(
        "return document.getElementById('made').textContent.startsWith('Model of {labels} labels in labels-model: ')"
    );
    page.wait(&format!("the model of {labels} labels"), &script).await;
}

#[test]
fn a_model_is_made_after_a_round_and_finish_makes_one_of_new_labels_only() {
    let Some(clips) = clips::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("labels.csv");
    let model = folder.path().join("labels-model");
    let program = Program::of_kinds(clips, &list);
    browse(DESKTOP, async |page| {
        page.open(&program.address).await;
        page.wait("all clips", "return document.getElementById('ready').textContent.startsWith('All ')")
            .await;
        let mut count = 0;
        let draft = folder.path().join(".classify-labels-model");
        while !draft.exists() && !model.exists() {
            assert!(count < 40, "no model after {count} labels");
            label(&page, &KINDS).await;
            count += 1;
            page.labelled(count).await;
            // As a person looks at the next clip.
            tokio::time::sleep(Duration::from_millis(1500)).await;
        }
        made_of(&page, count).await;
        page.shoot("model-after-a-round").await;
        let first = written(&model);
        assert!(model.join("report.html").is_file() && !draft.exists());

        let finish = async || {
            page.click("#finish-button").await;
            page.wait("the model", "return !document.getElementById('finish-done').hidden").await;
        };
        finish().await;
        assert_eq!(written(&model), first, "nothing is new");
        page.press(ESCAPE).await;
        label(&page, &KINDS).await;
        page.labelled(count + 1).await;
        finish().await;
        made_of(&page, count + 1).await;
        let second = written(&model);
        assert!(second > first);
        let ended = program.interrupt();
        assert!(ended.stdout.contains("label the rest: classify "), "{}", ended.stdout);
        assert_eq!(written(&model), second, "nothing is new");
        assert!(!draft.exists());
    });
}

#[test]
fn a_grid_that_was_on_its_way_when_the_person_opened_one_stays_away() {
    let Some(clips) = clips::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("labels.csv");
    let program = Program::of_kinds(clips, &list);
    browse(DESKTOP, async |page| {
        page.open(&program.address).await;
        // The first grid that there is stays on its way until it is told to go on.
        page.ask(
            "const ask = window.fetch; let first = true; \
             window.fetch = async (to, options) => { \
                 const answer = await ask(to, options); \
                 if (first && String(to).includes('/api/grid') && await answer.clone().json()) { \
                     first = false; window.asked = true; \
                     await new Promise(go => window.go = go); \
                     setTimeout(() => window.arrived = true, 200); \
                 } \
                 return answer; \
             }",
        )
        .await;
        let mut count = 0;
        while page.ask("return Boolean(window.asked)").await == false {
            assert!(count < 40, "no grid is asked for after {count} labels");
            label(&page, &KINDS).await;
            count += 1;
            page.labelled(count).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        page.click("[data-view=grid]").await;
        let tiles = "return document.querySelectorAll('#grid-clips .tile-of-clip').length > 0";
        page.wait("the person's own", tiles).await;
        page.ask("window.go()").await;
        page.wait("the first", "return Boolean(window.arrived)").await;
        let due =
            page.ask("return document.querySelector('[data-view=grid]').hasAttribute('data-due')").await;
        assert!(due == false, "it is to be confirmed twice");
    });
}
