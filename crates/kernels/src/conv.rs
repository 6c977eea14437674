//! Dense convolution over channels-last images and volumes: 1×1, 2D and 3D by the same code.
//!
//! There is no im2col: every tile of output pixels reads its inputs where they lie, through one
//! pointer a pixel and tap; a tap that hangs over the border reads zeros.

use std::ops::Range;

pub use crate::call::Run;
pub use crate::shape::{Activation, Grid, Window};

use crate::bf16::Bf16Panels;
use crate::call::SendPtr;
use crate::instructions::{Bf16Unit, Kernels};
use crate::micro::tile::{self, Tap, Tile};
use crate::panels::{Panels, cuts};
use crate::place::{Placed, Position};
use crate::plain;
use crate::precision::Precision;
use crate::shape::product;
use crate::tiled::TiledConv;

/// A convolution, its weights in the order in which the kernels read them.
#[derive(Clone)]
pub struct PackedConv {
    kernels: Kernels,
    sizes: [usize; 3],
    weights: Weights,
    /// Of the plain loops: with [`Kernels::Plain`] the weights are rounded on the way.
    precision: Precision,
}

#[derive(Clone)]
enum Weights {
    F32(Panels),
    Bf16(Bf16Panels),
    Tiled(TiledConv),
}

impl PackedConv {
    /// Weights in PyTorch's order `[cout, cin, taps…]`, taps counted depth, height, width; `bias [cout]`.
    ///
    /// # Panics
    /// `weight` or `bias` has another size, one of the sizes is 0, or this CPU lacks the instructions.
    pub fn from_torch(kernels: Kernels, sizes: [usize; 3], weight: &[f32], bias: &[f32]) -> Self {
        Self::new(kernels, Panels::from_torch(sizes, weight, bias))
    }

    /// Weights `[taps, cin, cout]`, `bias [cout]`.
    ///
    /// # Panics
    /// As [`Self::from_torch`].
    pub fn from_rows(kernels: Kernels, sizes: [usize; 3], weight: &[f32], bias: &[f32]) -> Self {
        Self::new(kernels, Panels::from_rows(sizes, weight, bias))
    }

    /// The convolution that yields the gradient for the input of the one with this `weight`
    /// `[cout, cin, taps…]`: `cout` channels in, `cin` out, no bias. Set [`Run::transposed`].
    ///
    /// # Panics
    /// As [`Self::from_torch`].
    pub fn transposed(kernels: Kernels, sizes: [usize; 3], weight: &[f32]) -> Self {
        Self::new(kernels, Panels::transposed(sizes, weight))
    }

    fn new(kernels: Kernels, panels: Panels) -> Self {
        let sizes = [panels.taps(), panels.cin(), panels.cout()];
        let weights = Weights::F32(panels);
        Self { kernels: kernels.expect_supported(), sizes, weights, precision: Precision::F32 }
    }

    /// Input channels.
    pub fn cin(&self) -> usize {
        self.sizes[1]
    }

    /// Output channels.
    pub fn cout(&self) -> usize {
        self.sizes[2]
    }

    /// Multiplies the weights of each output channel by its `scale`; the bias stays as it is.
    ///
    /// # Panics
    /// Other than `cout` factors, or after [`Self::set_precision`] has rounded the weights.
    pub fn scaled(mut self, scale: &[f32]) -> Self {
        match &mut self.weights {
            Weights::F32(panels) => panels.scale(scale),
            Weights::Bf16(_) | Weights::Tiled(_) => panic!("weights are scaled before they are rounded"),
        }
        self
    }

    /// Whether [`Self::set_precision`] changes anything about a convolution of so many `taps`: on AMX it does for any, on
    /// AVX-512 BF16 for 1×1 convolutions. Plain loops round as well as any.
    pub fn lowers(kernels: Kernels, precision: Precision, taps: usize) -> bool {
        let unit = || kernels.bf16_unit();
        precision == Precision::Bf16
            && (kernels == Kernels::Plain || unit() == Some(Bf16Unit::Amx) || unit().is_some() && taps == 1)
    }

    /// Lowers inputs and weights to `precision`, where [`Self::lowers`] says so, for runs with a window of this `kernel`:
    /// depth, height, width. What has been lowered stays so.
    ///
    /// # Panics
    /// The kernel has other than `taps` pixels.
    pub fn set_precision(&mut self, precision: Precision, kernel: [usize; 3]) {
        assert_eq!(product(&kernel), self.sizes[0], "kernel's size");
        let Weights::F32(panels) = &self.weights else { return };
        if !Self::lowers(self.kernels, precision, self.sizes[0]) {
            return;
        }
        match self.kernels.bf16_unit() {
            None => self.precision = precision,
            Some(unit @ Bf16Unit::Amx) => self.weights = Weights::Tiled(TiledConv::new(unit, kernel, panels)),
            Some(Bf16Unit::Avx512) => self.weights = Weights::Bf16(Bf16Panels::new(panels)),
        }
    }

