//! The page of `classify annotate`: clips to look at, keys that label them, and how good the model is by now.
//!
//! All that is decided is decided by the [`Session`]; here stand its questions and answers in JSON ([`questions`],
//! [`answers`]), the clips as a browser can play them ([`media`]), and the page itself in `page/`.

mod answers;
mod finish;
mod media;
mod page;
mod questions;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::refusal::Refusal;
use crate::annotation::Session;

pub(crate) use finish::{Finish, Finishing};
pub(crate) use media::Media;

/// All that the page asks of.
#[derive(Clone)]
pub(crate) struct Desk {
    pub session: Arc<Session>,
    pub media: Arc<Media>,
    pub finish: Arc<Finish>,
}

/// There is no such clip.
fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no such clip: this page is of other clips, load it again")
}

/// The page, and what it asks for.
pub(crate) fn router(desk: Desk) -> Router {
    page::router()
        .route("/clip/{id}", get(media::clip))
        .route("/api/status", get(questions::status))
        .route("/api/next", get(questions::next))
        .route("/api/clips", get(questions::clips))
        .route("/api/clips/{id}", get(questions::clip))
        .route("/api/grid", get(questions::grid).post(answers::grid))
        .route("/api/label", post(answers::label))
        .route("/api/undo", post(answers::undo))
        .route("/api/rename", post(answers::rename))
        .route("/api/finish", post(answers::finish))
        .layer(Extension(Arc::new(answers::Heard::default())))
        .with_state(desk)
}
