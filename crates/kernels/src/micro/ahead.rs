//! Memory that is asked for before it is needed.

/// Bytes of a cache line.
const LINE: usize = 64;

/// A stretch of memory that comes into the level-2 cache piece by piece, while something else is computed.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    from: *const u8,
    lines: usize,
}

impl Ahead {
    pub(crate) fn of<T>(numbers: &[T]) -> Self {
        Self { from: numbers.as_ptr().cast(), lines: size_of_val(numbers).div_ceil(LINE) }
    }

    /// Asks for the `i`-th of `n` pieces.
    #[inline]
    pub(crate) fn fetch(self, i: usize, n: usize) {
        for line in self.lines * i / n..self.lines * (i + 1) / n {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
                // SAFETY: a hint, which no address makes wrong; SSE is part of x86-64.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(self.from.wrapping_add(line * LINE).cast()) }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = (line, self.from);
        }
    }
}
