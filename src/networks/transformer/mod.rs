//! What transformers of pictures and of text are built of. They only label; none is trained here.

mod block;
mod layers;
mod patches;
mod pooler;
mod vit;

pub(super) use block::{Attention, Block, Perceptron};
pub(crate) use block::{Names, Qkv, Sizes};
pub use layers::Activation;
pub(super) use layers::{LayerNorm, Linear, attention};
pub(super) use patches::Patches;
pub(super) use pooler::Pooler;
pub use vit::VitConfig;

/// What comes into each block and out of it, for tests that hold them against recorded ones.
#[cfg(test)]
pub(crate) mod trace {
    use std::cell::RefCell;

    use candle_core::Tensor;

    thread_local! {
        static SEEN: RefCell<Vec<[Tensor; 2]>> = const { RefCell::new(Vec::new()) };
    }

    /// Of a block that has run on this thread.
    pub(crate) fn tell(input: &Tensor, output: &Tensor) {
        SEEN.with_borrow_mut(|seen| seen.push([input.clone(), output.clone()]));
    }

    /// All since the last time.
    pub(crate) fn take() -> Vec<[Tensor; 2]> {
        SEEN.take()
    }
}
