//! Many rows times one panel of packed numbers, in `f32`.

use crate::instructions::Kernels;
use crate::micro::ahead::Ahead;
use crate::micro::tile::{self, Tap, Tile};

/// Zeros for panels without a bias: as many as the widest has columns.
static NO_BIAS: [f32; 48] = [0.0; 48];

/// `out [rows, cols] = bias + input [rows, k] · panel`, or grows by it.
pub(crate) struct Strip {
    pub(crate) input: *const f32,
    /// Numbers from one row of the input to the next.
    pub(crate) input_row: usize,
    pub(crate) rows: usize,
    pub(crate) k: usize,
    /// `[k, width]`
    pub(crate) panel: *const f32,
    /// 48, 32 or 16.
    pub(crate) width: usize,
    /// `[width]`
    pub(crate) bias: Option<*const f32>,
    pub(crate) add: bool,
    pub(crate) out: *mut f32,
    /// Numbers from one row of the output to the next.
    pub(crate) out_row: usize,
    pub(crate) cols: usize,
    /// What comes next.
    pub(crate) ahead: Option<Ahead>,
}

impl Strip {
    /// # Safety
    /// The pointers are valid for what the fields' descriptions say; nobody else uses the output; the CPU has the
    /// instructions.
    pub(crate) unsafe fn run(&self, kernels: Kernels) {
        // SAFETY: the caller's.
        unsafe {
            match kernels {
                #[cfg(target_arch = "x86_64")]
                Kernels::Avx512 => self.tiles(tile::tile_avx512),
                #[cfg(target_arch = "x86_64")]
                Kernels::Avx2 => self.tiles(tile::tile_avx2),
                _ => self.tiles(tile::tile_portable),
            }
        }
    }

    /// # Safety
    /// As [`Self::run`].
    unsafe fn tiles<const R: usize>(&self, kernel: unsafe fn(&Tile<R>)) {
        let tiles = self.rows.div_ceil(R);
        for (i, first) in (0..self.rows).step_by(R).enumerate() {
            if let Some(ahead) = self.ahead {
                ahead.fetch(i, tiles);
            }
            let rows = (self.rows - first).min(R);
            // Missing rows repeat the last.
            let row = |r: usize| first + r.min(rows - 1);
            let input = std::array::from_fn(|r| self.input.wrapping_add(row(r) * self.input_row));
            let out = std::array::from_fn(|r| self.out.wrapping_add(row(r) * self.out_row));
            let tile = Tile {
                taps: &[Tap { row: 0, input }],
                k: self.k,
                panel: self.panel,
                width: self.width,
                bias: self.bias.unwrap_or(NO_BIAS.as_ptr()),
                out,
                residual: self.add.then(|| out.map(|p| p.cast_const())),
                rows,
                cols: self.cols,
                clamp: (f32::NEG_INFINITY, f32::INFINITY),
            };
            // SAFETY: the caller's.
            unsafe { kernel(&tile) }
        }
    }
}
