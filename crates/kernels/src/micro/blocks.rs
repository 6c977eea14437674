//! Products of blocks of bfloat16, on AVX-512 BF16 and on AMX, from the same packed numbers.

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use absent::{multiply, pack_pairs, pack_rows};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{multiply, pack_pairs, pack_rows};

use crate::instructions::Bf16Unit;
use crate::micro::bf16::Pair;

/// Rows of a tile, and pairs in one of them.
pub(crate) const SIDE: usize = 16;
/// Numbers that one tile multiplies: the pairs of a row.
pub(crate) const DEPTH: usize = 2 * SIDE;

/// Columns of a panel of tiles: two side by side.
pub(crate) const PANEL: usize = 2 * SIDE;
/// Steps at a time: a panel's tiles for them stay in the level-1 cache while all rows pass.
pub(crate) const DEEP: usize = 16;

/// 16 cache lines of 16 pairs. On the left of a product a line is a row, and a pair two neighbours of it; on the
/// right a line is two neighbouring rows, and a pair the two numbers that they have in one column.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Tile(pub(crate) [Pair; SIDE * SIDE]);

impl Tile {
    pub(crate) const ZERO: Self = Self([0; SIDE * SIDE]);

    /// From the left side of a product to the right.
    pub(crate) fn turned(&self) -> Self {
        let mut turned = Self::ZERO;
        for (i, line) in self.0.chunks_exact(SIDE).enumerate() {
            for (j, pair) in line.iter().enumerate() {
                turned.0[j * SIDE + i] = *pair;
            }
        }
        turned
    }
}

/// Rows of rounded numbers on the left of a product. Tiles of them needn't be packed: their 16 lines may lie anywhere, as
/// long as it is evenly apart.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    /// The first row.
    pub from: *const u8,
    /// Bytes from one row to the next, and from one row to the 16th behind it.
    pub line: usize,
    pub below: usize,
    /// Bytes from `from` to where each step begins.
    pub steps: &'a [usize],
}

impl<'a> Left<'a> {
    /// Packed tiles: those of 16 rows one behind the other, and those of the next 16 rows `row` tiles behind. `steps` are of
    /// [`packed_steps`].
    pub(crate) fn packed(tiles: &[Tile], row: usize, steps: &'a [usize]) -> Self {
        Self {
            from: tiles.as_ptr().cast(),
            line: size_of::<[Pair; SIDE]>(),
            below: row * size_of::<Tile>(),
            steps,
        }
    }
}

/// Where the steps of packed tiles begin.
pub(crate) fn packed_steps(steps: usize) -> Vec<usize> {
    (0..steps).map(|step| step * size_of::<Tile>()).collect()
}

/// A product of up to 32 × 32 sums.
pub(crate) struct Block<'a> {
    pub left: Left<'a>,
    /// `[steps][2]`: tiles of 16 columns each.
    pub right: *const Tile,
    /// `[rows rounded up to 16, 32]`
    pub out: *mut f32,
    /// Numbers from one row of `out` to the next.
    pub out_row: usize,
    /// From 1 to 32.
    pub rows: usize,
    /// Whether `out` holds sums that are to grow.
    pub add: bool,
}

/// While it lives, this thread's tile registers are set up, if `unit` needs them.
pub(crate) struct Session {
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "no instructions, no sessions"))]
    unit: Bf16Unit,
}

impl Session {
    /// # Safety
    /// The CPU has the instructions.
    pub(crate) unsafe fn new(unit: Bf16Unit) -> Self {
        #[cfg(target_arch = "x86_64")]
        if unit == Bf16Unit::Amx {
            unsafe { amx::configure() }
        }
        Self { unit }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if self.unit == Bf16Unit::Amx {
            // SAFETY: `new` has run.
            unsafe { amx::release() }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;

    /// Rounds up to 16 rows of `n` numbers to tiles for the left side, one after the other; what is missing is 0.
    ///
    /// # Safety
    /// `rows` rows of `n` numbers from `from` on, `stride` apart; room for `n / 32` tiles, rounded up, at `to`; the
    /// CPU has the instructions.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(crate) unsafe fn pack_rows(from: *const f32, stride: usize, rows: usize, n: usize, to: *mut Tile) {
        unsafe {
            let to: *mut Pair = to.cast();
            for r in 0..SIDE {
                for (step, at) in (0..n).step_by(DEPTH).enumerate() {
                    let line = to.add(step * SIDE * SIDE + r * SIDE).cast();
                    if r >= rows {
                        _mm512_store_si512(line, _mm512_setzero_si512());
                        continue;
                    }
                    let from = from.add(r * stride + at);
                    let left = n - at;
                    let (low, high) = if left >= DEPTH {
                        (_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(SIDE)))
                    } else {
                        let mask = ((1u64 << left) - 1) as u32;
                        (
                            _mm512_maskz_loadu_ps(mask as u16, from),
                            _mm512_maskz_loadu_ps((mask >> 16) as u16, from.wrapping_add(SIDE)),
                        )
                    };
                    let pairs = _mm512_cvtne2ps_pbh(high, low);
                    _mm512_store_si512(line, std::mem::transmute::<__m512bh, __m512i>(pairs));
                }
            }
        }
    }

