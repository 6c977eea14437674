//! Models of the Hugging Face hub: fetched by [`pull`], and only by it, then found in the cache by their names.
//!
//! Finding needs no network and is always there. What fetches is the feature `hub`: a small client of our own over
//! the cache of the Python client. `hf-hub` 1.0 does less (no offline variable, no going on after a break, no
//! checksums) and brings two and a half times as many crates, its Xet client among them.

mod cache;
#[cfg(feature = "hub")]
mod checksum;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod failure;
#[cfg(feature = "hub")]
mod listing;
mod name;
#[cfg(feature = "hub")]
mod pickle;
#[cfg(feature = "hub")]
mod pull;
#[cfg(feature = "hub")]
mod settings;

use std::path::PathBuf;

pub use cache::{Cache, Pulled};
pub use name::HubName;
#[cfg(feature = "hub")]
pub use pull::{Told, pull};
#[cfg(feature = "hub")]
pub use settings::Settings;

/// The folder of the pulled model `name` (`OWNER/NAME[@REVISION]`), where it is in the user's cache.
pub fn find(name: &str) -> Option<PathBuf> {
    Cache::of_user()?.find(&HubName::parse(name)?)
}

/// What may be done about the missing model `name`, where it could be one of the hub's.
pub(super) fn advice(name: &str) -> Option<String> {
    let name = HubName::parse(name)?;
    Some(match cfg!(feature = "hub") {
        true => format!("nor pulled from the hub: `classify pull {name}` does that"),
        false => {
            "nor in the hub's cache, and this program was built without the feature `hub`, which pulls".into()
        }
    })
}

/// The environment variable `name`, where it says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
