//! Whether a file ends where its container says: what is claimed in bytes against what is there.
//!
//! Each function answers whether the file ends too early, or `None` where the container doesn't say.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::stores::{self, Source};

/// Whether the file at `path` ends before it should; `None` where it doesn't say. `family`: the first of FFmpeg's
/// names of the container; `packet`: the size of the video's last packet, where all are alike.
pub(super) fn is_early(path: &Path, family: &str, packet: usize) -> Option<bool> {
    let bytes = Bytes::open(path)?;
    match family {
        "mov" => fragments(&bytes),
        "matroska" => matroska(&bytes),
        "avi" => riff(&bytes),
        "asf" | "asf_o" => asf(&bytes),
        "mxf" => mxf(&bytes),
        "ogg" => ogg(&bytes),
        "gif" => gif(path),
        "mpeg" => program_stream(&bytes),
        "mpegts" => transport_stream(&bytes),
        "flv" => flv(&bytes),
        "swf" => swf(&bytes),
        "nut" => nut(&bytes),
        "dv" => bytes.size.checked_rem(packet as u64).map(|rest| rest > 0),
        "yuv4mpegpipe" => y4m(&bytes, packet),
        "gxf" => gxf(&bytes),
        "roq" => roq(&bytes),
        _ => None,
    }
}

struct Bytes {
    source: RefCell<Box<dyn Source>>,
    size: u64,
}

impl Bytes {
    fn open(path: &Path) -> Option<Self> {
        let source = stores::open(path).ok()?;
        let size = source.size().ok()?;
        Some(Self { source: RefCell::new(source), size })
    }

    /// Up to `n` bytes from `at` on; fewer at the file's end.
    fn some(&self, at: u64, n: usize) -> Option<Vec<u8>> {
        let mut source = self.source.borrow_mut();
        source.seek(SeekFrom::Start(at)).ok()?;
        let mut bytes = Vec::with_capacity(n);
        source.by_ref().take(n as u64).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn all<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        self.some(at, N)?.try_into().ok()
    }

    /// The last `n` bytes and where they begin.
    fn tail(&self, n: u64) -> Option<(u64, Vec<u8>)> {
        let start = self.size.saturating_sub(n);
        Some((start, self.some(start, n as usize)?))
    }

    fn lacks(&self, end: u64) -> bool {
        end > self.size
    }
}

/// Where `pattern` stands last.
fn last_of(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).rposition(|window| window == pattern)
}

/// MP4 in fragments: each box says how long it is. (Without fragments, the index tells.)
fn fragments(bytes: &Bytes) -> Option<bool> {
    let (mut at, mut fragmented) = (0, false);
    while at < bytes.size {
        let head = bytes.some(at, 16)?;
        if head.len() < 8 {
            return Some(fragmented);
        }
        fragmented |= &head[4..8] == b"moof";
        let length = match u32::from_be_bytes(head[..4].try_into().ok()?) {
            1 => u64::from_be_bytes(head.get(8..16)?.try_into().ok()?),
            n => u64::from(n),
        };
        if length < 8 || !head[4..8].iter().all(u8::is_ascii_graphic) {
            return None;
        }
        at = at.saturating_add(length);
    }
    Some(fragmented && bytes.lacks(at))
}

/// Matroska and WebM: the length of the segment; where a live recording leaves it open, of what is in it.
fn matroska(bytes: &Bytes) -> Option<bool> {
    const SEGMENT: u64 = 0x1853_8067;
    const CLUSTER: u64 = 0x1f43_b675;
    const INSIDE: [u64; 16] = [
        CLUSTER,
        0x114d_9b74, // where things are
        0x1549_a966, // information
        0x1654_ae6b, // tracks
        0x1c53_bb6b, // cues
        0x1254_c367, // tags
        0x1941_a469, // attachments
        0x1043_a770, // chapters
        0xec,        // nothing
        0xbf,        // checksum
        0xe7,        // from here on in a cluster: its time
        0xa7,
        0xab,
        0xa0, // a group of blocks
        0xa3, // a block
        0x5854,
    ];
    let mut at = match element(bytes, 0)? {
        (0x1a45_dfa3, start, Some(length)) => start.checked_add(length)?,
        _ => return None,
    };
    loop {
        let (id, start, length) = element(bytes, at)?;
        match length {
            Some(length) if id == SEGMENT => return Some(bytes.lacks(start.saturating_add(length))),
            None if id == SEGMENT => {
                at = start;
                break;
            }
            Some(length) => at = start.checked_add(length)?,
            None => return None,
        }
    }
    while at < bytes.size {
        // Cut off in the middle of an element's head.
        let Some((id, start, length)) = element(bytes, at) else { return Some(bytes.size - at < 12) };
        at = match length {
            _ if !INSIDE.contains(&id) => return None,
            Some(length) => start.saturating_add(length),
            None if id == CLUSTER => start,
            None => return None,
        };
    }
    Some(bytes.lacks(at))
}

