//! One inverted bottleneck on the CPU. Its expanded activations exist only for a strip of rows at a
//! time and stay in the core's own cache.

use super::{BlockSpec, Weights};
use classify_kernels::conv::{Activation, Grid, PackedConv, Run, Window};
use classify_kernels::depthwise::{DepthwiseConv, DepthwiseRun};
use classify_kernels::{AlignedBuf, Kernels};

/// Numbers of expanded activations at a time: half of a common level-2 cache.
const STRIP: usize = 96 * 1024;

/// A batch of images `[n, height, width, channels]` without gaps.
#[derive(Clone, Copy)]
pub(super) struct Images {
    pub n: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Images {
    pub(super) fn grid(self) -> Grid {
        Grid::dense([self.n, 1, self.height, self.width], self.channels)
    }

    pub(super) fn len(self) -> usize {
        self.n * self.height * self.width * self.channels
    }
}

/// A block's convolutions, packed.
pub(super) struct Block {
    pub expand: Option<PackedConv>,
    pub depthwise: DepthwiseConv,
    pub project: PackedConv,
    pub residual: bool,
}

/// Memory for a strip, reused.
#[derive(Default)]
pub(super) struct Hidden {
    pub expanded: AlignedBuf,
    pub filtered: AlignedBuf,
}

impl Block {
    /// Convolutions with batch normalisation folded in.
    pub(super) fn new(
        kernels: Kernels,
        spec: &BlockSpec,
        expand: Option<Weights>,
        depthwise: Weights,
        project: Weights,
    ) -> Self {
        let BlockSpec { input, output, hidden, kernel, stride } = *spec;
        let pack = |cin, cout, w: Weights| PackedConv::from_torch(kernels, [1, cin, cout], w.weight, w.bias);
        Self {
            expand: expand.map(|weights| pack(input, hidden, weights)),
            depthwise: DepthwiseConv::from_torch(kernels, kernel, stride, depthwise.weight, depthwise.bias),
            project: pack(hidden, output, project),
            residual: spec.residual(),
        }
    }

    /// The output's shape.
    pub(super) fn shape(&self, from: Images) -> Images {
        let stride = self.depthwise.stride();
        Images {
            height: from.height.div_ceil(stride),
            width: from.width.div_ceil(stride),
            channels: self.project.cout(),
            ..from
        }
    }

    /// All rows of the images `first..first + together`.
    pub(super) fn whole(&self, from: Images, first: usize, together: usize) -> Strip<'_> {
        let (k, stride) = (self.depthwise.kernel(), self.depthwise.stride());
        let (window, [_, height, width]) =
            Window::same([1, k, k], [1, stride, stride], [1, from.height, from.width]);
        Strip {
            block: self,
            first,
            together,
            y: 0,
            rows: height,
            usual: height,
            padded: (height - 1) * stride + k,
            row: ((width - 1) * stride + k) * self.depthwise.channels(),
            from,
            to: self.shape(from),
            pad: [window.pad[1], window.pad[2]],
        }
    }

    /// `input` to `output`; `residual` has the input's shape and is added where the block does so.
    pub(super) fn run(
        &self,
        from: Images,
        input: &[f32],
        residual: &[f32],
        output: &mut [f32],
        hidden: &mut Hidden,
    ) {
        let whole = self.whole(from, 0, from.n);
        let (k, stride, height) = (self.depthwise.kernel(), self.depthwise.stride(), whole.rows);
        // Whole images where several fit, else as many rows of one as fit.
        let together = (STRIP / (whole.padded * whole.row)).clamp(1, from.n);
        let usual = (STRIP / (stride * whole.row)).clamp(1, height);
        for first in (0..from.n).step_by(together) {
            for y in (0..height).step_by(usual) {
                let rows = usual.min(height - y);
                let strip = Strip {
                    first,
                    together: together.min(from.n - first),
                    y,
                    rows,
                    usual,
                    padded: (rows - 1) * stride + k,
                    ..whole
                };
                strip.expand(input, &mut hidden.expanded);
                strip.filter(&hidden.expanded, &mut hidden.filtered);
                strip.project(&hidden.filtered, residual, output);
            }
        }
    }
}

