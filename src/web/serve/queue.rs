//! How many requests are let in, and how many clips are worked on at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::metrics::{Metrics, Stage};
use super::refusal::Refusal;

/// The places of a server. Who has none is told to come back; nobody waits outside.
pub(super) struct Queue {
    places: Arc<Semaphore>,
    capacity: usize,
    clips: Arc<Semaphore>,
    /// Long videos wait for each other, and never keep clips waiting.
    films: Arc<Semaphore>,
    /// How many clips are worked on at a time.
    threads: usize,
    /// What a clip took lately, in microseconds.
    usual: AtomicU64,
    metrics: Arc<Metrics>,
}

/// A request that was let in.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    queue: Arc<Queue>,
}

/// A request whose turn it is.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
    queue: Arc<Queue>,
    since: Instant,
}

impl Queue {
    /// `threads` clips are worked on at a time, and `waiting` more requests are let in.
    pub(super) fn new(threads: usize, waiting: usize, metrics: Arc<Metrics>) -> Self {
        let capacity = threads + waiting;
        Self {
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
            clips: Arc::new(Semaphore::new(threads)),
            films: Arc::new(Semaphore::new(1)),
            threads,
            usual: AtomicU64::new(0),
            metrics,
        }
    }

    /// Lets a request in, before its body is read.
    ///
    /// # Errors
    /// Where there is no place, and when there may be one.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Place, Refusal> {
        match self.places.clone().try_acquire_owned() {
            Ok(permit) => {
                self.metrics.waiting.inc();
                Ok(Place { _permit: permit, queue: self.clone() })
            }
            Err(_) => Err(Refusal::busy(self.wait())),
        }
    }

    /// Whether nobody else is here.
    pub(super) fn has_one(&self) -> bool {
        self.capacity - self.places.available_permits() <= 1
    }

    /// Seconds until those who are here are done, as far as one can tell.
    fn wait(&self) -> u64 {
        let seconds = self.usual.load(Ordering::Relaxed) as f64 * 1e-6;
        (seconds * self.capacity as f64 / self.threads as f64).ceil().clamp(1.0, 60.0) as u64
    }
}

impl Place {
    /// Waits until a clip may be worked on.
    pub(super) async fn turn(&self) -> Result<Turn, Refusal> {
        self.wait_for(&self.queue.clips).await
    }

    /// Waits until a long video may be watched.
    pub(super) async fn film(&self) -> Result<Turn, Refusal> {
        self.wait_for(&self.queue.films).await
    }

    async fn wait_for(&self, of: &Arc<Semaphore>) -> Result<Turn, Refusal> {
        let start = Instant::now();
        let permit = of.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Refusal::ours("the server is ending"))?;
        self.queue.metrics.took(Stage::Wait, start.elapsed());
        self.queue.metrics.running.inc();
        Ok(Turn { _permit: permit, queue: self.queue.clone(), since: Instant::now() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.metrics.waiting.dec();
    }
}

impl Turn {
    /// A clip is done: the next ones may take as long.
    pub(super) fn clip_is_done(self) {
        let now = micros(self.since.elapsed());
        let before = self.queue.usual.load(Ordering::Relaxed);
        let usual = if before == 0 { now } else { (7 * before + now) / 8 };
        self.queue.usual.store(usual, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.metrics.running.dec();
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 16).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_place_is_told_when_to_come_back() {
        let queue = Arc::new(Queue::new(1, 1, Arc::new(Metrics::new())));
        let first = queue.enter().unwrap();
        assert!(queue.has_one());
        let second = queue.enter().unwrap();
        assert!(!queue.has_one());
        let refusal = queue.enter().err().unwrap();
        assert_eq!(refusal.status, 429);
        queue.usual.store(4_000_000, Ordering::Relaxed);
        assert!(queue.enter().err().unwrap().reason.contains("in 8 s"));
        drop((first, second));
        assert!(queue.enter().is_ok());
    }
}