/// An element of Matroska: its name, where its content starts, how long that is unless left open.
fn element(bytes: &Bytes, at: u64) -> Option<(u64, u64, Option<u64>)> {
    let head = bytes.some(at, 12)?;
    let number = |from: usize, keep_length: bool| {
        let first = *head.get(from)?;
        let n = first.leading_zeros() as usize + 1;
        let digits = head.get(from..from + n).filter(|_| n <= 8)?;
        let value = digits.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let mask = if keep_length { u64::MAX } else { (1 << (7 * n)) - 1 };
        Some((value & mask, n, value & mask == (1 << (7 * n)) - 1))
    };
    let (id, n, _) = number(0, true).filter(|(_, n, _)| *n <= 4)?;
    let (length, m, open) = number(n, false)?;
    Some((id, at + (n + m) as u64, (!open).then_some(length)))
}

/// AVI: one or more chunks that say how long they are, unless the recording left that open.
fn riff(bytes: &Bytes) -> Option<bool> {
    let mut at = 0;
    loop {
        let head: [u8; 8] = bytes.all(at)?;
        let length = u32::from_le_bytes(head[4..].try_into().ok()?);
        if &head[..4] != b"RIFF" || length == 0 || length == u32::MAX {
            return None;
        }
        let end = at + 8 + u64::from(length);
        if bytes.lacks(end) {
            return Some(true);
        }
        at = end + u64::from(length % 2);
    }
}

/// ASF: a header, the data, indices; each says how long it is. The data of a live recording doesn't, but
/// consists of packets of one length.
fn asf(bytes: &Bytes) -> Option<bool> {
    const PROPERTIES: [u8; 16] =
        [0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11, 0x8e, 0xe4, 0, 0xc0, 0x0c, 0x20, 0x53, 0x65];
    const INDEX: [u8; 16] =
        [0x90, 8, 0, 0x33, 0xb1, 0xe5, 0xcf, 0x11, 0x89, 0xf4, 0, 0xa0, 0xc9, 3, 0x49, 0xcb];
    /// Of the data's head.
    const HEAD: u64 = 50;
    let length_at = |at: u64| Some(u64::from_le_bytes(bytes.all(at.checked_add(16)?)?));
    let mut at = length_at(0)?;
    if length_at(at)? <= HEAD {
        let header = bytes.some(0, at.min(1 << 20) as usize)?;
        let properties = last_of(&header, &PROPERTIES)?;
        let packet = u32::from_le_bytes(header.get(properties + 92..properties + 96)?.try_into().ok()?);
        let rest = |end: u64| end.checked_sub(at.saturating_add(HEAD))?.checked_rem(packet.into());
        let (start, tail) = bytes.tail(4 << 20)?;
        let index = last_of(&tail, &INDEX).map(|index| start + index as u64);
        let before_an_index = index.is_some_and(|index| rest(index) == Some(0));
        return (!before_an_index && rest(bytes.size)? > 0).then_some(true);
    }
    while at < bytes.size {
        at = at.saturating_add(length_at(at).filter(|length| *length >= 24)?);
    }
    Some(bytes.lacks(at))
}

