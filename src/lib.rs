//! **classify** says what happens in a video clip.
//!
//! The way of a clip, in the order of the modules:
//!
//! 1. [`video`]: open the file, plan which moments to look at, decode them and bring them
//!    upright, to one size and to RGB: [`video::Frames`], `u8 [windows, T, H, W, 3]`.
//! 2. [`networks::backbones`]: a CNN turns each window of frames into feature vectors `[T', D]`.
//! 3. [`networks::heads`]: an LSTM reads the features in order of time and yields the clip's logits.
//! 4. [`Classifier`] holds the three together, as a model folder ([`model`]) describes them.
//!
//! Training, evaluation and inference all take this way; none has a copy of its own.
//!
//! ```
//! # fn main() -> classify::Result<()> {
//! let classifier = classify::Classifier::embedded()?;
//! let clip = classifier.classify("samples/jumping_jacks.mp4")?;
//! println!("{}: {:.0} %", clip.labels[0].label, clip.labels[0].score * 100.0);
//! # assert!((clip.duration_s - 2.6).abs() < 0.1);
//! # let sum: f32 = clip.labels.iter().map(|label| label.score).sum();
//! # assert!((sum - 1.0).abs() < 1e-3, "{sum}");
//! # Ok(())
//! # }
//! ```

pub mod bulk;
mod classifier;
pub mod cli;
mod error;
pub mod files;

pub mod learning;
pub mod memory;
pub mod model;
pub mod networks;
pub mod output;
pub mod timeline;
pub mod video;

pub use classifier::{Classifier, ClipLabels, Label, Timings};
pub use error::{Error, Result};
