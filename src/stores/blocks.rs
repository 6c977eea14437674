//! Parts of an object that are kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 256 << 10;
/// Blocks that are kept: 24 MiB.
const MOST: usize = 96;

/// The blocks of an object that were read last.
#[derive(Default)]
pub(super) struct Blocks {
    /// By their number.
    kept: HashMap<u64, Arc<Vec<u8>>>,
    /// Their numbers, the oldest first.
    order: VecDeque<u64>,
}

impl Blocks {
    pub(super) fn get(&self, number: u64) -> Option<Arc<Vec<u8>>> {
        self.kept.get(&number).cloned()
    }

    /// Keeps `bytes`, which begin with the block `first`.
    pub(super) fn keep(&mut self, first: u64, bytes: &[u8]) {
        for (number, block) in (first..).zip(bytes.chunks(BLOCK as usize)) {
            if self.kept.insert(number, Arc::new(block.to_vec())).is_none() {
                self.order.push_back(number);
            }
        }
        while self.order.len() > MOST {
            let Some(oldest) = self.order.pop_front() else { break };
            self.kept.remove(&oldest);
        }
    }
}
