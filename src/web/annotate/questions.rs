//! What the page asks.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use tokio::task::block_in_place;

use super::refusal::Refusal;
use super::{Desk, Finishing};
use crate::annotation::{self, Clip, Found, Grid, Offer, Status};

#[derive(Deserialize)]
pub(super) struct Since {
    since: Option<u64>,
}

/// How far it is, and what has changed.
#[derive(Serialize)]
pub(super) struct News {
    status: Status,
    /// Clips of which something was said since the version that was asked about.
    changes: Vec<Clip>,
    finish: Finishing,
}

/// `GET /api/status?since=VERSION`
pub(super) async fn status(State(desk): State<Desk>, Query(Since { since }): Query<Since>) -> Json<News> {
    block_in_place(|| {
        // First the status: what comes in between is told again next time rather than never.
        let status = desk.session.status();
        let changes = since.map_or(Vec::new(), |since| desk.session.changes(since));
        Json(News { status, changes, finish: desk.finish.state() })
    })
}

#[derive(Deserialize)]
pub(super) struct Next {
    reader: String,
    count: usize,
}

/// `GET /api/next?reader=PAGE&count=N`
pub(super) async fn next(State(desk): State<Desk>, Query(next): Query<Next>) -> Json<Vec<Offer>> {
    Json(block_in_place(|| desk.session.next(next.count.clamp(1, 24), &next.reader)))
}

/// `GET /api/clips?label=…&standing=…&text=…&like=ID&skip=N&count=N`
pub(super) async fn clips(State(desk): State<Desk>, Query(query): Query<annotation::Query>) -> Json<Found> {
    Json(block_in_place(|| desk.session.find(&query)))
}

/// `GET /api/clips/ID`
pub(super) async fn clip(State(desk): State<Desk>, Path(id): Path<String>) -> Result<Json<Clip>, Refusal> {
    let clip = id.parse().ok().and_then(|id| desk.session.clip(id));
    clip.map(Json).ok_or_else(Refusal::unknown)
}

#[derive(Deserialize)]
pub(super) struct Of {
    label: Option<String>,
}

/// `GET /api/grid?label=…`
pub(super) async fn grid(State(desk): State<Desk>, Query(of): Query<Of>) -> Json<Option<Grid>> {
    Json(block_in_place(|| desk.session.grid(of.label.as_deref())))
}
