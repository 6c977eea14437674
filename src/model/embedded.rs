//! The models that the program carries inside it, so that it works from any folder.

/// The model that answers when none is asked for.
pub const DEFAULT_MODEL: &str = "kinetics400-i3d";

/// The files of a model folder.
pub(super) struct Embedded {
    pub name: &'static str,
    pub config: &'static [u8],
    pub preprocess: &'static [u8],
    pub weights: &'static [u8],
    pub card: &'static str,
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

/// The embedded model `name`, if there is one.
pub(super) fn embedded(name: &str) -> Option<&'static Embedded> {
    MODELS.iter().find(|model| model.name == name)
}
