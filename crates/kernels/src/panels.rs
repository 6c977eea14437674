//! A convolution's weights in the order in which the kernels read them.

use crate::aligned::AlignedBuf;
use crate::shape::product;
use rayon::prelude::*;

/// Channels of a whole vector; the bias and the last panel are padded to it with zeros.
const LANES: usize = 16;

/// Weights `[taps, cin, cout]` cut into panels of 48, 32 or 16 output channels, so that the
/// microkernel reads them from front to back; and the bias.
///
/// The fields are private, as kernels trust them: `numbers` and `bias` hold what the sizes say.
#[derive(Clone)]
pub(crate) struct Panels {
    taps: usize,
    cin: usize,
    cout: usize,
    numbers: AlignedBuf,
    bias: AlignedBuf,
}

/// First channel and width of each panel: widths of 48 as long as no single 16 is left over.
pub(crate) fn cuts(cout: usize) -> impl Iterator<Item = (usize, usize)> {
    let vectors = cout.div_ceil(LANES);
    let mut at = 0;
    std::iter::from_fn(move || {
        let n = match vectors - at {
            0 => return None,
            4 => 2,
            left => left.min(3),
        };
        at += n;
        Some(((at - n) * LANES, n * LANES))
    })
}

/// # Panics
/// `weight` doesn't hold `sizes`, or one of these is 0.
fn check_sizes(sizes: [usize; 3], weight: &[f32]) {
    assert_eq!(weight.len(), product(&sizes), "weight's size");
    assert!(!sizes.contains(&0), "a convolution without taps or channels");
}

impl Panels {
    /// Weights in PyTorch's order `[cout, cin, taps…]`, taps counted depth, height, width.
    pub(crate) fn from_torch([taps, cin, cout]: [usize; 3], weight: &[f32], bias: &[f32]) -> Self {
        check_sizes([taps, cin, cout], weight);
        Self::pack([taps, cin, cout], bias, |first, panel, width| {
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
    pub(crate) fn from_rows([taps, cin, cout]: [usize; 3], weight: &[f32], bias: &[f32]) -> Self {
        check_sizes([taps, cin, cout], weight);
        Self::pack([taps, cin, cout], bias, |first, panel, width| {
            let outputs = (cout - first).min(width);
            for (row, weights) in panel.chunks_exact_mut(width).zip(weight.chunks_exact(cout)) {
                row[..outputs].copy_from_slice(&weights[first..first + outputs]);
            }
        })
    }

    /// A linear layer's weights, `row(o, to)` those of output `o`; no bias.
    ///
    /// # Panics
    /// No inputs or outputs.
    pub(crate) fn from_outputs([cin, cout]: [usize; 2], row: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        assert!(cin > 0 && cout > 0, "a layer without inputs or outputs");
        Self::pack([1, cin, cout], &vec![0.0; cout], |first, panel, width| {
            let mut weights = vec![0.0; cin];
            for o in 0..(cout - first).min(width) {
                row(first + o, &mut weights);
                panel[o..].iter_mut().step_by(width).zip(&weights).for_each(|(to, x)| *to = *x);
            }
        })
    }

    /// The other way round: `cout` channels in, `cin` out, no bias; `weight [cout, cin, taps…]`.
    pub(crate) fn transposed([taps, cin, cout]: [usize; 3], weight: &[f32]) -> Self {
        check_sizes([taps, cin, cout], weight);
        Self::pack([taps, cout, cin], &vec![0.0; cin], |first, panel, width| {
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
        [taps, cin, cout]: [usize; 3],
        bias: &[f32],
        fill: impl Fn(usize, &mut [f32], usize) + Sync,
    ) -> Self {
        assert_eq!(bias.len(), cout, "one bias for each output channel");
        let padded = cout.next_multiple_of(LANES);
        let mut numbers = AlignedBuf::zeros(product(&[taps, cin, padded]));
        let mut rest = &mut numbers[..];
        let mut pieces = Vec::new();
        for (first, width) in cuts(cout) {
            let (panel, behind) = rest.split_at_mut(taps * cin * width);
            pieces.push((first, width, panel));
            rest = behind;
        }
        pieces.into_par_iter().for_each(|(first, width, panel)| fill(first, panel, width));
        let mut padded_bias = AlignedBuf::zeros(padded);
        padded_bias[..cout].copy_from_slice(bias);
        Self { taps, cin, cout, numbers, bias: padded_bias }
    }

    /// Multiplies the weights of each output channel by its `scale`; the bias stays as it is.
    pub(crate) fn scale(&mut self, scale: &[f32]) {
        assert_eq!(scale.len(), self.cout, "one factor for each output channel");
        let rows = self.taps * self.cin;
        for (first, width) in cuts(self.cout) {
            let panel = &mut self.numbers[first * rows..][..rows * width];
            for row in panel.chunks_exact_mut(width) {
                row.iter_mut().zip(&scale[first..]).for_each(|(x, scale)| *x *= scale);
            }
        }
    }

    pub(crate) fn taps(&self) -> usize {
        self.taps
    }

    pub(crate) fn cin(&self) -> usize {
        self.cin
    }

    pub(crate) fn cout(&self) -> usize {
        self.cout
    }

    /// The panel `[taps · cin, …]` that begins at output channel `first`, and what follows it.
    pub(crate) fn panel(&self, first: usize) -> &[f32] {
        &self.numbers[first * self.taps * self.cin..]
    }

    /// The weights `[taps · cin, …]` from output channel `first` on, a multiple of 16 to the end of its panel, and the
    /// numbers from one row of them to the next.
    pub(crate) fn columns(&self, first: usize) -> (&[f32], usize) {
        let (panel, width) =
            cuts(self.cout).take_while(|(panel, _)| *panel <= first).last().unwrap_or((0, LANES));
        (&self.panel(panel)[first - panel..], width)
    }

    /// The weight of one tap.
    pub(crate) fn weight(&self, tap: usize, i: usize, o: usize) -> f32 {
        let (weights, width) = self.columns(o);
        weights[(tap * self.cin + i) * width]
    }

    /// With zeros up to whole vectors.
    pub(crate) fn bias(&self) -> &[f32] {
        &self.bias
    }
}
