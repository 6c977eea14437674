//! Two tabs on one session.

use crate::browser::{DESKTOP, browse};
use crate::clips;
use crate::labelling::label;
use crate::program::{Program, QUICK};

#[test]
fn two_tabs_see_each_others_labels_and_other_clips() {
    let Some(clips) = clips::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(clips, &folder.path().join("labels.csv"), &QUICK);
    let kinds = ["bars", "fractal", "life"];
    browse(DESKTOP, async |page| {
        page.open(&program.address).await;
        let first = page.0.window().await.unwrap();
        let one = page.playing().await;
        let second = page.0.new_window(true).await.unwrap().handle;
        page.0.switch_to_window(second.clone()).await.unwrap();
        page.open(program.address.split('?').next().unwrap()).await;
        let two = page.playing().await;
        assert_ne!(one, two, "each has a clip of its own");
        // The first label comes up here, and is a key there.
        page.press("n").await;
        page.press(&format!("{}\u{e007}", two.split('_').next().unwrap())).await;
        page.labelled(1).await;
        page.0.switch_to_window(first).await.unwrap();
        page.labelled(1).await;
        page.wait("the label's button", "return document.querySelectorAll('#keys button').length == 1").await;
        // Undo takes back what this tab did: nothing.
        page.press("u").await;
        page.wait("a word on it", "return document.getElementById('said').textContent == 'nothing to undo'")
            .await;
        page.labelled(1).await;
        let own = [two.split('_').next().unwrap()];
        if one.starts_with(own[0]) {
            label(&page, &own).await;
        } else {
            page.press("n").await;
            page.press(&format!("{}\u{e007}", one.split('_').next().unwrap())).await;
        }
        page.labelled(2).await;
        page.0.switch_to_window(second).await.unwrap();
        page.labelled(2).await;
        assert!(kinds.iter().any(|kind| one.starts_with(kind)));
    });
}
