//! The tensors of safetensors files, read one at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::error::plain;

/// Most bytes of a file's list of tensors.
const HEADER: u64 = 100 << 20;

/// Tensors by name, of one safetensors file or several.
///
/// What lies in a file stays there until it is asked for: a network that packs its weights never has them in memory
/// twice.
pub struct Tensors {
    parts: Vec<Part>,
    entries: BTreeMap<String, Entry>,
    /// What names in the files begin with, and what stands for it here.
    prefixes: &'static [(&'static str, &'static str)],
}

/// One file.
struct Part {
    /// For messages.
    name: String,
    source: Source,
    length: u64,
}

enum Source {
    Memory(Cow<'static, [u8]>),
    Disk(Mutex<File>),
}

/// Where a tensor is.
struct Entry {
    part: usize,
    /// Its name in the file.
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Bytes of the file.
    place: Range<u64>,
}

impl std::fmt::Debug for Tensors {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Tensors {
    /// Of a file that is in memory.
    ///
    /// # Errors
    /// Where the bytes are cut short or are no safetensors file.
    pub fn from_bytes(bytes: Cow<'static, [u8]>) -> Result<Self> {
        let length = bytes.len() as u64;
        let part = Part { name: "model.safetensors".into(), source: Source::Memory(bytes), length };
        Self::of_parts(vec![part])
    }

    /// Of files on the disk.
    ///
    /// # Errors
    /// They name the file that can't be read, is cut short, is no safetensors file, or holds a tensor that another one
    /// holds, too.
    pub fn open(files: &[PathBuf]) -> Result<Self> {
        Self::of_parts(files.iter().map(|path| Part::open(path)).collect::<Result<_>>()?)
    }

    fn of_parts(parts: Vec<Part>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (part, file) in parts.iter().enumerate() {
            let (start, metadata) = file.header()?;
            for (name, info) in metadata.tensors() {
                let (from, to) = info.data_offsets;
                let place = start + from as u64..start + to as u64;
                let entry =
                    Entry { part, name: name.clone(), dtype: info.dtype, shape: info.shape.clone(), place };
                if entries.insert(name.clone(), entry).is_some() {
                    bail!("{}: {name} stands in another file, too", file.name);
                }
            }
        }
        Ok(Self { parts, entries, prefixes: &[] })
    }

    /// The tensors under names of ours: of `prefixes`, theirs and ours, the first that fits changes a name. Those that
    /// none fits, or one whose own is empty, are left out.
    pub fn renamed(self, prefixes: &'static [(&'static str, &'static str)]) -> Self {
        let ours = |theirs: &str| {
            let (rest, to) = prefixes.iter().find_map(|(from, to)| Some((theirs.strip_prefix(from)?, to)))?;
            (!to.is_empty()).then(|| format!("{to}{rest}"))
        };
        let entries = self.entries.into_iter().filter_map(|(theirs, entry)| Some((ours(&theirs)?, entry)));
        Self { entries: entries.collect(), parts: self.parts, prefixes }
    }

    /// What a file would call the tensor `name`.
    fn in_file(&self, name: &str) -> String {
        let theirs =
            self.prefixes.iter().find_map(|(to, from)| Some(format!("{to}{}", name.strip_prefix(from)?)));
        theirs.unwrap_or_else(|| name.to_owned())
    }

    /// In alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is a tensor `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The sizes of `name`, where there is such a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| &*entry.shape)
    }

    /// The tensor `name` in `f32`.
    ///
    /// # Errors
    /// Where there is none, it can't be read, or holds numbers of another type than f16, bf16 or f32, or numbers that
    /// aren't finite.
    pub fn get(&self, name: &str, device: &Device) -> Result<Tensor> {
        let Some(entry) = self.entries.get(name) else {
            return Err(candle_core::Error::CannotFindTensor { path: self.in_file(name) });
        };
        let Entry { dtype, shape, .. } = entry;
        let file = &self.parts[entry.part];
        let data = file.read(entry.place.clone())?;
        let numbers: Vec<f32> = match dtype {
            Dtype::F16 => of_halves(&data, f16::from_le_bytes, |from, to| from.convert_to_f32_slice(to)),
            Dtype::BF16 => of_halves(&data, bf16::from_le_bytes, |from, to| from.convert_to_f32_slice(to)),
            Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            other => bail!("{}: {} holds {other:?}, weights are f16, bf16 or f32", file.name, entry.name),
        };
        if !numbers.iter().all(|x| x.is_finite()) {
            bail!("{}: {} holds values that are not finite", file.name, entry.name);
        }
        Tensor::from_vec(numbers, &shape[..], device)
    }

