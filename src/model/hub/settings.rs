//! Where the hub is, and who asks.

use std::path::PathBuf;

use super::{Cache, cache, variable};
use crate::{Error, Result};

/// What [`pull`](super::pull) goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address of the hub.
    pub endpoint: String,
    /// What the hub knows the user by.
    pub token: Option<String>,
    /// Where models are put.
    pub cache: Cache,
}

impl Settings {
    /// As the Python client's variables have it: `HF_ENDPOINT`, `HF_TOKEN`, the file `token` in `HF_HOME`, and those
    /// of [`Cache::of_user`].
    ///
    /// # Errors
    /// Where `HF_HUB_OFFLINE` forbids the network, or no home folder is set.
    pub fn of_user() -> Result<Self> {
        if let Some(name) = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(|name| is_on(name)) {
            return Err(Error::Usage(format!(
                "{name} is set, so nothing is fetched; unset it to pull a model"
            )));
        }
        let cache = Cache::of_user()
            .ok_or_else(|| Error::Usage("no home folder is set (HOME): set HF_HOME to a folder".into()))?;
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let endpoint = endpoint.trim().trim_end_matches('/').to_owned();
        Ok(Self { endpoint, token: token(), cache })
    }
}

fn token() -> Option<String> {
    let file = || {
        let path = variable("HF_TOKEN_PATH").map(PathBuf::from);
        std::fs::read_to_string(path.or_else(|| Some(cache::home()?.join("token")))?).ok()
    };
    let token = variable("HF_TOKEN").or_else(file)?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

/// The words that the Python client takes for yes.
fn is_on(name: &str) -> bool {
    variable(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()))
}
