//! What the page says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use tokio::task::block_in_place;

use super::Desk;
use crate::annotation::{Id, Verdict};
use crate::web::refusal::Refusal;

type Answer<T = ()> = Result<Json<T>, Refusal>;

/// The `answer` that each page gave last. It comes again where our reply was lost, and must not count twice.
pub(super) type Heard = Mutex<HashMap<String, String>>;

#[derive(Deserialize)]
pub(super) struct Labelled {
    id: Id,
    verdict: Verdict,
    reader: String,
    answer: Option<String>,
}

/// `POST /api/label {"id": ID, "verdict": {"label": "…"} | "skip" | "broken", "reader": PAGE, "answer": NAME}`
pub(super) async fn label(
    State(desk): State<Desk>,
    Extension(heard): Extension<Arc<Heard>>,
    Json(Labelled { id, verdict, reader, answer }): Json<Labelled>,
) -> Answer {
    block_in_place(|| {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.is_none() || heard.get(&reader) != answer.as_ref() {
            desk.session.label(id, verdict, &reader)?;
            heard.extend(answer.map(|answer| (reader, answer)));
        }
        Ok(Json(()))
    })
}

#[derive(Deserialize)]
pub(super) struct Undone {
    reader: String,
}

/// `POST /api/undo {"reader": PAGE}`: the clips that it was about.
pub(super) async fn undo(State(desk): State<Desk>, Json(said): Json<Undone>) -> Answer<Vec<Id>> {
    Ok(Json(block_in_place(|| desk.session.undo(&said.reader))?))
}

#[derive(Deserialize)]
pub(super) struct Confirmed {
    label: String,
    right: Vec<Id>,
    wrong: Vec<Id>,
    reader: String,
}

/// `POST /api/grid {"label": "…", "right": [ID, …], "wrong": [ID, …], "reader": PAGE}`
pub(super) async fn grid(State(desk): State<Desk>, Json(said): Json<Confirmed>) -> Answer {
    block_in_place(|| desk.session.confirm(&said.label, &said.right, &said.wrong, &said.reader))?;
    Ok(Json(()))
}

#[derive(Deserialize)]
pub(super) struct Renamed {
    from: String,
    to: String,
    reader: String,
}

/// `POST /api/rename {"from": "…", "to": "…", "reader": PAGE}`
pub(super) async fn rename(State(desk): State<Desk>, Json(said): Json<Renamed>) -> Answer {
    block_in_place(|| desk.session.rename(&said.from, &said.to, &said.reader))?;
    Ok(Json(()))
}

/// `POST /api/finish {}`: begins; `GET /api/status` tells the end.
pub(super) async fn finish(State(desk): State<Desk>, Json(_): Json<serde_json::Value>) -> Answer {
    desk.finish.begin();
    std::thread::spawn(move || desk.finish.run(&desk.session));
    Ok(Json(()))
}