    /// The tensors as candle's modules take them, in `f32`.
    pub fn var_builder(self: &Arc<Self>, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(Shared(self.clone())), DType::F32, device.clone())
    }

    /// The length of every file and what is in it.
    ///
    /// # Errors
    /// Where a file can't be read any more.
    pub fn hash(&self, hasher: &mut blake3::Hasher) -> Result<()> {
        for part in &self.parts {
            hasher.update(&part.length.to_le_bytes());
            match &part.source {
                Source::Memory(bytes) => {
                    hasher.update(bytes);
                }
                Source::Disk(file) => {
                    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                    let all = file.rewind().and_then(|()| hasher.update_reader(&*file));
                    all.map_err(|e| part.unreadable(&e))?;
                }
            }
        }
        Ok(())
    }
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unreadable =
            |e: std::io::Error| candle_core::Error::Msg(format!("{name} can't be read: {}", plain(&e)));
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        Ok(Self { name, source: Source::Disk(Mutex::new(file)), length })
    }

    fn unreadable(&self, error: &std::io::Error) -> candle_core::Error {
        candle_core::Error::Msg(format!("{} can't be read: {}", self.name, plain(error)))
    }

    /// Where the numbers begin, and what they are.
    fn header(&self) -> Result<(u64, Metadata)> {
        let damaged =
            |why: &str| candle_core::Error::Msg(format!("{} is cut short or damaged ({why})", self.name));
        if self.length < 8 {
            return Err(damaged("it is shorter than its header"));
        }
        let size = u64::from_le_bytes(self.read(0..8)?.as_chunks().0[0]);
        if size > HEADER.min(self.length - 8) {
            return Err(damaged("its header is longer than the file"));
        }
        let metadata = serde_json::from_slice::<Metadata>(&self.read(8..8 + size)?);
        let metadata = metadata.map_err(|e| damaged(&e.to_string()))?;
        if (8 + size).checked_add(metadata.data_len() as u64) != Some(self.length) {
            return Err(damaged("it doesn't have the length that its header says"));
        }
        Ok((8 + size, metadata))
    }

    /// The bytes at `place`, which lies in the file.
    fn read(&self, place: Range<u64>) -> Result<Cow<'_, [u8]>> {
        match &self.source {
            Source::Memory(bytes) => Ok(bytes[place.start as usize..place.end as usize].into()),
            Source::Disk(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut bytes = vec![0; (place.end - place.start) as usize];
                let read = file.seek(SeekFrom::Start(place.start)).and_then(|_| file.read_exact(&mut bytes));
                read.map_err(|e| self.unreadable(&e))?;
                Ok(bytes.into())
            }
        }
    }
}

/// The numbers of `bytes`, which may lie at any address, a piece at a time: the processor converts many at once.
fn of_halves<T: Copy>(
    bytes: &[u8],
    of_bytes: impl Fn([u8; 2]) -> T,
    convert: impl Fn(&[T], &mut [f32]),
) -> Vec<f32> {
    const PIECE: usize = 1024;
    let mut numbers = vec![0.0; bytes.len() / 2];
    let mut halves = [of_bytes([0; 2]); PIECE];
    for (numbers, bytes) in numbers.chunks_mut(PIECE).zip(bytes.chunks(2 * PIECE)) {
        let halves = &mut halves[..numbers.len()];
        halves.iter_mut().zip(bytes.as_chunks().0).for_each(|(half, b)| *half = of_bytes(*b));
        convert(halves, numbers);
    }
    numbers
}

/// [`Tensors`] as candle asks for them.
struct Shared(Arc<Tensors>);

impl SimpleBackend for Shared {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            return Err(candle_core::Error::UnexpectedShape {
                msg: format!("shape mismatch for {}", self.0.in_file(name)),
                expected: shape,
                got: tensor.shape().clone(),
            });
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.0.get(name, device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}