/// MXF: keys and lengths one after the other; the first of them says where the last ones begin.
fn mxf(bytes: &Bytes) -> Option<bool> {
    const PARTITION: [u8; 13] = [6, 0x0e, 0x2b, 0x34, 2, 5, 1, 1, 0x0d, 1, 2, 1, 1];
    let head = bytes.some(0, 1 << 16)?;
    let start = head.windows(PARTITION.len()).position(|window| window == PARTITION)? as u64;
    let (value, _) = key_and_length(bytes, start)?;
    let footer = u64::from_be_bytes(bytes.all(value + 24)?);
    let mut at = start.saturating_add(footer);
    if footer > 0 && at >= bytes.size {
        return Some(true);
    }
    while at < bytes.size {
        let Some((value, length)) = key_and_length(bytes, at) else { return Some(bytes.size - at < 25) };
        at = value.saturating_add(length);
    }
    Some(bytes.lacks(at))
}

/// Where the value of MXF's key at `at` starts, and how long it is.
fn key_and_length(bytes: &Bytes, at: u64) -> Option<(u64, u64)> {
    let head = bytes.some(at, 25)?;
    if !head.starts_with(&[6, 0x0e, 0x2b, 0x34]) {
        return None;
    }
    let first = *head.get(16)?;
    let n = if first < 0x80 { 0 } else { usize::from(first & 0x7f) };
    let digits = head.get(17..17 + n).filter(|_| n <= 8)?;
    let long = digits.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Some((at + 17 + n as u64, if n == 0 { u64::from(first) } else { long }))
}

/// Ogg: pages, each of which lists how long its pieces are.
fn ogg(bytes: &Bytes) -> Option<bool> {
    const LONGEST_PAGE: u64 = 27 + 255 + 255 * 255;
    let (start, tail) = bytes.tail(2 * LONGEST_PAGE)?;
    let page = last_of(&tail, b"OggS\0")?;
    let Some(pieces) = tail.get(page + 26) else { return Some(true) };
    let Some(lengths) = tail.get(page + 27..page + 27 + usize::from(*pieces)) else { return Some(true) };
    let content: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
    Some(bytes.lacks(start + (page + 27 + lengths.len()) as u64 + content))
}

/// GIF: blocks up to a trailer, which some leave out; so only an end in the middle of a block tells.
fn gif(path: &Path) -> Option<bool> {
    let mut file = BufReader::new(stores::open(path).ok()?);
    match gif_blocks(&mut file) {
        Ok(known) => known.then_some(false),
        Err(error) => (error.kind() == std::io::ErrorKind::UnexpectedEof).then_some(true),
    }
}

/// Goes through all blocks. False where what comes is no block.
fn gif_blocks(file: &mut BufReader<Box<dyn Source>>) -> std::io::Result<bool> {
    let palette = |flags: u8| if flags & 0x80 != 0 { 3usize << ((flags & 7) + 1) } else { 0 };
    let mut head = [0; 13];
    file.read_exact(&mut head)?;
    skip(file, palette(head[10]))?;
    loop {
        if file.fill_buf()?.is_empty() {
            return Ok(true);
        }
        match byte(file)? {
            b';' => return Ok(true),
            b'!' => skip(file, 1)?,
            b',' => {
                let mut head = [0; 9];
                file.read_exact(&mut head)?;
                skip(file, palette(head[8]) + 1)?;
            }
            _ => return Ok(false),
        }
        // The block's content, in pieces of up to 255 bytes up to an empty one.
        loop {
            match byte(file)? {
                0 => break,
                length => skip(file, usize::from(length))?,
            }
        }
    }
}

