//! Clips without labels become a labelled list: which clip a person should see next, what was said of it, and a model
//! that learns along.
//!
//! A [`Session`] is all of it but the page: the features of the clips are computed in the background ([`watch`]), the
//! clips of the next round are chosen by them ([`choice`]), every answer goes to a journal beside the list before it
//! counts ([`journal`]), and a linear head learns from the answers between the rounds ([`linear`]). Nothing that a person
//! waits for waits for features or for learning.

mod answers;
mod session;
mod status;

pub(crate) use answers::{Clip, Found, Grid, Guess, Id, Offer, Query, Standing, Verdict, Why};
pub(crate) use session::{Finished, Options, Session};
pub(crate) use status::{Figure, Method, Point, Status};
