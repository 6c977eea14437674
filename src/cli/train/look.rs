//! How a CNN looks at clips that are to be learned: the same for training and for labelling by hand.

use super::values::count;

/// Frames, windows and size.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LookArgs {
    /// Frames to look at in each window of a clip [default: the backbone's]
    #[arg(long, value_name = "N", value_parser = count(10_000), hide_short_help = true)]
    pub frames: Option<u64>,
    /// Windows to look at in a clip [default: the backbone's]
    #[arg(long, value_name = "N", value_parser = count(1000), hide_short_help = true)]
    pub windows: Option<u64>,
    /// Width and height of the frames in pixels [default: the backbone's]
    #[arg(
        long,
        value_name = "PX",
        value_parser = clap::value_parser!(u64).range(16..=4096),
        hide_short_help = true
    )]
    pub size: Option<u64>,
}

impl LookArgs {
    /// Windows, frames and size, where asked for.
    pub(in crate::cli) fn numbers(&self) -> [Option<usize>; 3] {
        [self.windows, self.frames, self.size].map(|n| n.map(|n| n as usize))
    }
}
