//! How a network looks at clips, where that is not to be as its model says: the same for every command.

/// Frames, windows and size.
#[derive(Debug, clap::Args)]
pub(super) struct LookArgs {
    /// Frames to look at in each window of a clip [default: the model's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000), hide_short_help = true)]
    pub frames: Option<u64>,
    /// Windows to look at in a clip, spread over it [default: the model's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000), hide_short_help = true)]
    pub windows: Option<u64>,
    /// Width and height of the frames in pixels [default: the model's own]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u64).range(16..=4096), hide_short_help = true)]
    pub size: Option<u64>,
}

impl LookArgs {
    /// Windows, frames and size, where asked for.
    pub(super) fn numbers(&self) -> [Option<usize>; 3] {
        [self.windows, self.frames, self.size].map(|n| n.map(|n| n as usize))
    }
}