    /// Runs on the current thread.
    ///
    /// # Panics
    /// The window has other than `taps` pixels, a slice is shorter than its grid, grids don't fit each other, the
    /// output's pixels overlap, or there are more than 4096 input channels.
    pub fn run(&self, mut run: Run) {
        self.check(&run);
        if let Some(panels) = self.plain() {
            return plain::conv(panels, self.precision, &mut run);
        }
        let output = SendPtr::new(run.output);
        // SAFETY: checked, and all rows belong to this thread.
        unsafe {
            match &self.weights {
                Weights::Tiled(conv) => conv.run(&run, output, false),
                _ => self.rows(&run, output, 0..run.rows()),
            }
        }
    }

    /// Splits the output's rows over rayon's current pool.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_parallel(&self, mut run: Run) {
        self.check(&run);
        if let Some(panels) = self.plain() {
            return plain::conv(panels, self.precision, &mut run);
        }
        if let Weights::Tiled(conv) = &self.weights {
            let output = SendPtr::new(run.output);
            // SAFETY: checked, and the output is borrowed for this run.
            return unsafe { conv.run(&run, output, true) };
        }
        let rows = run.rows();
        // Pieces of at least some 100 000 multiply-adds, several a thread so that none waits long.
        let row_cost = self.sizes.iter().fold(run.to.dims[3], |cost, n| cost.saturating_mul(*n)).max(1);
        let piece = (rows.div_ceil(rayon::current_num_threads() * 4)).max(100_000 / row_cost).max(1);
        let output = SendPtr::new(run.output);
        let run = &run;
        rayon::scope(|scope| {
            for first in (0..rows).step_by(piece) {
                // SAFETY: checked, and each task has rows of its own.
                scope.spawn(move |_| unsafe { self.rows(run, output, first..(first + piece).min(rows)) });
            }
        });
    }

    /// The weights, where plain loops are to run.
    fn plain(&self) -> Option<&Panels> {
        match &self.weights {
            Weights::F32(panels) if self.kernels == Kernels::Plain => Some(panels),
            _ => None,
        }
    }

    fn check(&self, run: &Run) {
        run.check(self.sizes);
        match &self.weights {
            Weights::F32(_) => (),
            Weights::Bf16(_) => {
                assert!(run.is_point() && !run.transposed, "bfloat16 is for 1×1 convolutions only");
            }
            Weights::Tiled(conv) => {
                assert!(run.window.kernel == conv.kernel() && !run.transposed, "packed for another kernel");
            }
        }
    }

    /// Output rows `rows`, counted through volumes and planes.
    ///
    /// # Safety
    /// The run has been checked, `output` is its output, and nobody else uses these rows of it.
    unsafe fn rows(&self, run: &Run, output: SendPtr, rows: Range<usize>) {
        let output = output.get();
        // SAFETY: the caller's; `new` has seen the instructions.
        unsafe {
            match (&self.weights, self.kernels) {
                (Weights::Bf16(panels), _) => panels.run(run, output, rows),
                #[cfg(target_arch = "x86_64")]
                (Weights::F32(panels), Kernels::Avx512) => {
                    tiles(panels, run, output, rows, tile::tile_avx512)
                }
                #[cfg(target_arch = "x86_64")]
                (Weights::F32(panels), Kernels::Avx2) => tiles(panels, run, output, rows, tile::tile_avx2),
                (Weights::F32(panels), _) => tiles(panels, run, output, rows, tile::tile_portable),
                (Weights::Tiled(_), _) => unreachable!("it runs as a whole"),
            }
        }
    }
}

/// Output rows `rows` in blocks of tiles: each panel of weights is read once a block, while the block's inputs stay
/// near.
///
/// # Safety
/// As [`PackedConv::rows`]; the CPU has the kernel's instructions.
unsafe fn tiles<const R: usize>(
    panels: &Panels,
    run: &Run,
    output: *mut f32,
    rows: Range<usize>,
    kernel: unsafe fn(&Tile<R>),
) {
    let pixels = rows.len() * run.to.dims[3];
    let mut taps: Vec<Tap<R>> = Vec::with_capacity(256.max(panels.taps()));
    let mut tiles: Vec<Placed<R>> = Vec::with_capacity(64);
    let mut at = Position::new(run, rows.start);
    let mut done = 0;
    while done < pixels {
        taps.clear();
        tiles.clear();
        while done < pixels && tiles.len() < 64 && taps.len() + panels.taps() <= taps.capacity() {
            let n = (pixels - done).min(R);
            tiles.push(Placed::new(panels.cin(), run, output, &mut at, n, &mut taps));
            done += n;
        }
        for (first, width) in cuts(panels.cout()) {
            for tile in &tiles {
                let tile = Tile {
                    taps: &taps[tile.taps.clone()],
                    k: tile.k,
                    panel: panels.panel(first).as_ptr(),
                    width,
                    bias: panels.bias()[first..].as_ptr(),
                    out: tile.out.map(|p| p.wrapping_add(first)),
                    residual: tile.residual.map(|r| r.map(|p| p.wrapping_add(first))),
                    rows: tile.rows,
                    cols: (panels.cout() - first).min(width),
                    clamp: run.activation.clamp(),
                };
                // SAFETY: `Run::check` has compared the slices with their grids; taps point into the input or at
                // zeros; the rest is the caller's.
                unsafe { kernel(&tile) }
            }
        }
    }
}
