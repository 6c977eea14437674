//! The files of the page.

use axum::Router;

use crate::web::{Asset, assets};

macro_rules! file {
    ($path:literal, $file:literal) => {
        Asset { path: $path, content: include_str!(concat!("page/", $file)) }
    };
}

const FILES: [Asset; 13] = [
    file!("/", "page.html"),
    file!("/annotate/page.css", "page.css"),
    file!("/annotate/page.js", "page.js"),
    file!("/annotate/outbox.js", "outbox.js"),
    file!("/annotate/clips.js", "clips.js"),
    file!("/annotate/labels.js", "labels.js"),
    file!("/annotate/stage.js", "stage.js"),
    file!("/annotate/tiles.js", "tiles.js"),
    file!("/annotate/grid.js", "grid.js"),
    file!("/annotate/find.js", "find.js"),
    file!("/annotate/progress.js", "progress.js"),
    file!("/annotate/finish.js", "finish.js"),
    file!("/annotate/words.js", "words.js"),
];

pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    assets(&FILES)
}
