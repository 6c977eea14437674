//! Memory that starts on a cache line, so that no vector load straddles two.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// A growable `[f32]` that starts on a 64-byte boundary.
#[derive(Default)]
pub struct AlignedBuf {
    /// A line more than is used, as the allocator aligns to less.
    numbers: Vec<f32>,
    start: usize,
    len: usize,
}

impl AlignedBuf {
    /// `len` zeros. The operating system's own where they are many: pages that aren't used cost nothing.
    pub fn zeros(len: usize) -> Self {
        let spare = LINE / size_of::<f32>();
        let numbers = vec![0.0; len + spare];
        let start = numbers.as_ptr().align_offset(LINE).min(spare);
        Self { numbers, start, len }
    }

    /// At least `len` numbers of unspecified value; never shrinks, so that memory is reused.
    pub fn at_least(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            *self = Self::zeros(len);
        }
        &mut self[..len]
    }
}

impl Clone for AlignedBuf {
    fn clone(&self) -> Self {
        // The copy's memory begins elsewhere.
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for AlignedBuf {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[self.start..][..self.len]
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_aligned_and_alike() {
        let mut small = vec![];
        for len in [0, 1, 15, 16, 17, 1000, 1 << 20] {
            let mut buf = AlignedBuf::zeros(len);
            assert!(buf.iter().all(|x| *x == 0.0));
            buf.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32);
            // Something small in between shifts what the allocator gives next.
            small.push(vec![0u8; 40]);
            let copy = buf.clone();
            for buf in [&buf, &copy] {
                assert_eq!((buf.len(), buf.as_ptr() as usize % LINE), (len, 0));
            }
            assert_eq!(buf[..], copy[..]);
        }
    }
}
