//! Recipes with a name: what `classify train --preset NAME` sets, and why.

use std::ffi::OsString;

use clap::ValueEnum;

/// A recipe of `classify train`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Preset {
    /// The image network, whatever there is time for: a first answer in a minute or two for 500 clips
    Quick,
    /// The 3D network where looking at the clips with it takes no more than 10 minutes, else the image network
    Balanced,
    /// The 3D network on four windows of 224² pixels of each clip, black bars cut off, however long that takes
    Best,
    /// A small, fast network that is trained whole: the image network learns to see motion. For thousands of clips
    /// to label, or a small machine to label them on
    Small,
}

/// The options of [`Preset::Best`]. How it came to look so stands in docs/fine-tuning.md.
const BEST: &[&str] = &["--backbone=kinetics400-i3d", "--windows=4", "--size=224", "--cut-bars"];

/// The options of [`Preset::Small`], the recipe of `ucf14-lite0-lstm`. What each of them brought stands in
/// docs/fine-tuning.md.
const SMALL: &[&str] = &[
    // The network: small, on 16 frames of 160² pixels.
    "--backbone=imagenet-lite0",
    "--frames=16",
    "--size=160",
    "--cut-bars",
    // An image network sees motion in brightness at three moments, and in its neighbours' features.
    "--luma-lag=0.1",
    "--temporal-shift",
    // All but the layers that see edges and colours learn, on runs of 8 frames: near all of the gain, half the time.
    "--finetune=most",
    "--shown=8",
    "--hidden=64",
    // What several heads bring was measured on frozen features only.
    "--heads=1",
    // Few source videos are learned by heart: clips are mixed, and actions are shown in other places.
    "--mixup=0.8",
    "--swap-backgrounds=0.5",
    "--epochs=12",
    "--finetune-epochs=24",
];

impl Preset {
    /// The options that it stands for.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Quick | Self::Balanced => &[],
            Self::Best => BEST,
            Self::Small => SMALL,
        }
    }
}

/// The command line with the options of the last preset that it names in its place, where that has any; they come before all
/// others, so that what is given overrides them.
pub(crate) fn expanded(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let (mut rest, mut last) = (Vec::new(), None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let joined = word.to_str().and_then(|word| word.strip_prefix("--preset="));
        match joined {
            Some(name) => last = Some(OsString::from(name)),
            None if word == "--preset" => last = words.next().cloned(),
            None => rest.push(word.clone()),
        }
    }
    let trains = arguments.get(1).is_some_and(|command| command == "train");
    let preset = last.as_ref().and_then(|name| Preset::from_str(name.to_str()?, false).ok());
    let options = preset.filter(|_| trains).map_or(&[][..], Preset::options);
    if options.is_empty() {
        return arguments;
    }
    rest.splice(2..2, options.iter().map(OsString::from));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let arguments = line.split(' ').map(OsString::from);
        expanded(arguments).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn some_stand_for_options_and_others_come_after_them() {
        for (preset, options) in
            [("--preset small", SMALL), ("--preset=small", SMALL), ("--preset best", BEST)]
        {
            let line = words(&format!("classify train clips -o m {preset} --frames 8"));
            assert_eq!(line[..2], ["classify", "train"]);
            assert_eq!(line[2..][..options.len()], *options);
            assert_eq!(line[2 + options.len()..], ["clips", "-o", "m", "--frames", "8"]);
        }
    }

    #[test]
    fn other_commands_and_presets_stay_as_they_are() {
        let last = "classify train clips --preset small --preset quick";
        for line in
            ["classify clips --preset small", "classify train clips --preset balanced", last, "classify"]
        {
            assert_eq!(words(line).join(" "), line);
        }
    }
}