    /// Rounds up to 32 rows of 16 columns to a tile for the right side; what is missing is 0.
    ///
    /// # Safety
    /// `rows` rows of `cols` numbers from `from` on, `stride` apart; the CPU has the instructions.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(crate) unsafe fn pack_pairs(
        from: *const f32,
        stride: usize,
        rows: usize,
        cols: usize,
        to: *mut Tile,
    ) {
        unsafe {
            let to: *mut Pair = to.cast();
            let mask = ((1u32 << cols.min(SIDE)) - 1) as __mmask16;
            for pair in 0..SIDE {
                let row = |r: usize| {
                    let x = if r < rows {
                        _mm512_maskz_loadu_ps(mask, from.add(r * stride))
                    } else {
                        _mm512_setzero_ps()
                    };
                    _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x)))
                };
                let (even, odd) = (row(2 * pair), row(2 * pair + 1));
                let pairs = _mm512_or_si512(even, _mm512_slli_epi32::<16>(odd));
                _mm512_store_si512(to.add(pair * SIDE).cast(), pairs);
            }
        }
    }

    /// # Safety
    /// The pointers are valid for what the fields' descriptions say; the session is this thread's.
    pub(crate) unsafe fn multiply(session: &Session, block: &Block) {
        unsafe {
            match session.unit {
                Bf16Unit::Amx => amx::multiply(block),
                Bf16Unit::Avx512 => {
                    for first in (0..block.rows.next_multiple_of(8)).step_by(8) {
                        dots(block, first);
                    }
                }
            }
        }
    }

    /// 8 rows from row `first` on.
    #[target_feature(enable = "avx512f,avx512bf16")]
    // Indices say which registers a loop is about; iterators would hide it.
    #[allow(clippy::needless_range_loop)]
    unsafe fn dots(b: &Block, first: usize) {
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); 2]; 8];
            let out = b.out.add(first * b.out_row);
            if b.add {
                for r in 0..8 {
                    for j in 0..2 {
                        sums[r][j] = _mm512_loadu_ps(out.add(r * b.out_row + j * SIDE));
                    }
                }
            }
            let left = b.left.from.add(first / SIDE * b.left.below + first % SIDE * b.left.line);
            let right: *const Pair = b.right.cast();
            for (step, offset) in b.left.steps.iter().enumerate() {
                let left = left.add(*offset);
                let right = right.add(step * 2 * SIDE * SIDE);
                for pair in 0..SIDE {
                    let columns = |j: usize| {
                        let line = _mm512_load_si512(right.add((j * SIDE + pair) * SIDE).cast());
                        std::mem::transmute::<__m512i, __m512bh>(line)
                    };
                    let columns = [columns(0), columns(1)];
                    for r in 0..8 {
                        let x = left.add(r * b.left.line).cast::<Pair>().add(pair).read_unaligned();
                        let x = _mm512_set1_epi32(x as i32);
                        let x = std::mem::transmute::<__m512i, __m512bh>(x);
                        for j in 0..2 {
                            sums[r][j] = _mm512_dpbf16_ps(sums[r][j], x, columns[j]);
                        }
                    }
                }
            }
            for r in 0..8 {
                for j in 0..2 {
                    _mm512_storeu_ps(out.add(r * b.out_row + j * SIDE), sums[r][j]);
                }
            }
        }
    }
}

/// Tile registers. Rust has no intrinsics for them yet; no compiled code but this touches them.
#[cfg(target_arch = "x86_64")]
mod amx {
    use super::*;
    use std::arch::asm;

