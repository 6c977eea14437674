//! Where a tile's pixels and taps lie: the pointers that the microkernel follows.
//!
//! All of it relies on [`Run::check`]: pointers go to pixels inside of the run's grids, and nowhere else.

use crate::call::{MAX_INPUTS, Run};
use crate::micro::tile::Tap;
use std::ops::Range;

/// What a tap over the border reads.
#[repr(align(64))]
struct Zeros([f32; MAX_INPUTS]);
static ZEROS: Zeros = Zeros([0.0; MAX_INPUTS]);

/// Walks over the output's pixels.
pub(crate) struct Position {
    /// Volume, depth, row, pixel.
    at: [usize; 4],
    dims: [usize; 4],
}

/// Volume, depth and row of the row that is number `row` through volumes and planes of these `dims`.
pub(crate) fn of_row(dims: [usize; 4], row: usize) -> [usize; 3] {
    let [_, d, h, _] = dims.map(|n| n.max(1));
    [row / h / d, row / h % d, row % h]
}

impl Position {
    pub(crate) fn new(run: &Run, row: usize) -> Self {
        let dims = run.to.dims;
        let [n, z, y] = of_row(dims, row);
        Self { at: [n, z, y, 0], dims }
    }

    /// The next `count` pixels of the same row are passed.
    fn advance(&mut self, count: usize) {
        self.at[3] += count - 1;
        self.step();
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
pub(crate) struct Placed<const R: usize> {
    /// Which of the taps are this tile's.
    pub(crate) taps: Range<usize>,
    /// Adjacent numbers that each tap reads.
    pub(crate) k: usize,
    pub(crate) out: [*mut f32; R],
    pub(crate) residual: Option<[*const f32; R]>,
    /// Pixels that exist.
    pub(crate) rows: usize,
}

/// Numbers from the first pixel of a grid to the one at a place.
pub(crate) fn offset(strides: &[usize; 4], at: [usize; 4]) -> usize {
    (0..4).map(|i| strides[i] * at[i]).sum()
}

impl<const R: usize> Placed<R> {
    /// The next `n <= R` pixels; missing ones repeat the last.
    pub(crate) fn new(
        cin: usize,
        run: &Run,
        output: *mut f32,
        position: &mut Position,
        n: usize,
        taps: &mut Vec<Tap<R>>,
    ) -> Self {
        if run.is_point() {
            return Self::point(cin, run, output, position, n, taps);
        }
        if let Some(placed) = Self::inside_row(cin, run, output, position, n, taps) {
            return placed;
        }
        let window = &run.window;
        let mut out = [output; R];
        let mut residual = run.residual.map(|(r, _)| [r.as_ptr(); R]);
        // First tap of each pixel, with the padding counted: may lie outside the image.
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
                    corner[r][i] = if run.transposed {
                        (at[i + 1] + window.pad[i]) as isize
                    } else {
                        (at[i + 1] * window.stride[i]) as isize - window.pad[i] as isize
                    };
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
        let k = place_taps(cin, run, &base, &corner, taps);
        Self { taps: start..taps.len(), k, out, residual, rows: n }
    }

    /// [`Self::new`] for pixels of one row whose windows hang over neither side, where there are such: all but the
    /// ends of a wide image's rows. Pixels and windows lie at even distances, and a tap is a whole kernel row.
    fn inside_row(
        cin: usize,
        run: &Run,
        output: *mut f32,
        position: &mut Position,
        n: usize,
        taps: &mut Vec<Tap<R>>,
    ) -> Option<Self> {
        let (at, window, from) = (position.at, &run.window, &run.from);
        let [kd, kh, kw] = window.kernel;
        let step = window.stride[2];
        let left = (at[3] * step).checked_sub(window.pad[2])?;
        let right = left + (n - 1) * step + kw;
        let adjacent = from.strides[3] == cin && cin * kw <= MAX_INPUTS;
        if run.transposed || !adjacent || at[3] + n > run.to.dims[3] || right > from.dims[3] {
            return None;
        }
        let spread = |first: usize, step: usize| std::array::from_fn(|r| first + r.min(n - 1) * step);
        let out: [usize; R] = spread(offset(&run.to.strides, at), run.to.strides[3]);
        let residual = run.residual.map(|(residual, grid)| {
            let at: [usize; R] = spread(offset(&grid.strides, at), grid.strides[3]);
            at.map(|at| residual.as_ptr().wrapping_add(at))
        });
        // The input's plane or row that a tap sees, unless it is padding.
        let inside = |axis: usize, tap: usize| {
            let place = (at[axis] * window.stride[axis - 1] + tap).checked_sub(window.pad[axis - 1])?;
            Some(place).filter(|place| *place < from.dims[axis])
        };
        let start = taps.len();
        for z in 0..kd {
            for y in 0..kh {
                let (Some(plane), Some(line)) = (inside(1, z), inside(2, y)) else { continue };
                let input: [usize; R] =
                    spread(offset(&from.strides, [at[0], plane, line, left]), step * from.strides[3]);
                let input = input.map(|at| run.input.as_ptr().wrapping_add(at));
                taps.push(Tap { row: (z * kh + y) * kw * cin, input });
            }
        }
        position.advance(n);
        let out = out.map(|at| output.wrapping_add(at));
        Some(Self { taps: start..taps.len(), k: cin * kw, out, residual, rows: n })
    }

    /// [`Self::new`] for a 1×1 convolution, most of an image network: no borders, so that pixels of one
    /// row lie at even distances.
    pub(crate) fn point(
        cin: usize,
        run: &Run,
        output: *mut f32,
        position: &mut Position,
        n: usize,
        taps: &mut Vec<Tap<R>>,
    ) -> Self {
        let mut out = [output; R];
        let mut input = [run.input.as_ptr(); R];
        let mut residual = run.residual.map(|(r, _)| [r.as_ptr(); R]);
        let mut done = 0;
        while done < n {
            let at = position.at;
            let count = (run.to.dims[3] - at[3]).min(n - done);
            let (to, from) = (offset(&run.to.strides, at), offset(&run.from.strides, at));
            for i in 0..count {
                out[done + i] = output.wrapping_add(to + i * run.to.strides[3]);
                input[done + i] = input[done + i].wrapping_add(from + i * run.from.strides[3]);
            }
            if let (Some(pointers), Some((_, grid))) = (&mut residual, &run.residual) {
                let from = offset(&grid.strides, at);
                for i in 0..count {
                    pointers[done + i] = pointers[done + i].wrapping_add(from + i * grid.strides[3]);
                }
            }
            position.advance(count);
            done += count;
        }
        for r in n..R {
            (out[r], input[r]) = (out[n - 1], input[n - 1]);
            if let Some(pointers) = &mut residual {
                pointers[r] = pointers[n - 1];
            }
        }
        taps.push(Tap { row: 0, input });
        Self { taps: taps.len() - 1..taps.len(), k: cin, out, residual, rows: n }
    }
}

/// Appends a tile's taps and returns how many adjacent numbers each of them reads: a whole kernel
/// row where no pixel's row hangs over the left or right border, else one pixel. Taps that see
/// nothing but padding are left out.
fn place_taps<const R: usize>(
    cin: usize,
    run: &Run,
    base: &[usize; R],
    corner: &[[isize; 3]; R],
    taps: &mut Vec<Tap<R>>,
) -> usize {
    let input = run.input.as_ptr();
    let zeros = ZEROS.0.as_ptr();
    let [kd, kh, kw] = run.window.kernel.map(|n| n as isize);
    let [_, dims @ ..] = run.from.dims.map(|n| n as isize);
    let strides = run.from.strides.map(|n| n as isize);
    let inside = |c: &[isize; 3]| (0..3).all(|i| (0..dims[i]).contains(&c[i]));
    let whole = !run.transposed
        && run.from.strides[3] == cin
        && cin * run.window.kernel[2] <= MAX_INPUTS
        && corner.iter().all(|c| c[2] >= 0 && c[2] + kw <= dims[2]);
    let (step, k) = if whole { (kw, cin * run.window.kernel[2]) } else { (1, cin) };
    let stride = run.window.stride.map(|n| n as isize);
    for z in 0..kd {
        for y in 0..kh {
            let mut x = 0;
            while x < kw {
                let mut any = false;
                let tap = Tap {
                    row: ((z * kh + y) * kw + x) as usize * cin,
                    input: std::array::from_fn(|r| {
                        let k = [z, y, x];
                        let mut at = [0; 3];
                        let mut whole = true;
                        for i in 0..3 {
                            at[i] = if run.transposed {
                                // Only every stride-th pixel has seen this one with this tap.
                                whole &= (corner[r][i] - k[i]) % stride[i] == 0;
                                (corner[r][i] - k[i]).div_euclid(stride[i])
                            } else {
                                corner[r][i] + k[i]
                            };
                        }
                        if !whole || !inside(&at) {
                            return zeros;
                        }
                        any = true;
                        let inner = at[0] * strides[1] + at[1] * strides[2] + at[2] * strides[3];
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
