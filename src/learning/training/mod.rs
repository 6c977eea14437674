//! Learning new labels from labelled clips.
//!
//! A head is learned on cached features of a frozen CNN; where fine-tuning is asked for, CNN and a first head are
//! trained together on decoded frames before that. All stages (`stages.rs`) share one loop, [`Trainer`]'s.

mod artifacts;
mod augment;
mod background;
mod balance;
mod blur;
mod camera;
mod checkpoint;
mod choice;
mod finetune_stage;
mod frame_store;
mod head_stage;
mod init;
mod loss;
mod mixup;
mod optimizer;
mod options;
mod run;
mod schedule;
mod stages;
mod temper;
mod trainer;

use finetune_stage::block_of;
use mixup::Mixup;

pub use artifacts::{Figures, finish};
pub use augment::{Augmentation, View};
pub use balance::{Balance, ClassBalance};
pub use checkpoint::Checkpoint;
pub use choice::{Choice, choose_backbone};
pub use finetune_stage::{FinetuneStage, layer_rates};
pub use frame_store::FrameStore;
pub use head_stage::{HeadStage, fold_normalisation, normalisation};
pub use init::init_head;
pub use loss::{Targets, cross_entropy};
pub use optimizer::{AdamW, AdamWConfig};
pub use options::{Finetune, FinetuneDepth, TrainOptions};
pub use run::{Observer, TrainOutcome, train};
pub use schedule::Schedule;
pub use trainer::{Epoch, Pace, Recipe, Stage, Step, Trainer, Validation};

#[cfg(test)]
mod tests;
