//! Reading an object from anywhere in it, as little of it as is needed.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::blocks::BLOCK;
use super::process::process;
use super::{Object, Source};

/// So many blocks one request asks for at most: who reads on and on gets twice as many each time.
const LONGEST: u64 = 16;
/// Who has got so many at once goes on reading, and the next are asked for before they are needed.
const EAGER: u64 = 8;

/// An [`Object`] as a file.
pub(crate) struct Reader {
    object: Arc<Object>,
    position: u64,
    /// The block behind the last ones that were asked for, and how many these were.
    next: u64,
    run: u64,
    /// What was asked for before it is needed.
    ahead: Option<Ahead>,
}

/// A request under way.
struct Ahead {
    first: u64,
    count: u64,
    answer: JoinHandle<io::Result<Vec<u8>>>,
}

impl Reader {
    /// Reads `object` from its beginning.
    pub(crate) fn new(object: Arc<Object>) -> Self {
        Self { object, position: 0, next: 1, run: 1, ahead: None }
    }

    /// The block of that number.
    fn block(&mut self, number: u64) -> io::Result<Arc<Vec<u8>>> {
        if let Some(block) = self.object.blocks().get(number) {
            return Ok(block);
        }
        let runtime = &process()?.runtime;
        let (first, bytes) = match self.ahead.take() {
            Some(ahead) if (ahead.first..ahead.first + ahead.count).contains(&number) => {
                let bytes = runtime.block_on(ahead.answer).map_err(io::Error::other)??;
                (self.next, self.run) = (ahead.first + ahead.count, ahead.count);
                (ahead.first, bytes)
            }
            other => {
                if let Some(unwanted) = other {
                    unwanted.answer.abort();
                }
                let count = if number == self.next { (self.run * 2).min(LONGEST) } else { 1 };
                (self.next, self.run) = (number + count, count);
                (number, runtime.block_on(self.request(number, count))?)
            }
        };
        self.object.blocks().keep(first, &bytes);
        let kept = self.object.blocks().get(self.next).is_some();
        if self.run >= EAGER && self.next * BLOCK < self.object.size() && !kept {
            let count = (self.run * 2).min(LONGEST);
            let answer = runtime.spawn(self.request(self.next, count));
            self.ahead = Some(Ahead { first: self.next, count, answer });
        }
        let block = self.object.blocks().get(number);
        block.ok_or_else(|| io::Error::other("the store sent less than was asked for"))
    }

    fn request(&self, first: u64, count: u64) -> impl Future<Output = io::Result<Vec<u8>>> + Send + use<> {
        let end = ((first + count) * BLOCK).min(self.object.size());
        self.object.clone().part(first * BLOCK, end)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.object.size() || buffer.is_empty() {
            return Ok(0);
        }
        let block = self.block(self.position / BLOCK)?;
        let bytes = block.get((self.position % BLOCK) as usize..).unwrap_or_default();
        let n = bytes.len().min(buffer.len());
        buffer[..n].copy_from_slice(&bytes[..n]);
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.object.size().checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl Source for Reader {
    fn size(&self) -> io::Result<u64> {
        Ok(self.object.size())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(ahead) = &self.ahead {
            ahead.answer.abort();
        }
    }
}
