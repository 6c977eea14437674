//! How the figures of a model are written.

/// For people, or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FiguresFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}