/// Output rows `y..y + rows` of images `first..first + together`; more than one image only where
/// the strip is the whole image.
pub(super) struct Strip<'a> {
    pub block: &'a Block,
    pub first: usize,
    pub together: usize,
    pub y: usize,
    pub rows: usize,
    /// Output rows of all strips but the last.
    pub usual: usize,
    /// Rows of expanded activations that the strip's windows see, padding included.
    pub padded: usize,
    /// Numbers in one of these rows.
    pub row: usize,
    pub from: Images,
    pub to: Images,
    /// Above and left of the image.
    pub pad: [usize; 2],
}

impl Strip<'_> {
    /// `input`, all images, to `expanded [together, padded, row]`, border included. Rows shared with the strip
    /// before are moved, not computed again.
    pub(super) fn expand(&self, input: &[f32], expanded: &mut AlignedBuf) {
        let conv = &self.block.depthwise;
        let [pad_top, pad_left] = self.pad;
        let image = self.padded * self.row;
        // Rows of the padded image, counted from `pad_top` above its first row.
        let top = self.y * conv.stride();
        let usual = (self.usual - 1) * conv.stride() + conv.kernel();
        let expanded = expanded.at_least(self.together * image.max(usual * self.row));
        let shared = if self.y == 0 {
            0
        } else {
            let shared = conv.kernel() - conv.stride();
            expanded.copy_within((usual - shared) * self.row..usual * self.row, 0);
            shared
        };
        let begin = (top + shared).max(pad_top);
        let end = (top + self.padded).min(pad_top + self.from.height);
        let interior = pad_left * conv.channels()..(pad_left + self.from.width) * conv.channels();
        for expanded in expanded.chunks_exact_mut(image).take(self.together) {
            for (y, row) in expanded.chunks_exact_mut(self.row).enumerate().skip(shared) {
                if (begin..end).contains(&(top + y)) {
                    row[..interior.start].fill(0.0);
                    row[interior.end..].fill(0.0);
                } else {
                    row.fill(0.0);
                }
            }
        }
        if begin >= end {
            return;
        }
        let images = self.from.grid();
        let dims = [self.together, 1, end - begin, self.from.width];
        let from = Grid { dims, ..images };
        let to = Grid { dims, strides: [image, 0, self.row, conv.channels()] };
        let start = self.first * images.strides[0] + (begin - pad_top) * images.strides[2];
        let input = &input[start..];
        let output = &mut expanded[(begin - top) * self.row + interior.start..];
        let Some(expand) = &self.block.expand else {
            let row = images.strides[2];
            for n in 0..self.together {
                for y in 0..end - begin {
                    output[n * image + y * self.row..][..row]
                        .copy_from_slice(&input[n * images.strides[0] + y * row..][..row]);
                }
            }
            return;
        };
        expand.run(Run {
            window: Window::POINT,
            transposed: false,
            input,
            from,
            output,
            to,
            residual: None,
            activation: Activation::Relu6,
        });
    }

    /// `expanded` to `filtered [together, rows, width, hidden]`.
    pub(super) fn filter(&self, expanded: &[f32], filtered: &mut AlignedBuf) {
        let image = self.padded * self.row;
        let out_row = self.to.width * self.block.depthwise.channels();
        let out_image = self.rows * out_row;
        let filtered = filtered.at_least(self.together * out_image);
        for (n, output) in filtered.chunks_exact_mut(out_image).enumerate() {
            self.block.depthwise.run(DepthwiseRun {
                input: &expanded[n * image..],
                in_row: self.row,
                output,
                out_row,
                height: self.rows,
                width: self.to.width,
                activation: Activation::Relu6,
            });
        }
    }

    /// `filtered` to the strip's rows of `output`, all images.
    fn project(&self, filtered: &[f32], residual: &[f32], output: &mut [f32]) {
        let dims = [self.together, 1, self.rows, self.to.width];
        let images = self.to.grid();
        let to = Grid { dims, ..images };
        let start = self.first * images.strides[0] + self.y * images.strides[2];
        self.block.project.run(Run {
            window: Window::POINT,
            transposed: false,
            input: filtered,
            from: Grid::dense(dims, self.block.depthwise.channels()),
            output: &mut output[start..],
            to,
            residual: self.block.residual.then(|| (&residual[start..], to)),
            activation: Activation::None,
        });
    }
}
