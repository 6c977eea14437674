//! Dense convolution over channels-last images and volumes: 1×1, 2D and 3D by the same code.
//!
//! There is no im2col: every tile of output pixels reads its inputs where they lie, through one
//! pointer a pixel and tap; a tap that hangs over the border reads zeros.

use super::bf16::{self, Bf16Panels, Precision};
use super::micro::{self, Tap, Tile};
use super::place::{MAX_INPUTS, Placed, Position};
use super::{AlignedBuf, Kernels, plain};
use rayon::prelude::*;

pub use super::shape::{Activation, Grid, Window};

/// One run of a convolution over borrowed memory. The output's grid says how many pixels.
pub struct Run<'a> {
    pub window: Window,
    /// The other way round: the window moves over the output, as the gradient for the input of a
    /// convolution with that window needs it.
    pub transposed: bool,
    pub input: &'a [f32],
    pub from: Grid,
    pub output: &'a mut [f32],
    pub to: Grid,
    /// Added before the activation, a pixel for each of the output's.
    pub residual: Option<(&'a [f32], Grid)>,
    pub activation: Activation,
}

/// Weights `[taps, cin, cout]` cut into panels of 48, 32 or 16 output channels, so that the
/// microkernel reads them from front to back; and the bias.
#[derive(Clone)]
pub struct PackedConv {
    kernels: Kernels,
    pub cin: usize,
    pub cout: usize,
    pub(super) taps: usize,
    panels: AlignedBuf,
    bias: AlignedBuf,
    precision: Precision,
    /// What runs instead of `panels`, which are empty then.
    bf16: Option<Bf16Panels>,
}

/// First channel and width of each panel: widths of 48 as long as no single 16 is left over.
pub(super) fn panels(cout: usize) -> impl Iterator<Item = (usize, usize)> {
    let vectors = cout.div_ceil(16);
    let mut at = 0;
    std::iter::from_fn(move || {
        let n = match vectors - at {
            0 => return None,
            4 => 2,
            left => left.min(3),
        };
        at += n;
        Some(((at - n) * 16, n * 16))
    })
}

impl PackedConv {
    /// Weights in PyTorch's order `[cout, cin, taps…]`, taps counted depth, height, width.
    pub fn from_torch(kernels: Kernels, [taps, cin, cout]: [usize; 3], weight: &[f32], bias: &[f32]) -> Self {
        assert_eq!(weight.len(), taps * cin * cout, "weight's size");
        Self::pack(kernels, [taps, cin, cout], bias, |first, panel, width| {
            let outputs = weight.chunks_exact(cin * taps).skip(first).take(width);
            for (o, weights) in outputs.enumerate() {
                for (i, taps_of_one) in weights.chunks_exact(taps).enumerate() {
                    for (t, &x) in taps_of_one.iter().enumerate() {
                        panel[(t * cin + i) * width + o] = x;
                    }
                }
            }
        })
    }

    /// Weights `[taps, cin, cout]`.
    pub fn from_rows(kernels: Kernels, [taps, cin, cout]: [usize; 3], weight: &[f32], bias: &[f32]) -> Self {
        assert_eq!(weight.len(), taps * cin * cout, "weight's size");
        Self::pack(kernels, [taps, cin, cout], bias, |first, panel, width| {
            let outputs = (cout - first).min(width);
            for (row, weights) in panel.chunks_exact_mut(width).zip(weight.chunks_exact(cout)) {
                row[..outputs].copy_from_slice(&weights[first..first + outputs]);
            }
        })
    }

    /// The convolution that yields the gradient for the input of the one with this `weight`
    /// `[cout, cin, taps…]`: `cout` channels in, `cin` out, no bias. Set [`Run::transposed`].
    pub fn transposed(kernels: Kernels, [taps, cin, cout]: [usize; 3], weight: &[f32]) -> Self {
        assert_eq!(weight.len(), taps * cin * cout, "weight's size");
        Self::pack(kernels, [taps, cout, cin], &vec![0.0; cin], |first, panel, width| {
            let inputs = (cin - first).min(width);
            for t in 0..taps {
                for o in 0..cout {
                    let row = &mut panel[(t * cout + o) * width..][..inputs];
                    let from = weight[(o * cin + first) * taps + t..].iter().step_by(taps);
                    row.iter_mut().zip(from).for_each(|(x, &w)| *x = w);
                }
            }
        })
    }

