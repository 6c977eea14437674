//! How soon the next clip plays.

use crate::browser::{DESKTOP, browse};
use crate::clips;
use crate::program::Program;

/// Milliseconds from a key to the next clip's first picture, at most, in the median: the browser is on this machine, which
/// computes features all the while.
const BOUND: f64 = 150.0;

#[test]
fn the_next_clip_plays_at_once_while_features_are_computed() {
    let Some(clips) = clips::folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    // The default network, so that there is something to compute to the end.
    let look = ["--labels", "a,b"];
    let program = Program::start(clips, &folder.path().join("labels.csv"), &look);
    browse(DESKTOP, async |page| {
        page.open(&program.address).await;
        page.wait("some clips that are ready", "return document.getElementById('bar').value >= 20").await;
        for n in 1..=20 {
            page.past_grids().await;
            page.press(if n % 2 == 0 { "1" } else { "2" }).await;
            // A label a second.
            tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        }
        let ready = page
            .ask("return [document.getElementById('bar').value, document.getElementById('bar').max]")
            .await;
        let times = page.ask("return performance.getEntriesByName('key to clip').map(m => m.duration)").await;
        let mut times: Vec<f64> = times.as_array().unwrap().iter().map(|t| t.as_f64().unwrap()).collect();
        times.sort_by(f64::total_cmp);
        println!("features {ready}; key to clip, ms: {times:.0?}");
        assert!(times.len() > 9 && times[times.len() / 2] < BOUND, "ms: {times:.0?}");
    });
}
