//! The models that the program carries inside it, so that it works from any folder.

use std::borrow::Cow;

use super::ModelFiles;
use crate::{Error, Result};

/// The model that answers when none is asked for.
pub const DEFAULT_MODEL: &str = "kinetics400-i3d";

struct Embedded {
    name: &'static str,
    config: &'static [u8],
    preprocess: &'static [u8],
    weights: &'static [u8],
    card: &'static str,
}

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        [$(Embedded {
            name: $name,
            config: include_bytes!(concat!("../../models/", $name, "/config.json")),
            preprocess: include_bytes!(concat!("../../models/", $name, "/preprocessor_config.json")),
            weights: include_bytes!(concat!("../../models/", $name, "/model.safetensors")),
            card: include_str!(concat!("../../models/", $name, "/README.md")),
        }),*]
    };
}

/// A static: a const would be copied, weights and all, into every place that uses it.
static MODELS: [Embedded; 3] = embed!["kinetics400-i3d", "imagenet-lite0", "ucf14-lite0-lstm"];

/// Names of the embedded models.
pub fn embedded_models() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|model| model.name)
}

/// The embedded model `name`.
pub fn embedded(name: &str) -> Result<ModelFiles> {
    let Some(model) = MODELS.iter().find(|model| model.name == name) else {
        let known: Vec<_> = embedded_models().collect();
        return Err(Error::model(
            name,
            format!("neither a folder nor one of the models inside this program ({})", known.join(", ")),
        ));
    };
    let bytes = [model.config, model.preprocess, model.weights].map(Cow::Borrowed);
    ModelFiles::from_bytes(name.as_ref(), bytes, model.card.into())
}