    /// `fill(first output channel, panel, width)` writes one panel `[taps · cin, width]`.
    fn pack(
        kernels: Kernels,
        [taps, cin, cout]: [usize; 3],
        bias: &[f32],
        fill: impl Fn(usize, &mut [f32], usize) + Sync,
    ) -> Self {
        assert_eq!(bias.len(), cout, "one bias for each output channel");
        let padded = cout.next_multiple_of(16);
        let mut packed = AlignedBuf::zeros(taps * cin * padded);
        let mut rest = &mut packed[..];
        let mut pieces = Vec::new();
        for (first, width) in panels(cout) {
            let (panel, behind) = rest.split_at_mut(taps * cin * width);
            pieces.push((first, width, panel));
            rest = behind;
        }
        pieces.into_par_iter().for_each(|(first, width, panel)| fill(first, panel, width));
        let mut padded_bias = AlignedBuf::zeros(padded);
        padded_bias[..cout].copy_from_slice(bias);
        let precision = Precision::F32;
        Self { kernels, cin, cout, taps, panels: packed, bias: padded_bias, precision, bf16: None }
    }

    /// Multiplies the weights of each output channel by its `scale`; the bias stays as it is.
    pub fn scaled(mut self, scale: &[f32]) -> Self {
        assert_eq!(scale.len(), self.cout, "one factor for each output channel");
        let rows = self.taps * self.cin;
        for (first, width) in panels(self.cout) {
            let panel = &mut self.panels[first * rows..][..rows * width];
            for row in panel.chunks_exact_mut(width) {
                row.iter_mut().zip(&scale[first..]).for_each(|(x, scale)| *x *= scale);
            }
        }
        self
    }

