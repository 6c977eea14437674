//! Dense convolution over channels-last images and volumes: 1×1, 2D and 3D by the same code.
//!
//! There is no im2col: every tile of output pixels reads its inputs where they lie, through one
//! pointer a pixel and tap; a tap that hangs over the border reads zeros.

use super::AlignedBuf;
use super::Kernels;
use super::micro::{self, Tap, Tile};
use super::plain;

/// What follows the sum of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    None,
    Relu,
    Relu6,
}

impl Activation {
    /// Lower and upper limit.
    pub fn clamp(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        }
    }
}

/// Where the pixels of a batch of volumes lie in a slice. An image is a volume of depth 1; the
/// channels of one pixel are adjacent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Volumes, depth, height, width.
    pub dims: [usize; 4],
    /// Numbers from one volume (plane, row, pixel) to the next.
    pub strides: [usize; 4],
}

impl Grid {
    /// Volumes without gaps, `channels` numbers a pixel.
    pub fn dense(dims: [usize; 4], channels: usize) -> Self {
        let [_, d, h, w] = dims;
        Self { dims, strides: [d * h * w * channels, h * w * channels, w * channels, channels] }
    }

    pub fn pixels(&self) -> usize {
        self.dims.iter().product()
    }

    /// Length of slice that holds all pixels, each `channels` long.
    pub fn len(&self, channels: usize) -> usize {
        if self.pixels() == 0 {
            return 0;
        }
        let last: usize = (0..4).map(|i| (self.dims[i] - 1) * self.strides[i]).sum();
        last + channels
    }

    pub fn is_empty(&self) -> bool {
        self.pixels() == 0
    }
}

/// Kernel size, stride and padding before the first pixel, along depth, height and width.
///
/// The padding behind follows from the output's size; all padding is zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub pad: [usize; 3],
}

impl Window {
    /// 1×1.
    pub const POINT: Self = Self { kernel: [1; 3], stride: [1; 3], pad: [0; 3] };

    /// TensorFlow's SAME padding: `output = ceil(input / stride)`, the odd row of padding goes
    /// behind. Returns the output's depth, height and width, too.
    pub fn same(kernel: [usize; 3], stride: [usize; 3], input: [usize; 3]) -> (Self, [usize; 3]) {
        let mut pad = [0; 3];
        let mut out = [0; 3];
        for i in 0..3 {
            out[i] = input[i].div_ceil(stride[i]);
            let span = out[i].saturating_sub(1) * stride[i] + kernel[i];
            pad[i] = span.saturating_sub(input[i]) / 2;
        }
        let window = Self { kernel, stride, pad };
        (window, out)
    }

    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }
}

/// One run of a convolution over borrowed memory. The output's grid says how many pixels.
pub struct Run<'a> {
    pub window: Window,
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
    taps: usize,
    panels: AlignedBuf,
    bias: AlignedBuf,
}

/// First channel and width of each panel: widths of 48 as long as no single 16 is left over.
fn panels(cout: usize) -> impl Iterator<Item = (usize, usize)> {
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
    /// `weight(tap, cin, cout)` gives one weight, taps counted depth, height, width; `bias` holds
    /// `cout` numbers.
    pub fn new(
        kernels: Kernels,
        [taps, cin, cout]: [usize; 3],
        weight: impl Fn(usize, usize, usize) -> f32,
        bias: &[f32],
    ) -> Self {
        assert_eq!(bias.len(), cout, "one bias for each output channel");
        let padded = cout.next_multiple_of(16);
        let mut packed = AlignedBuf::zeros(taps * cin * padded);
        for (first, width) in panels(cout) {
            let panel = &mut packed[first * taps * cin..][..width * taps * cin];
            for (row, line) in panel.chunks_exact_mut(width).enumerate() {
                for (i, x) in line.iter_mut().enumerate().take(cout - first) {
                    *x = weight(row / cin, row % cin, first + i);
                }
            }
        }
        let mut padded_bias = AlignedBuf::zeros(padded);
        padded_bias[..cout].copy_from_slice(bias);
        Self { kernels, cin, cout, taps, panels: packed, bias: padded_bias }
    }

    /// Weights in PyTorch's order `[cout, cin, taps…]`.
    pub fn from_torch(kernels: Kernels, shape: [usize; 3], weight: &[f32], bias: &[f32]) -> Self {
        let [taps, cin, cout] = shape;
        assert_eq!(weight.len(), taps * cin * cout, "weight's size");
        let at = |t, i, o| weight[(o * cin + i) * taps + t];
        Self::new(kernels, shape, at, bias)
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
        if let Some((residual, grid)) = &run.residual {
            assert_eq!(grid.dims, run.to.dims, "residual's shape");
            assert!(residual.len() >= grid.len(self.cout), "residual's size");
        }
    }

    fn rows(&self, run: &Run, output: *mut f32, rows: std::ops::Range<usize>) {
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
        let zeros = &ZEROS.0;
        assert!(self.cin <= zeros.len(), "more input channels than supported");
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
                    // the input or at `ZEROS`; Kernels::supported has seen the instructions.
                    unsafe { kernel(&tile) }
                }
            }
        }
    }
}

