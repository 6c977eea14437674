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
mod ensemble;
mod finetune_stage;
mod frame_store;
mod head_stage;
mod history;
mod init;
mod loss;
mod mixup;
mod objective;
mod observer;
mod optimizer;
mod options;
mod parts;
mod recipe;
mod schedule;
mod several;
mod stages;
mod temper;
mod train;
mod trainer;

pub(crate) use artifacts::BESIDE_MODEL;
pub use artifacts::{Figures, finish};
pub use augment::Augmentation;
pub use balance::Balance;
pub use choice::{Choice, choose_backbone};
pub use history::{Epoch, Validation};
pub use observer::{Observer, Pace};
#[doc(hidden)]
pub use optimizer::{AdamW, AdamWConfig};
pub use options::{Finetune, FinetuneDepth, TrainOptions};
pub use recipe::Recipe;
pub use train::{TrainOutcome, train};

use augment::View;
use balance::ClassBalance;
use checkpoint::Checkpoint;
use ensemble::side_by_side;
use finetune_stage::{FinetuneStage, block_of, layer_rates};
use frame_store::FrameStore;
use head_stage::{HeadStage, fold_normalisation, normalisation};
use init::init_head;
use loss::{Targets, cross_entropy};
use mixup::Mixup;
use objective::Wanted;
use schedule::Schedule;
use trainer::{Stage, Step, Trained, Trainer};

#[cfg(test)]
mod tests;