    /// Lowers a 1×1 convolution's inputs and weights to `precision`; larger windows stay as they are, as do all
    /// where there are no instructions for it.
    pub fn set_precision(&mut self, precision: Precision) {
        let possible = match self.kernels {
            Kernels::Plain => true,
            Kernels::Avx512 => bf16::has_instructions(),
            _ => false,
        };
        if precision == Precision::F32 || self.taps != 1 || !possible {
            return;
        }
        self.precision = precision;
        if self.kernels != Kernels::Plain {
            self.bf16 = Some(Bf16Panels::new(self));
            self.panels = AlignedBuf::default();
        }
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    /// The weight of one tap.
    pub(super) fn weight(&self, tap: usize, i: usize, o: usize) -> f32 {
        let (first, width) = panels(self.cout).take_while(|(first, _)| *first <= o).last().unwrap_or((0, 16));
        let rows = self.taps * self.cin;
        self.panels[first * rows + (tap * self.cin + i) * width + o - first]
    }

    pub(super) fn bias(&self) -> &[f32] {
        &self.bias[..self.cout]
    }

    /// All panels, one after the other: `[taps · cin, width]` each.
    pub(super) fn panels(&self) -> &[f32] {
        &self.panels
    }

    /// With zeros up to whole vectors.
    pub(super) fn bias_padded(&self) -> &[f32] {
        &self.bias
    }

    /// Runs on the current thread.
    pub fn run(&self, mut run: Run) {
        let rows = run.to.dims[0] * run.to.dims[1] * run.to.dims[2];
        self.check(&run);
        if self.kernels == Kernels::Plain {
            return plain::conv(self, &mut run);
        }
        let output = run.output.as_mut_ptr();
        self.rows(&run, output, 0..rows);
    }

    /// Splits the output's rows over rayon's current pool.
    pub fn run_parallel(&self, mut run: Run) {
        let rows = run.to.dims[0] * run.to.dims[1] * run.to.dims[2];
        self.check(&run);
        if self.kernels == Kernels::Plain {
            return plain::conv(self, &mut run);
        }
        // Pieces of at least some 100 000 multiply-adds, several a thread so that none waits long.
        let row_cost = (run.to.dims[3] * self.taps * self.cin * self.cout).max(1);
        let piece = (rows.div_ceil(rayon::current_num_threads() * 4)).max(100_000 / row_cost).max(1);
        let output = SendPtr(run.output.as_mut_ptr());
        let run = &run;
        rayon::scope(|scope| {
            for first in (0..rows).step_by(piece) {
                scope.spawn(move |_| {
                    self.rows(run, output.get(), first..(first + piece).min(rows));
                });
            }
        });
    }

    /// Nothing below looks at bounds again.
    fn check(&self, run: &Run) {
        assert_eq!(run.window.taps(), self.taps, "kernel's size");
        assert!(run.input.len() >= run.from.len(self.cin), "input's size");
        assert!(run.output.len() >= run.to.len(self.cout), "output's size");
        assert!(run.from.dims[0] >= run.to.dims[0], "input's batch");
        assert!(self.cin <= MAX_INPUTS, "more input channels than supported");
        if self.bf16.is_some() {
            assert!(run.window == Window::POINT && !run.transposed, "bfloat16 is for 1×1 convolutions only");
            assert!(std::iter::zip(run.to.dims, run.from.dims).all(|(to, from)| to <= from), "input's size");
        }
        run.to.check_apart(self.cout);
        if let Some((residual, grid)) = &run.residual {
            assert_eq!(grid.dims, run.to.dims, "residual's shape");
            assert!(residual.len() >= grid.len(self.cout), "residual's size");
        }
    }

    fn rows(&self, run: &Run, output: *mut f32, rows: std::ops::Range<usize>) {
        if let Some(panels) = &self.bf16 {
            return panels.run(self, run, output, rows);
        }
        match self.kernels {
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512 => self.tiles(run, output, rows, micro::tile_avx512),
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx2 => self.tiles(run, output, rows, micro::tile_avx2),
            _ => self.tiles(run, output, rows, micro::tile_portable),
        }
    }

    /// Output rows `rows` (counted through volumes and planes) in blocks of tiles: each panel of
    /// weights is read once a block, while the block's inputs stay near.
    fn tiles<const R: usize>(
        &self,
        run: &Run,
        output: *mut f32,
        rows: std::ops::Range<usize>,
        kernel: unsafe fn(&Tile<R>),
    ) {
        let width = run.to.dims[3];
        let pixels = rows.len() * width;
        let mut taps: Vec<Tap<R>> = Vec::with_capacity(256.max(self.taps));
        let mut tiles: Vec<Placed<R>> = Vec::with_capacity(64);
        let mut at = Position::new(run, rows.start);
        let mut done = 0;
        while done < pixels {
            taps.clear();
            tiles.clear();
            while done < pixels && tiles.len() < 64 && taps.len() + self.taps <= taps.capacity() {
                let n = (pixels - done).min(R);
                tiles.push(Placed::new(self, run, output, &mut at, n, &mut taps));
                done += n;
            }
            for (first, width) in panels(self.cout) {
                for tile in &tiles {
                    let tile = Tile {
                        taps: &taps[tile.taps.clone()],
                        k: tile.k,
                        panel: self.panels[first * self.taps * self.cin..].as_ptr(),
                        width,
                        bias: self.bias[first..].as_ptr(),
                        out: tile.out.map(|p| p.wrapping_add(first)),
                        residual: tile.residual.map(|r| r.map(|p| p.wrapping_add(first))),
                        rows: tile.rows,
                        cols: (self.cout - first).min(width),
                        clamp: run.activation.clamp(),
                    };
                    // SAFETY: `check` has compared the slices with their grids; taps point into
                    // the input or at zeros; Kernels::supported has seen the instructions.
                    unsafe { kernel(&tile) }
                }
            }
        }
    }
}

/// Where tasks write that run side by side.
#[derive(Clone, Copy)]
pub(super) struct SendPtr(pub(super) *mut f32);
// SAFETY: each task writes rows of its own.
unsafe impl Send for SendPtr {}
// SAFETY: as above.
unsafe impl Sync for SendPtr {}
impl SendPtr {
    /// A method, so that closures capture the whole wrapper.
    pub(super) fn get(self) -> *mut f32 {
        self.0
    }
}