/// What a tap over the border reads.
#[repr(align(64))]
struct Zeros([f32; 4096]);
static ZEROS: Zeros = Zeros([0.0; 4096]);

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

/// Walks over the output's pixels.
struct Position {
    /// Volume, depth, row, pixel.
    at: [usize; 4],
    dims: [usize; 4],
}

impl Position {
    fn new(run: &Run, row: usize) -> Self {
        let dims = run.to.dims;
        let [_, d, h, _] = dims.map(|n| n.max(1));
        Self { at: [row / h / d, row / h % d, row % h, 0], dims }
    }

    fn step(&mut self) {
        for i in (0..4).rev() {
            self.at[i] += 1;
            if self.at[i] < self.dims[i] || i == 0 {
                return;
            }
            self.at[i] = 0;
        }
    }
}

/// A tile's pointers.
struct Placed<const R: usize> {
    taps: std::ops::Range<usize>,
    k: usize,
    out: [*mut f32; R],
    residual: Option<[*const f32; R]>,
    rows: usize,
}

fn offset(strides: &[usize; 4], at: [usize; 4]) -> usize {
    (0..4).map(|i| strides[i] * at[i]).sum()
}

impl<const R: usize> Placed<R> {
    /// The next `n <= R` pixels; missing ones repeat the last.
    fn new(
        conv: &PackedConv,
        run: &Run,
        output: *mut f32,
        position: &mut Position,
        n: usize,
        taps: &mut Vec<Tap<R>>,
    ) -> Self {
        let window = &run.window;
        let mut out = [output; R];
        let mut residual = run.residual.map(|(r, _)| [r.as_ptr(); R]);
        // First tap of each pixel, with the padding subtracted: may lie before the image.
        let mut corner = [[0isize; 3]; R];
        let mut base = [0usize; R];
        for r in 0..R {
            if r < n {
                let at = position.at;
                out[r] = output.wrapping_add(offset(&run.to.strides, at));
                if let (Some(ptr), Some((_, grid))) = (&mut residual, &run.residual) {
                    ptr[r] = ptr[r].wrapping_add(offset(&grid.strides, at));
                }
                base[r] = at[0] * run.from.strides[0];
                for i in 0..3 {
                    corner[r][i] = (at[i + 1] * window.stride[i]) as isize - window.pad[i] as isize;
                }
                position.step();
            } else {
                out[r] = out[n - 1];
                base[r] = base[n - 1];
                corner[r] = corner[n - 1];
                if let Some(ptr) = &mut residual {
                    ptr[r] = ptr[n - 1];
                }
            }
        }
        let start = taps.len();
        let k = place_taps(conv, run, &base, &corner, taps);
        Self { taps: start..taps.len(), k, out, residual, rows: n }
    }
}

/// Appends a tile's taps and returns how many adjacent numbers each of them reads: a whole kernel
/// row where no pixel's row hangs over the left or right border, else one pixel. Taps that see
/// nothing but padding are left out.
fn place_taps<const R: usize>(
    conv: &PackedConv,
    run: &Run,
    base: &[usize; R],
    corner: &[[isize; 3]; R],
    taps: &mut Vec<Tap<R>>,
) -> usize {
    let input = run.input.as_ptr();
    let zeros = ZEROS.0.as_ptr();
    let [kd, kh, kw] = run.window.kernel.map(|n| n as isize);
    let [_, d, h, w] = run.from.dims.map(|n| n as isize);
    let strides = run.from.strides.map(|n| n as isize);
    if conv.taps == 1 && run.window.pad == [0; 3] {
        let at = |r: usize| {
            let c: &[isize; 3] = &corner[r];
            let inner = c[0] * strides[1] + c[1] * strides[2] + c[2] * strides[3];
            input.wrapping_add(base[r] + inner as usize)
        };
        taps.push(Tap { row: 0, input: std::array::from_fn(at) });
        return conv.cin;
    }
    let whole = run.from.strides[3] == conv.cin
        && conv.cin * run.window.kernel[2] <= ZEROS.0.len()
        && corner.iter().all(|c| c[2] >= 0 && c[2] + kw <= w);
    let (step, k) = if whole { (kw, conv.cin * run.window.kernel[2]) } else { (1, conv.cin) };
    for z in 0..kd {
        for y in 0..kh {
            let mut x = 0;
            while x < kw {
                let mut any = false;
                let tap = Tap {
                    row: ((z * kh + y) * kw + x) as usize * conv.cin,
                    input: std::array::from_fn(|r| {
                        let (iz, iy, ix) = (corner[r][0] + z, corner[r][1] + y, corner[r][2] + x);
                        let inside = iz >= 0 && iz < d && iy >= 0 && iy < h && ix >= 0 && ix < w;
                        if !inside {
                            return zeros;
                        }
                        any = true;
                        let inner = iz * strides[1] + iy * strides[2] + ix * strides[3];
                        input.wrapping_add(base[r] + inner as usize)
                    }),
                };
                if any {
                    taps.push(tap);
                }
                x += step;
            }
        }
    }
    k
}
