//! One run of a convolution, and the check that the kernels below rely on.

use crate::shape::{Activation, Grid, Window};

/// Most input channels of a convolution: as many numbers as a tap over the border has zeros to read.
pub(crate) const MAX_INPUTS: usize = 4096;

/// One run of a convolution over borrowed memory. The output's grid says how many pixels.
pub struct Run<'a> {
    /// Which inputs an output sees.
    pub window: Window,
    /// The other way round: the window moves over the output, as the gradient for the input of a
    /// convolution with that window needs it.
    pub transposed: bool,
    /// `[from, cin]`
    pub input: &'a [f32],
    /// Where the input's pixels lie.
    pub from: Grid,
    /// `[to, cout]`
    pub output: &'a mut [f32],
    /// Where the output's pixels lie, apart from each other.
    pub to: Grid,
    /// Added before the activation, a pixel for each of the output's.
    pub residual: Option<(&'a [f32], Grid)>,
    /// What follows the sum.
    pub activation: Activation,
}

impl Run<'_> {
    /// Nothing below looks at bounds again: a kernel trusts its caller.
    ///
    /// # Panics
    /// The run doesn't fit a convolution of these sizes, or a slice is shorter than its grid.
    pub(crate) fn check(&self, [taps, cin, cout]: [usize; 3]) {
        let [_, outputs @ ..] = self.to.dims;
        assert_eq!(self.window.taps(), taps, "kernel's size");
        self.window.check_span(outputs);
        assert!(self.input.len() >= self.from.len(cin), "input's size");
        assert!(self.output.len() >= self.to.len(cout), "output's size");
        assert!(self.from.dims[0] >= self.to.dims[0], "input's batch");
        assert!(cin <= MAX_INPUTS, "more than {MAX_INPUTS} input channels");
        self.to.check_apart(cout);
        if let Some((residual, grid)) = &self.residual {
            assert_eq!(grid.dims, self.to.dims, "residual's shape");
            assert!(residual.len() >= grid.len(cout), "residual's size");
        }
    }

    /// Whether every output sees the one input at its own place, so that there are no borders.
    pub(crate) fn is_point(&self) -> bool {
        let Window { kernel, stride, pad } = self.window;
        let fits = || std::iter::zip(self.to.dims, self.from.dims).all(|(to, from)| to <= from);
        kernel == [1; 3] && stride == [1; 3] && pad == [0; 3] && fits()
    }

    /// Rows of the output, counted through volumes and planes.
    pub(crate) fn rows(&self) -> usize {
        if self.to.dims.contains(&0) { 0 } else { self.to.dims[..3].iter().product() }
    }
}

/// Where tasks write that run side by side.
#[derive(Clone, Copy)]
pub(crate) struct SendPtr(*mut f32);

// SAFETY: each task writes rows of its own.
unsafe impl Send for SendPtr {}
// SAFETY: as above.
unsafe impl Sync for SendPtr {}

impl SendPtr {
    pub(crate) fn new(output: &mut [f32]) -> Self {
        Self(output.as_mut_ptr())
    }

    /// Memory that isn't written yet.
    pub(crate) fn from(output: *mut f32) -> Self {
        Self(output)
    }

    /// A method, so that closures capture the whole wrapper.
    pub(crate) fn get(self) -> *mut f32 {
        self.0
    }
}
