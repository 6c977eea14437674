//! Clips without labels become a labelled list: which clip a person should see next, what was said of it, and a model
//! that learns along.
//!
//! A [`Session`] is all of it but the page. Worker processes compute the clips' features (`watch.rs`); between two rounds
//! a linear head learns from the answers and chooses the next clips (`lesson.rs`, with `linear.rs` and `choice.rs`); the model
//! that comes out is made of the round behind it (`models.rs`, by `finish.rs`); every
//! answer is in a journal beside the list (`journal.rs`, added up in `book.rs`) before it counts, and the list itself
//! (`list.rs`) is what `classify train` reads. Nothing that a person waits for waits for features or for learning.

mod answers;
mod book;
mod choice;
mod draft;
mod finish;
mod groups;
mod item;
mod journal;
mod lesson;
mod linear;
mod list;
#[cfg(test)]
mod made_up;
mod models;
mod opening;
mod options;
mod search;
mod session;
mod state;
mod status;
mod watch;

pub(crate) use answers::{Clip, Found, Grid, Guess, Id, Offer, Query, Standing, Verdict, Why};
pub(crate) use finish::Finished;
pub(crate) use options::Options;
pub(crate) use session::Session;
pub(crate) use status::{Figure, Method, Model, Point, Status};
