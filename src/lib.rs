//! **classify** says what happens in a video clip.
//!
//! The way of a clip: the frames of a file are decoded, brought upright, to one size and to RGB ([`Frames`]); a CNN
//! turns them into feature vectors; an LSTM reads those in order of time and yields the clip's logits. A
//! [`Classifier`] holds the three together, as a model folder ([`model`]) describes them:
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
//!
//! A long video is watched from its first picture to its last by [`timeline::watch`]. New labels are learned by
//! [`learning::training`], and [`learning::evaluation`] says how good a model is. All of them take the same way; none
//! has a copy of its own.
//!
//! # Features
//!
//! - `cli` (default): the command `classify`. A library without it has no argument parser and no progress bars.
//! - `hub` (default): [`model::hub::pull`], which fetches models from the Hugging Face hub. Models in its cache are found
//!   without it.
//! - `serve` (default, with `cli`): `classify serve`, labels for other programs over HTTP.
//! - `words` (with `cli`): [`model::Words::embed`], labels in plain words by CLIP and SigLIP.
//! - `cuda`: networks on an NVIDIA GPU, by candle's own operators.

// What only the command uses is checked where it is built.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]

mod allocator;
#[cfg(feature = "serve")]
mod annotation;
mod bulk;
mod classifier;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod error;
mod files;
pub mod learning;
pub mod model;
mod networks;
mod output;
mod stores;
pub mod timeline;
#[cfg(any(feature = "hub", feature = "stores"))]
mod tls;
mod video;
#[cfg(feature = "serve")]
mod web;

pub use candle_core::Device;
pub use classifier::{Classifier, ClipLabels, Label, Timings};
pub use error::{Error, Result};
pub use video::{DecodeOptions, Frames, Span};

/// The examples of the page on the library.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
mod library_page {}

/// What the project's own tests, benchmarks, examples and fuzz targets need beyond the above. It may change with any
/// version.
#[doc(hidden)]
pub mod internals {
    pub mod bulk {
        pub use crate::bulk::{Settings, available_threads, in_order, label};

        pub mod worker {
            pub use crate::bulk::worker::{Pool, Request, Setup, place, serve, start_by};
        }
    }

    pub mod learning {
        pub mod calibration {
            pub use crate::learning::calibration::{Known, best, calibrate, softmax};
        }
        pub use crate::learning::training::{AdamW, AdamWConfig};
    }

    pub mod allocator {
        pub use crate::allocator::keep_for_training;
    }

    pub mod networks {
        pub use crate::networks::backbones::{
            Backbone, EfficientNetLite, I3d, LiteVariant, TrainOptions, TrainableEfficientNetLite,
        };
        pub use crate::networks::heads::{Head, Lstm, WordsHead};
    }

    pub mod video {
        pub use crate::video::{Walk, probe, read_frames};
    }
}
