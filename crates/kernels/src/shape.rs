//! What a convolution looks at and where its pixels lie.

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

    /// Checks that pixels of `channels` numbers, and so rows of them, lie apart: threads that write rows of their
    /// own then never meet.
    pub fn check_apart(&self, channels: usize) {
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
