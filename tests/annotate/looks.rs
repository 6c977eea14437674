//! Pictures of the page, for people to look at, and what must hold at any width.

use crate::browser::{ESCAPE, View, browse};
use crate::clips;
use crate::labelling::label;
use crate::program::Program;

#[test]
fn nothing_sticks_out_on_phone_or_desktop_in_light_or_dark() {
    let Some(clips) = clips::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = Program::of_kinds(clips, &folder.path().join("labels.csv"));
    for (view, name) in [(1280, false), (1280, true), (420, false), (420, true)].map(|(width, dark)| {
        (View { width, dark }, format!("{width}-{}", if dark { "dark" } else { "light" }))
    }) {
        browse(view, async |page| {
            page.open(&program.address).await;
            let fits = async |part: &str| {
                page.shoot(&format!("{part}-{name}")).await;
                let wide = page
                    .ask("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    .await;
                assert_eq!(wide.as_i64(), Some(0), "{part} at {name}");
            };
            for _ in 0..9 {
                label(&page, &["bars", "fractal", "life"]).await;
            }
            page.past_grids().await;
            tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
            fits("label").await;
            let dark = page.ask("return getComputedStyle(document.body).backgroundColor").await;
            assert_eq!(dark == "rgb(15, 19, 24)", view.dark, "{dark}");
            page.click("#help-button").await;
            fits("help").await;
            page.press(ESCAPE).await;
            page.click("[data-view=find]").await;
            page.wait("tiles", "return [...document.querySelectorAll('#find-clips video')].filter(v => v.readyState > 1).length > 3").await;
            fits("find").await;
            page.click("[data-view=grid]").await;
            page.wait("a word on it", "return document.getElementById('grid-title').textContent").await;
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            fits("grid").await;
        });
    }
}
