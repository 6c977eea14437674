//! TensorBoard event files: TFRecord framing around `Event` messages with scalar summaries
//! (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::{Error, Result};

/// Appends scalars to a new event file in a folder. Files of earlier runs stay: TensorBoard shows
/// them as one curve, so that a resumed run goes on where it stopped.
#[derive(Debug)]
pub(crate) struct EventWriter {
    path: PathBuf,
    file: File,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    // `optional` keeps a value of 0 in the file.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

impl EventWriter {
    /// Starts an event file in `folder`, which is made where missing.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // TensorBoard orders files by name; the fraction keeps two of one second apart.
        let name = format!("events.out.tfevents.{:010}.{:09}.classify", time.as_secs(), time.subsec_nanos());
        let path = folder.join(name);
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        let file = file.map_err(|e| Error::io(&path, e))?;
        let mut writer = Self { path, file };
        let event = Event { file_version: Some("brain.Event:2".into()), ..Event::now(0) };
        writer.append(&event)?;
        Ok(writer)
    }

    /// Writes named figures of one step; they are in the file when this returns.
    pub(crate) fn scalars(&mut self, step: usize, figures: &[(impl AsRef<str>, f64)]) -> Result<()> {
        let value = figures
            .iter()
            .map(|(tag, v)| Value { tag: tag.as_ref().to_owned(), simple_value: Some(*v as f32) })
            .collect();
        let summary = Summary { value };
        self.append(&Event { summary: Some(summary), ..Event::now(step as i64) })
    }

    fn append(&mut self, event: &Event) -> Result<()> {
        // In one write, so that a killed run leaves whole records or a torn last one.
        self.file.write_all(&record(&event.encode_to_vec())).map_err(|e| Error::io(&self.path, e))
    }
}

impl Event {
    fn now(step: i64) -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall_time: time.as_secs_f64(), step, file_version: None, summary: None }
    }
}

/// Length, its checksum, the data, its checksum; all little-endian.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), data, &masked_crc(data)].concat()
}

/// CRC-32C, rotated and shifted so that the checksum of data that holds checksums stays good.
fn masked_crc(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the records apart by the documented format.
    fn read(mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked_crc(&bytes[..8]));
            let data = &bytes[12..12 + length];
            assert_eq!(bytes[12 + length..16 + length], masked_crc(data));
            events.push(Event::decode(data).unwrap());
            bytes = &bytes[16 + length..];
        }
        events
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(&folder.path().join("events")).unwrap();
        writer.scalars(3, &[("loss/train", 0.5), ("accuracy/val", 0.0)]).unwrap();
        let events = read(&std::fs::read(&writer.path).unwrap());
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert!(events[0].wall_time > 1.6e9);
        assert_eq!(events[1].step, 3);
        let values = &events[1].summary.as_ref().unwrap().value;
        assert_eq!((values[0].tag.as_str(), values[0].simple_value), ("loss/train", Some(0.5)));
        assert_eq!((values[1].tag.as_str(), values[1].simple_value), ("accuracy/val", Some(0.0)));
        EventWriter::create(&folder.path().join("events")).unwrap();
    }

    #[test]
    fn bytes_are_those_of_the_format() {
        // CRC-32C of "123456789" is e3069283 (RFC 3720), masked: rotate by 15 bits, add a282ead8.
        let masked = 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(masked_crc(b"123456789"), masked.to_le_bytes());
        // wall_time 1.0 (field 1, fixed64), step 2 (field 2, varint), a value of 0.5 named a.
        let value = Value { tag: "a".into(), simple_value: Some(0.5) };
        let event = Event {
            wall_time: 1.0,
            step: 2,
            file_version: None,
            summary: Some(Summary { value: vec![value] }),
        };
        let wanted = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 2, 0x2a, 10, 0x0a, 8][..],
            &[0x0a, 1, b'a', 0x15, 0, 0, 0, 0x3f],
        ];
        assert_eq!(event.encode_to_vec(), wanted.concat());
    }
}
