//! Clips in object stores, against moto's S3 server: it knows ranges, multipart uploads, ETags and listings page by page
//! as S3 does. Between it and the command stands a proxy that makes what goes wrong on a network.

mod faults;
mod proxy;
#[path = "../ran/mod.rs"]
mod ran;
mod runs;
mod store;
