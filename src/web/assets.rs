//! Files of this repository that pages are made of: style sheets and scripts.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

/// A file that is inside the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asset {
    /// Its address, from `/` on.
    pub path: &'static str,
    pub content: &'static str,
}

/// What all pages look like; [`assets`] serves it in any case.
pub(crate) const STYLE: Asset = Asset { path: "/page.css", content: crate::output::pages::STYLE };

impl Asset {
    fn kind(self) -> &'static str {
        match self.path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("json") => "application/json",
            _ => "text/html; charset=utf-8",
        }
    }
}

/// Answers with `files` and the style that all pages share. A browser asks for them anew each time, as another version
/// of the program may stand behind the same address.
pub(crate) fn assets<S: Clone + Send + Sync + 'static>(files: &[Asset]) -> Router<S> {
    files.iter().chain([&STYLE]).fold(Router::new(), |router, asset| {
        let (kind, content) = (asset.kind(), asset.content);
        router.route(
            asset.path,
            get(move || async move { ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], content) }),
        )
    })
}
