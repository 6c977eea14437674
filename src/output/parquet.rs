//! Parquet: the columns of the CSV, with types, for data frames.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::files::paths;

use super::{Columns, Exporter, Row, SHOWN, cells, score, seconds};
use crate::ClipLabels;

/// Rows that are held until they are written as one group.
const GROUP: usize = 10_000;

/// A table in columns.
pub(crate) struct Parquet {
    columns: Columns,
    rows: Vec<Row>,
    writer: Option<SerializedFileWriter<Buffer>>,
    buffer: Buffer,
}

/// The writer wants to own where it writes; we hand on what gathered here.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Parquet {
    /// Writes these columns.
    pub(crate) fn new(columns: Columns) -> Self {
        let columns = Columns { top: columns.top.max(1), ..columns };
        Self { columns, rows: Vec::new(), writer: None, buffer: Buffer::default() }
    }

    fn schema(&self) -> String {
        let Columns { top, several, confident } = self.columns;
        let more: String = (2..=top)
            .map(|n| format!("optional binary label{n} (UTF8); optional double score{n}; "))
            .collect();
        let confident = if confident { "optional boolean confident; " } else { "" };
        let shown = if several { format!("optional int64 {SHOWN}; ") } else { String::new() };
        format!(
            "message labels {{ required binary path (UTF8); optional binary label (UTF8); optional double score; \
             optional double duration_s; optional int64 frames; optional binary model (UTF8); \
             optional binary error (UTF8); {more}{confident}{shown}}}"
        )
    }

    fn start(&mut self) -> Result<()> {
        let schema = Arc::new(parse_message_type(&self.schema())?);
        let properties = Arc::new(WriterProperties::builder().build());
        self.writer = Some(SerializedFileWriter::new(self.buffer.clone(), schema, properties)?);
        Ok(())
    }

    /// Writes the rows that are held.
    fn group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let Some(writer) = self.writer.as_mut().filter(|_| !rows.is_empty()) else { return Ok(()) };
        let Columns { top, several, confident } = self.columns;
        let mut group = writer.next_row_group()?;
        let clip = |row: &Row| row.outcome.as_ref().ok().cloned();
        let clips: Vec<Option<ClipLabels>> = rows.iter().map(clip).collect();
        let text = |text: &str| ByteArray::from(text);
        let cells: Vec<Vec<(String, f32)>> =
            clips.iter().map(|c| c.as_ref().map_or(Vec::new(), |c| cells(c, top))).collect();
        let label = |n: usize| cells.iter().map(move |cells| cells.get(n));

        let paths: Vec<_> = rows.iter().map(|row| text(&paths::to_text(&row.path))).collect();
        let mut column = group.next_column()?.expect("as many columns as in the schema");
        column.typed::<ByteArrayType>().write_batch(&paths, None, None)?;
        column.close()?;
        labels(&mut group, label(0))?;
        let facts = || clips.iter().map(Option::as_ref);
        optional::<DoubleType>(&mut group, facts().map(|c| c.map(|c| seconds(c.duration_s))))?;
        optional::<Int64Type>(&mut group, facts().map(|c| c.map(|c| c.frames as i64)))?;
        optional::<ByteArrayType>(&mut group, facts().map(|c| c.map(|c| text(&c.model))))?;
        let errors = rows.iter().map(|row| row.outcome.as_ref().err().map(|e| text(e)));
        optional::<ByteArrayType>(&mut group, errors)?;
        for n in 1..top {
            labels(&mut group, label(n))?;
        }
        if confident {
            optional::<BoolType>(&mut group, facts().map(|c| c.and_then(|c| c.confident)))?;
        }
        if several {
            let shown = |clip: &ClipLabels| clip.shown().map_or(0, <[_]>::len) as i64;
            optional::<Int64Type>(&mut group, facts().map(|c| c.map(shown)))?;
        }
        group.close()?;
        Ok(())
    }

    fn hand_on(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = self.buffer.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&bytes)?;
        bytes.clear();
        Ok(())
    }
}

/// A column of labels and the column of their scores.
fn labels<'a>(
    group: &mut SerializedRowGroupWriter<Buffer>,
    labels: impl Iterator<Item = Option<&'a (String, f32)>> + Clone,
) -> Result<()> {
    let names = labels.clone().map(|l| l.map(|(label, _)| ByteArray::from(label.as_str())));
    optional::<ByteArrayType>(group, names)?;
    optional::<DoubleType>(group, labels.map(|l| l.map(|(_, s)| score(*s))))
}

/// A column whose cells may be empty.
fn optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<Buffer>,
    cells: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    let mut column = group.next_column()?.expect("as many columns as in the schema");
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    column.close()
}

impl Exporter for Parquet {
    fn header(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.start().map_err(io::Error::other)?;
        self.hand_on(out)
    }

    fn row(&mut self, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        self.rows.push(row.clone());
        if self.rows.len() == GROUP {
            self.group().map_err(io::Error::other)?;
        }
        self.hand_on(out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.group().map_err(io::Error::other)?;
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(io::Error::other)?;
        }
        self.hand_on(out)
    }
}
