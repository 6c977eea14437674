//! What a convolution looks at and where its pixels lie.

/// What follows the sum of a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// The sum as it is.
    #[default]
    None,
    /// No less than 0.
    Relu,
    /// No less than 0, no more than 6.
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

    /// How many pixels there are.
    ///
    /// # Panics
    /// More than a `usize` counts.
    pub fn pixels(&self) -> usize {
        product(&self.dims)
    }

    /// Length of slice that holds all pixels, each `channels` long: 0 where there is none.
    ///
    /// # Panics
    /// Longer than a `usize` counts.
    pub fn len(&self, channels: usize) -> usize {
        if self.dims.contains(&0) {
            return 0;
        }
        let sides = self.dims.iter().zip(self.strides);
        let mut end = sides.map(|(n, stride)| (n - 1).checked_mul(stride));
        end.try_fold(channels, |sum, side| sum.checked_add(side?)).expect("a grid larger than any memory")
    }

    /// Checks that pixels of `channels` numbers, and so rows of them, lie apart: threads that write rows of their
    /// own then never meet. To be called once [`Self::len`] has been compared with a slice, so that nothing
    /// overflows here.
    pub(crate) fn check_apart(&self, channels: usize) {
        let mut inner = channels;
        for i in (0..4).rev().filter(|&i| self.dims[i] > 1) {
            assert!(self.strides[i] >= inner, "output pixels overlap");
            inner = self.dims[i] * self.strides[i];
        }
    }
}

/// Kernel size, stride and padding before the first pixel, along depth, height and width.
///
/// The padding behind follows from the output's size; all padding is zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Pixels that one output sees.
    pub kernel: [usize; 3],
    /// Pixels from one output's window to the next one's.
    pub stride: [usize; 3],
    /// Zeros before the first pixel.
    pub pad: [usize; 3],
}

impl Window {
    /// 1×1.
    pub const POINT: Self = Self { kernel: [1; 3], stride: [1; 3], pad: [0; 3] };

    /// TensorFlow's SAME padding: `output = ceil(input / stride)`, the odd row of padding goes
    /// behind. Returns the output's depth, height and width, too.
    ///
    /// # Panics
    /// A stride of 0.
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

    /// Pixels of the kernel.
    ///
    /// # Panics
    /// More than a `usize` counts.
    pub fn taps(&self) -> usize {
        product(&self.kernel)
    }

    /// Checks that no coordinate on the way to an output's or an input's pixel overflows.
    pub(crate) fn check_span(&self, outputs: [usize; 3]) {
        for (i, outputs) in outputs.into_iter().enumerate() {
            assert!(self.stride[i] > 0, "a stride of 0");
            let span = covered(outputs, self.stride[i], self.kernel[i]).checked_add(self.pad[i]);
            assert!(span.is_some_and(|n| isize::try_from(n).is_ok()), "a window larger than any memory");
        }
    }
}

/// How many inputs `outputs` neighbouring windows cover along one axis.
///
/// # Panics
/// More than a `usize` counts.
pub(crate) fn covered(outputs: usize, stride: usize, kernel: usize) -> usize {
    let steps = outputs.saturating_sub(1).checked_mul(stride);
    steps.and_then(|steps| steps.checked_add(kernel)).expect("a window larger than any memory")
}

/// # Panics
/// The product is more than a `usize` holds.
pub(crate) fn product(factors: &[usize]) -> usize {
    let product = factors.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    product.expect("a size larger than any memory")
}
