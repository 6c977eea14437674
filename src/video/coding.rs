//! What a picture says of its colours.

use std::ffi::c_int;

use ffmpeg_next::ffi;

/// What the numbers of a picture's pixels mean, by ITU-T H.273.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coding {
    /// From YCbCr to RGB, as swscale numbers it.
    pub matrix: c_int,
    /// Black is 0 and white all ones, instead of 16 and 235 of 255.
    pub full_range: bool,
    pub transfer: Transfer,
    pub primaries: Primaries,
}

/// From code to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    /// SMPTE ST 2084: HDR10, HDR10+, most of Dolby Vision.
    Pq,
    /// ARIB STD-B67: broadcasts, phones, Dolby Vision profile 8.4.
    Hlg,
    Sdr,
}

/// What red, green and blue are; white is D65's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Primaries {
    /// And those close to it, of standard definition.
    Bt709,
    Bt2020,
    /// Cinemas' own white is greenish; it is meant to be seen as white, too.
    P3,
}

impl Coding {
    pub(super) fn of_frame(raw: &ffi::AVFrame) -> Self {
        use ffi::AVPixelFormat::*;
        // Read as numbers: what comes from a file need not be one that the enums know.
        // SAFETY: the enums are C ints.
        let (space, range, transfer, primaries) = unsafe {
            let range = (&raw const raw.color_range).cast::<c_int>().read();
            let space = (&raw const raw.colorspace).cast::<c_int>().read();
            let transfer = (&raw const raw.color_trc).cast::<c_int>().read();
            (space, range, transfer, (&raw const raw.color_primaries).cast::<c_int>().read())
        };
        let full_formats = [
            AV_PIX_FMT_YUVJ420P,
            AV_PIX_FMT_YUVJ422P,
            AV_PIX_FMT_YUVJ444P,
            AV_PIX_FMT_YUVJ440P,
            AV_PIX_FMT_YUVJ411P,
        ];
        let transfer = Transfer::of_number(transfer);
        Self {
            matrix: matrix(space, transfer, (raw.width, raw.height)),
            full_range: range == 2 || full_formats.iter().any(|f| *f as c_int == raw.format),
            transfer,
            primaries: Primaries::of_number(primaries, transfer),
        }
    }

    /// Whether RGB is what SDR screens take.
    pub(super) fn is_plain(self) -> bool {
        self.transfer == Transfer::Sdr && self.primaries == Primaries::Bt709
    }
}

/// What to warn of where the colours of `stream` aren't seen as they are meant: Dolby Vision of profile 5, whose pictures
/// no screen but Dolby's shows and FFmpeg doesn't reshape, and an ICC profile.
///
/// # Safety
/// `stream` belongs to an open container.
pub(super) unsafe fn warning(stream: *const ffi::AVStream) -> Option<String> {
    use ffi::AVPacketSideDataType::{AV_PKT_DATA_DOVI_CONF, AV_PKT_DATA_ICC_PROFILE};
    // SAFETY: the caller's.
    let (dolby, icc) =
        unsafe { (side_data(stream, AV_PKT_DATA_DOVI_CONF), side_data(stream, AV_PKT_DATA_ICC_PROFILE)) };
    // `AVDOVIDecoderConfigurationRecord`: bytes; the third is the profile, the eighth tells what others may show.
    if let Some([_, _, profile, _, _, _, _, 0, ..]) = dolby {
        return Some(format!(
            "its colours can't be read: Dolby Vision of profile {profile} is for Dolby's screens only; its labels may \
             be wrong"
        ));
    }
    icc.map(|_| {
        "its colours are described by an ICC profile, which isn't read: they may look a little off".into()
    })
}

/// What the container says of `stream` beside its packets.
///
/// # Safety
/// `stream` belongs to an open container, which outlives what is returned.
unsafe fn side_data<'a>(stream: *const ffi::AVStream, kind: ffi::AVPacketSideDataType) -> Option<&'a [u8]> {
    let mut size = 0;
    // SAFETY: the data, where there is some, is `size` bytes long.
    unsafe {
        let data = ffi::av_stream_get_side_data(stream, kind, &mut size);
        (!data.is_null()).then(|| std::slice::from_raw_parts(data, size))
    }
}

fn matrix(space: c_int, transfer: Transfer, (width, height): (c_int, c_int)) -> c_int {
    match space {
        1 => ffi::SWS_CS_ITU709,
        4 => ffi::SWS_CS_FCC,
        5 | 6 => ffi::SWS_CS_ITU601,
        7 => ffi::SWS_CS_SMPTE240M,
        9 | 10 => ffi::SWS_CS_BT2020,
        // Not said: HDR is BT.2020, high definition BT.709, what came before BT.601.
        _ if transfer != Transfer::Sdr => ffi::SWS_CS_BT2020,
        _ if height >= 720 || width >= 1280 => ffi::SWS_CS_ITU709,
        _ => ffi::SWS_CS_ITU601,
    }
}

impl Transfer {
    /// SDR's curves differ too little, on the screens that they are meant for, to be told apart.
    fn of_number(number: c_int) -> Self {
        match number {
            16 => Self::Pq,
            18 => Self::Hlg,
            _ => Self::Sdr,
        }
    }
}

impl Primaries {
    fn of_number(number: c_int, transfer: Transfer) -> Self {
        match number {
            9 => Self::Bt2020,
            11 | 12 => Self::P3,
            1 | 4..=8 | 22 => Self::Bt709,
            // Not said.
            _ if transfer != Transfer::Sdr => Self::Bt2020,
            _ => Self::Bt709,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_means_something() {
        for number in [c_int::MIN, -1, 0, 2, 3, 17, 19, 255, c_int::MAX] {
            assert_eq!(Transfer::of_number(number), Transfer::Sdr, "{number}");
            assert_eq!(Primaries::of_number(number, Transfer::Sdr), Primaries::Bt709, "{number}");
            // HDR comes in no other gamut unless it says so.
            assert_eq!(Primaries::of_number(number, Transfer::Pq), Primaries::Bt2020, "{number}");
            assert_eq!(matrix(number, Transfer::Hlg, (1920, 1080)), ffi::SWS_CS_BT2020, "{number}");
            if number != 0 {
                assert_eq!(matrix(number, Transfer::Sdr, (1920, 1080)), ffi::SWS_CS_ITU709, "{number}");
                assert_eq!(matrix(number, Transfer::Sdr, (320, 240)), ffi::SWS_CS_ITU601, "{number}");
            }
        }
        assert_eq!(Primaries::of_number(1, Transfer::Pq), Primaries::Bt709);
        assert_eq!(Primaries::of_number(12, Transfer::Hlg), Primaries::P3);
    }
}