fn byte(file: &mut impl Read) -> std::io::Result<u8> {
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn skip(file: &mut impl Read, n: usize) -> std::io::Result<()> {
    let skipped = std::io::copy(&mut file.take(n as u64), &mut std::io::sink())?;
    if skipped < n as u64 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// MPEG program streams: packs of packets that say how long they are.
fn program_stream(bytes: &Bytes) -> Option<bool> {
    let (_, tail) = bytes.tail(256 << 10)?;
    let mut at = last_of(&tail, &[0, 0, 1, 0xba])?;
    while at < tail.len() {
        let head = &tail[at..];
        at += match *head {
            [0, 0, 1, 0..=0xb8, ..] => return None,
            [0, 0, 1, 0xb9, ..] => return Some(false),
            [0, 0, 1, 0xba, version, ..] if version >> 6 == 1 => {
                14 + usize::from(head.get(13).copied().unwrap_or(0) & 7)
            }
            [0, 0, 1, 0xba, ..] => 12,
            [0, 0, 1, _, high, low, ..] => 6 + usize::from(u16::from_be_bytes([high, low])),
            [0, 0, 1, _] | [0, 0, 1, _, _] => return Some(true),
            _ => return None,
        };
    }
    Some(at > tail.len())
}

/// MPEG transport streams: packets of 188 bytes, with some between them in the variants of discs and of aerials.
fn transport_stream(bytes: &Bytes) -> Option<bool> {
    const SYNC: u8 = 0x47;
    for unit in [188, 192, 204] {
        let (_, tail) = bytes.tail(12 * unit as u64)?;
        for offset in 0..unit.min(tail.len()) {
            let packets = tail[offset..].iter().step_by(unit);
            if packets.len() >= 8 && packets.clone().all(|byte| *byte == SYNC) {
                return Some(offset + (packets.len() - 1) * unit + 188 > tail.len());
            }
        }
    }
    None
}

/// FLV: tags, each followed by its length.
fn flv(bytes: &Bytes) -> Option<bool> {
    let tag = |at: u64| -> Option<Option<u64>> {
        let head = bytes.some(at, 4)?;
        let [8 | 9 | 18, a, b, c] = head[..] else { return None };
        Some(Some(11 + u64::from(u32::from_be_bytes([0, a, b, c]))))
    };
    let last = u64::from(u32::from_be_bytes(bytes.all(bytes.size.checked_sub(4)?)?));
    let is_whole = bytes.size.checked_sub(4 + last).and_then(tag).flatten() == Some(last);
    if is_whole {
        return Some(false);
    }
    // Something else may follow the last tag: go through all.
    let mut at = u64::from(u32::from_be_bytes(bytes.all(5)?)) + 4;
    while at < bytes.size {
        match tag(at)? {
            Some(length) => at += length + 4,
            None => return None,
        }
    }
    // The last tag's own length may be missing.
    Some(bytes.lacks(at - 4))
}

/// SWF without compression says how long it is.
fn swf(bytes: &Bytes) -> Option<bool> {
    let head: [u8; 8] = bytes.all(0)?;
    let length = u32::from_le_bytes(head[4..].try_into().ok()?);
    head.starts_with(b"FWS").then_some(bytes.lacks(length.into()))
}

/// NUT ends with an index that says how long it is, if it was given one.
fn nut(bytes: &Bytes) -> Option<bool> {
    const INDEX: [u8; 8] = [0x4e, 0x58, 0xdd, 0x67, 0x2f, 0x23, 0xe6, 0x4e];
    let length = u64::from_be_bytes(bytes.all(bytes.size.checked_sub(12)?)?);
    let start = bytes.size.checked_sub(length).filter(|_| length > 12)?;
    (bytes.all(start)? == INDEX).then_some(false)
}

/// GXF ends with a packet that says so.
fn gxf(bytes: &Bytes) -> Option<bool> {
    let (_, tail) = bytes.tail(1024)?;
    Some(last_of(&tail, &[0, 0, 0, 0, 1, 0xfb]).is_none())
}

/// RoQ: chunks that say how long they are.
fn roq(bytes: &Bytes) -> Option<bool> {
    // The first is none, and says that it is as long as can be.
    let mut at = 8;
    while at < bytes.size {
        let Some(head) = bytes.all::<8>(at) else { return Some(true) };
        at += 8 + u64::from(u32::from_le_bytes(head[2..6].try_into().ok()?));
    }
    Some(bytes.lacks(at))
}

/// YUV4MPEG: frames of one size after one line, each with a line of its own.
fn y4m(bytes: &Bytes, frame: usize) -> Option<bool> {
    let head = bytes.some(0, 1024)?;
    let start = head.iter().position(|byte| *byte == b'\n')? + 1;
    let line = head[start..].iter().position(|byte| *byte == b'\n')? + 1;
    Some(!(bytes.size - start as u64).is_multiple_of((line + frame) as u64))
}
