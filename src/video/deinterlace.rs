//! Full pictures out of interlaced ones, whose odd and even lines are from two moments.

use ffmpeg_next::{Error as FfmpegError, Frame, ffi, filter, frame};

/// `frame` with every other line filled in from its neighbours in space and time (the filter bwdif);
/// `None` where it is not interlaced or the filter refuses it.
pub(super) fn picture(
    before: Option<&frame::Video>,
    frame: &frame::Video,
    after: Option<&frame::Video>,
) -> Option<frame::Video> {
    // SAFETY: a decoded frame is valid while borrowed.
    if unsafe { (*frame.as_ptr()).interlaced_frame } == 0 {
        return None;
    }
    let alike = |other: &&frame::Video| {
        (other.width(), other.height(), other.format()) == (frame.width(), frame.height(), frame.format())
    };
    run(before.filter(alike), frame, after.filter(alike)).ok()
}

fn run(
    before: Option<&frame::Video>,
    frame: &frame::Video,
    after: Option<&frame::Video>,
) -> Result<frame::Video, FfmpegError> {
    // SAFETY: a decoded frame is valid while borrowed.
    let raw = unsafe { &*frame.as_ptr() };
    let mut graph = filter::Graph::new();
    let find = |name| filter::find(name).ok_or(FfmpegError::FilterNotFound);
    let args = format!("video_size={}x{}:pix_fmt={}:time_base=1/1", raw.width, raw.height, raw.format);
    let mut source = graph.add(&find("buffer")?, "in", &args)?;
    let mut bwdif = graph.add(&find("bwdif")?, "bwdif", "mode=send_frame:deint=all")?;
    let mut sink = graph.add(&find("buffersink")?, "out", "")?;
    source.link(0, &mut bwdif, 0);
    bwdif.link(0, &mut sink, 0);
    // SAFETY: one thread, as the decoder's workers already use all cores.
    unsafe { (*graph.as_mut_ptr()).nb_threads = 1 };
    graph.validate()?;

    // The filter shows each picture when the next one has come; the clip's ends stand in for themselves.
    for (time, picture) in [before.unwrap_or(frame), frame, after.unwrap_or(frame)].into_iter().enumerate() {
        // SAFETY: a new reference to the same pixels, with its own time.
        unsafe {
            let mut copy = Frame::empty();
            match ffi::av_frame_ref(copy.as_mut_ptr(), picture.as_ptr()) {
                code if code < 0 => return Err(code.into()),
                _ => (*copy.as_mut_ptr()).pts = time as i64,
            }
            source.source().add(&copy)?;
        }
    }
    source.source().flush()?;
    let mut shown = frame::Video::empty();
    sink.sink().frame(&mut shown)?;
    sink.sink().frame(&mut shown)?;
    Ok(shown)
}
