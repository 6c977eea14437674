//! Answers over HTTP, to browsers and to other programs: what the commands that serve have in common.
//!
//! A command makes a [`Router`](axum::Router) of its own and has a [`Server`] run it: on loopback unless told, behind
//! [`Access`], until it is asked to stop, and then until what runs is answered. Pages are plain files of this
//! repository, embedded as [`Asset`]s; nothing is loaded from elsewhere.

mod access;
pub(crate) mod annotate;
mod assets;
#[cfg(target_os = "linux")]
pub(crate) mod serve;
mod server;

pub(crate) use access::{Access, Token};
pub(crate) use assets::{Asset, assets};
pub(crate) use server::Server;
