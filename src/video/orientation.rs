//! Which way up a picture is to be shown.

use ffmpeg_next::ffi;

/// A quarter turn, half turn, mirroring, or none: what a display matrix amounts to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    /// Rows become columns.
    pub transposed: bool,
    /// The picture as shown runs against the stored one from left to right.
    pub flip_x: bool,
    /// The same from top to bottom.
    pub flip_y: bool,
}

impl Orientation {
    /// From a 3×3 matrix of FFmpeg (`x' = a·x + c·y`, `y' = b·x + d·y`); angles in between go to
    /// the nearest quarter.
    pub(super) fn from_matrix(matrix: &[i32; 9]) -> Self {
        let [a, b, _, c, d, ..] = matrix.map(i64::from);
        if a.abs() + d.abs() >= b.abs() + c.abs() {
            Self { transposed: false, flip_x: a < 0, flip_y: d < 0 }
        } else {
            Self { transposed: true, flip_x: c < 0, flip_y: b < 0 }
        }
    }

    /// What the container says of `stream`.
    ///
    /// # Safety
    /// `stream` belongs to an open container.
    pub(super) unsafe fn of_stream(stream: *const ffi::AVStream) -> Option<Self> {
        let mut size = 0;
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX;
        // SAFETY: the data, where there is some, is `size` bytes long.
        unsafe {
            let data = ffi::av_stream_get_side_data(stream, kind, &mut size);
            Self::from_bytes(data, size)
        }
    }

    /// What the stream of pictures itself says (a message beside an H.264 or HEVC picture).
    ///
    /// # Safety
    /// `frame` is a decoded picture.
    pub(super) unsafe fn of_frame(frame: *const ffi::AVFrame) -> Option<Self> {
        let kind = ffi::AVFrameSideDataType::AV_FRAME_DATA_DISPLAYMATRIX;
        // SAFETY: as above.
        unsafe {
            let data = ffi::av_frame_get_side_data(frame, kind).as_ref()?;
            Self::from_bytes(data.data, data.size)
        }
    }

    unsafe fn from_bytes(data: *const u8, size: usize) -> Option<Self> {
        if data.is_null() || size < size_of::<[i32; 9]>() {
            return None;
        }
        // SAFETY: long enough; FFmpeg doesn't promise the alignment.
        let matrix = unsafe { data.cast::<[i32; 9]>().read_unaligned() };
        Some(Self::from_matrix(&matrix))
    }

    /// Clockwise degrees for people, and whether the picture is mirrored.
    pub(super) fn degrees(self) -> (u32, bool) {
        let Self { transposed, flip_x, flip_y } = self;
        match (transposed, flip_x, flip_y) {
            (false, false, false) => (0, false),
            (false, true, true) => (180, false),
            (false, true, false) => (0, true),
            (false, false, true) => (180, true),
            (true, true, false) => (90, false),
            (true, false, true) => (270, false),
            (true, false, false) => (90, true),
            (true, true, true) => (270, true),
        }
    }

    /// Puts pixels into upright order.
    ///
    /// `planes`: one a channel as decoded, in rows of `stride` bytes; `upright`: `u8 [height, width, N]`.
    pub(super) fn apply(
        self,
        planes: [&[u8]; 3],
        stride: usize,
        upright: &mut [u8],
        width: usize,
        height: usize,
    ) {
        let (last_x, last_y) = (width - 1, height - 1);
        for (y, row) in upright.chunks_exact_mut(width * 3).enumerate() {
            let y = if self.flip_y { last_y - y } else { y };
            let (pixels, _) = row.as_chunks_mut::<3>();
            if !self.transposed && !self.flip_x {
                let lines = planes.map(|plane| &plane[y * stride..][..width]);
                for (x, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = lines.map(|line| line[x]);
                }
                continue;
            }
            for (x, pixel) in pixels.iter_mut().enumerate() {
                let x = if self.flip_x { last_x - x } else { x };
                let (row, column) = if self.transposed { (x, y) } else { (y, x) };
                let place = row * stride + column;
                *pixel = planes.map(|plane| plane[place]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The matrix of a turn by `degrees` counterclockwise, made by FFmpeg itself.
    fn turned(degrees: f64) -> Orientation {
        let mut matrix = [0; 9];
        // SAFETY: the matrix has nine numbers.
        unsafe { ffi::av_display_rotation_set(matrix.as_mut_ptr(), degrees) };
        Orientation::from_matrix(&matrix)
    }

    #[test]
    fn turns_pixels_the_right_way() {
        // 3 wide, 2 high, with rows padded to 4 bytes; green is 10 and blue 20 above red.
        let red = [1, 2, 3, 99, 4, 5, 6, 99];
        let (green, blue) = (red.map(|v| v + 10), red.map(|v| v + 20));
        let show = |orientation: Orientation| {
            let (w, h) = if orientation.transposed { (2, 3) } else { (3, 2) };
            let mut upright = [0; 18];
            orientation.apply([&red, &green, &blue], 4, &mut upright, w, h);
            let pixels = upright.chunks(3);
            assert!(pixels.clone().all(|p| p[1] == p[0] + 10 && p[2] == p[0] + 20));
            pixels.map(|p| p[0]).collect::<Vec<_>>()
        };
        assert_eq!(show(turned(0.0)), [1, 2, 3, 4, 5, 6]);
        // `av_display_rotation_set` of 5.1 turns clockwise by its positive angle.
        assert_eq!(show(turned(90.0)), [4, 1, 5, 2, 6, 3]);
        assert_eq!(turned(90.0).degrees(), (90, false));
        assert_eq!(show(turned(-90.0)), [3, 6, 2, 5, 1, 4]);
        assert_eq!(turned(-90.0).degrees(), (270, false));
        assert_eq!(show(turned(180.0)), [6, 5, 4, 3, 2, 1]);
        assert_eq!(turned(185.0), turned(180.0));
        let mirrored = Orientation::from_matrix(&[-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30]);
        assert_eq!(show(mirrored), [3, 2, 1, 6, 5, 4]);
        assert_eq!(mirrored.degrees(), (0, true));
    }
}