    /// Palette 1: eight registers of 16 rows of 64 bytes. Layout: Intel's manual, LDTILECFG.
    #[repr(C, align(64))]
    struct Config {
        palette: u8,
        start: u8,
        reserved: [u8; 14],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }

    static CONFIG: Config = Config {
        palette: 1,
        start: 0,
        reserved: [0; 14],
        row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };

    /// # Safety
    /// The CPU has AMX, and the operating system lets this process use it.
    pub(super) unsafe fn configure() {
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly)) }
    }

    /// # Safety
    /// As [`configure`].
    pub(super) unsafe fn release() {
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }

    /// # Safety
    /// The pointers are valid for what the fields' descriptions say; this thread's tiles are configured.
    pub(super) unsafe fn multiply(b: &Block) {
        unsafe { if b.rows > SIDE { two(b) } else { one(b) } }
    }

    /// 32 × 32: registers 0 to 3 hold the sums, 4 and 5 rows, 6 and 7 columns.
    unsafe fn two(b: &Block) {
        unsafe {
            asm!(
                "test {at:e}, {at:e}",
                "jnz 3f",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "jmp 2f",
                "3:",
                "tileloadd tmm0, [{out} + {out_row}]",
                "tileloadd tmm1, [{out} + {out_row} + 64]",
                "tileloadd tmm2, [{below} + {out_row}]",
                "tileloadd tmm3, [{below} + {out_row} + 64]",
                "2:",
                "mov {at}, [{offsets}]",
                "add {at}, {left}",
                "tileloadd tmm6, [{right} + {line}]",
                "tileloadd tmm4, [{at} + {left_line}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {line} + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "add {at}, {left_below}",
                "tileloadd tmm5, [{at} + {left_line}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {offsets}, 8",
                "add {right}, 2048",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {out_row}], tmm0",
                "tilestored [{out} + {out_row} + 64], tmm1",
                "tilestored [{below} + {out_row}], tmm2",
                "tilestored [{below} + {out_row} + 64], tmm3",
                at = inout(reg) u64::from(b.add) => _,
                left = in(reg) b.left.from,
                left_line = in(reg) b.left.line,
                left_below = in(reg) b.left.below,
                offsets = inout(reg) b.left.steps.as_ptr() => _,
                steps = inout(reg) b.left.steps.len() => _,
                right = inout(reg) b.right => _,
                out = in(reg) b.out,
                below = in(reg) b.out.add(SIDE * b.out_row),
                out_row = in(reg) b.out_row * size_of::<f32>(),
                line = in(reg) SIDE * size_of::<Pair>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// 16 × 32.
    unsafe fn one(b: &Block) {
        unsafe {
            asm!(
                "test {at:e}, {at:e}",
                "jnz 3f",
                "tilezero tmm0",
                "tilezero tmm1",
                "jmp 2f",
                "3:",
                "tileloadd tmm0, [{out} + {out_row}]",
                "tileloadd tmm1, [{out} + {out_row} + 64]",
                "2:",
                "mov {at}, [{offsets}]",
                "add {at}, {left}",
                "tileloadd tmm6, [{right} + {line}]",
                "tileloadd tmm4, [{at} + {left_line}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {line} + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "add {offsets}, 8",
                "add {right}, 2048",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {out_row}], tmm0",
                "tilestored [{out} + {out_row} + 64], tmm1",
                at = inout(reg) u64::from(b.add) => _,
                left = in(reg) b.left.from,
                left_line = in(reg) b.left.line,
                offsets = inout(reg) b.left.steps.as_ptr() => _,
                steps = inout(reg) b.left.steps.len() => _,
                right = inout(reg) b.right => _,
                out = in(reg) b.out,
                out_row = in(reg) b.out_row * size_of::<f32>(),
                line = in(reg) SIDE * size_of::<Pair>(),
                out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod absent {
    use super::{Block, Session, Tile};

    pub(crate) unsafe fn pack_rows(_: *const f32, _: usize, _: usize, _: usize, _: *mut Tile) {
        unreachable!("no instructions, no tiles")
    }

    pub(crate) unsafe fn pack_pairs(_: *const f32, _: usize, _: usize, _: usize, _: *mut Tile) {
        unreachable!("no instructions, no tiles")
    }

    pub(crate) unsafe fn multiply(_: &Session, _: &Block) {
        unreachable!("no instructions, no tiles")
    }
}
