//! Many workers, one order: results come out as their inputs went in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a waiting consumer looks whether it was asked to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The results of `work(0..len)` in that order, whichever is done first.
///
/// Workers run ahead of the consumer by at most `ahead` results, so memory stays bounded. Dropping
/// the iterator lets workers end after the item that they are at, without waiting for them.
pub struct Ordered<T> {
    shared: Arc<Shared<T>>,
    stop: Arc<AtomicBool>,
}

struct Shared<T> {
    len: usize,
    ahead: usize,
    state: Mutex<State<T>>,
    /// A result came in.
    result: Condvar,
    /// The consumer took one, or went away.
    room: Condvar,
}

struct State<T> {
    /// Items that a worker has begun.
    begun: usize,
    /// Items that the consumer has taken.
    taken: usize,
    waiting: BTreeMap<usize, T>,
    gone: bool,
}

impl<T: Send + 'static> Ordered<T> {
    /// Starts `workers` loops through `spawn`, each calling `work` on the next item not yet begun.
    /// `work` must not panic: its item would be waited for without end. Once `stop` is true the
    /// iterator ends.
    pub fn start(
        len: usize,
        ahead: usize,
        stop: Arc<AtomicBool>,
        workers: impl IntoIterator<Item = impl FnOnce(Box<dyn FnOnce() + Send>)>,
        work: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> Self {
        let state = State { begun: 0, taken: 0, waiting: BTreeMap::new(), gone: false };
        let shared = Arc::new(Shared {
            len,
            ahead,
            state: Mutex::new(state),
            result: Condvar::new(),
            room: Condvar::new(),
        });
        let work = Arc::new(work);
        for spawn in workers {
            let (shared, work) = (shared.clone(), work.clone());
            spawn(Box::new(move || {
                while let Some(index) = shared.begin() {
                    let result = work(index);
                    shared.lock().waiting.insert(index, result);
                    shared.result.notify_one();
                }
            }));
        }
        Self { shared, stop }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item to work on, once there is room for its result.
    fn begin(&self) -> Option<usize> {
        let full = |s: &mut State<T>| !s.gone && s.begun < self.len && s.begun >= s.taken + self.ahead;
        let mut state = self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if state.gone || state.begun == self.len {
            return None;
        }
        state.begun += 1;
        Some(state.begun - 1)
    }
}

impl<T> Iterator for Ordered<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let mut state = self.shared.lock();
        while state.taken < self.shared.len && !self.stop.load(Ordering::Relaxed) {
            let index = state.taken;
            if let Some(result) = state.waiting.remove(&index) {
                state.taken += 1;
                self.shared.room.notify_all();
                return Some(result);
            }
            let woken = self.shared.result.wait_timeout(state, LOOK);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }
}

impl<T> Drop for Ordered<T> {
    fn drop(&mut self) {
        self.shared.lock().gone = true;
        self.shared.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    type Spawn = fn(Box<dyn FnOnce() + Send>);
    const SPAWN: Spawn = |job| {
        thread::spawn(job);
    };

    #[test]
    fn order_holds_whatever_finishes_first() {
        let slow_early = |i: usize| {
            thread::sleep(Duration::from_millis(if i.is_multiple_of(4) { 8 } else { 0 }));
            i
        };
        let results = Ordered::start(50, 100, Arc::default(), [SPAWN; 3], slow_early);
        assert_eq!(results.collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn workers_wait_for_a_slow_consumer() {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let mut results = Ordered::start(100, 4, Arc::default(), [SPAWN; 2], move |i| {
            count.fetch_add(1, Ordering::SeqCst);
            i
        });
        thread::sleep(Duration::from_millis(50));
        assert_eq!(begun.load(Ordering::SeqCst), 4);
        assert_eq!(results.next(), Some(0));
        assert_eq!(results.count(), 99);
    }

    #[test]
    fn stop_ends_it_while_a_worker_is_stuck() {
        let stop = Arc::new(AtomicBool::new(false));
        let stuck = |_| -> u8 {
            loop {
                thread::park();
            }
        };
        let mut results = Ordered::start(2, 4, stop.clone(), [SPAWN], stuck);
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(results.next(), None);
    }
}
