//! Weights that PyTorch saved, written anew as safetensors.
//!
//! `pytorch_model.bin` is a zip of a pickle, which says where tensors are, and of their bytes. Pickles are programs, and
//! in Python one can do anything. Here candle's reader turns it into plain values and calls nothing; from those only
//! what `torch.save` writes for a tensor is taken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use candle_core::pickle::{Object, Stack};
use serde_json::{Map, json};
use zip::{CompressionMethod, ZipArchive};

use crate::error::{plain, words};
use crate::files::AtomicFile;

/// The longest pickle that is read: some hundred bytes a tensor, and models have hundreds.
const LONGEST: u64 = 4 << 20;
/// What a pickle may come to: values can be repeated, and so be made to fill any memory.
const MOST_VALUES: usize = 1 << 20;
/// How deep values may lie in one another: those of `torch.save` do a handful of levels.
const DEEPEST: usize = 64;
/// Of the thread that reads it: dropping values that lie in one another needs a frame for each level.
const STACK: usize = 1 << 30;

/// A tensor's place in the file.
#[derive(Debug, Clone, PartialEq)]
struct Stored {
    /// Name of safetensors' type, and bytes a number.
    dtype: (&'static str, usize),
    shape: Vec<usize>,
    /// Numbers from one to the next along each axis.
    stride: Vec<usize>,
    /// Numbers before the first.
    offset: usize,
    storage: String,
}

/// Writes the tensors of `pickle`, as `torch.save` left them, to the safetensors file `output`; returns their names.
///
/// # Errors
/// What in it isn't read, without the file's name.
pub(super) fn convert(pickle: &Path, output: &Path) -> Result<Vec<String>, String> {
    let file = File::open(pickle).map_err(|e| plain(&e))?;
    let length = file.metadata().map_err(|e| plain(&e))?.len();
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|_| {
        "it is no zip file: PyTorch before 1.6 saved so; in Python, \
         torch.save(torch.load(FILE, weights_only=True), FILE) makes it a new one"
            .to_owned()
    })?;
    let root = root(&mut zip)?;
    let tensors = tensors(&read(&mut zip, &format!("{root}data.pkl"), LONGEST)?)?;
    if tensors.is_empty() {
        return Err("there are no tensors in it".into());
    }
    let starts = starts(&mut zip, &root, &tensors, length)?;
    let written = write(zip.into_inner(), &tensors, &starts, output);
    written.map(|()| tensors.into_keys().collect())
}

/// The folder in the zip that all lies in.
fn root(zip: &mut ZipArchive<BufReader<File>>) -> Result<String, String> {
    let pickles: Vec<&str> = zip.file_names().filter_map(|name| name.strip_suffix("data.pkl")).collect();
    let [root] = pickles[..] else {
        return Err(format!("there are {} pickles in it, not one", pickles.len()));
    };
    let root = root.to_owned();
    if let Ok(order) = read(zip, &format!("{root}byteorder"), 16)
        && order.trim_ascii() != b"little"
    {
        return Err("a machine with another order of bytes saved it".into());
    }
    Ok(root)
}

/// The file `name` of the zip, of at most `longest` bytes.
fn read(zip: &mut ZipArchive<BufReader<File>>, name: &str, longest: u64) -> Result<Vec<u8>, String> {
    let file = zip.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes).map_err(|e| format!("{name}: {}", plain(&e)))?;
    match bytes.len() as u64 > longest {
        true => Err(format!("{name} is longer than the {longest} bytes that are read")),
        false => Ok(bytes),
    }
}

/// The tensors that the pickle `bytes` lists, by name.
fn tensors(bytes: &[u8]) -> Result<BTreeMap<String, Stored>, String> {
    let read = || {
        let object = object(bytes)?;
        let Object::Dict(entries) = &object else {
            return Err("what was saved is no table of tensors: a whole program, perhaps".to_owned());
        };
        let mut tensors = BTreeMap::new();
        // What PyTorch notes of its modules' versions is no tensor.
        let notes = Object::Unicode("_metadata".into());
        let entries = entries.iter().filter(|(name, _)| *name != notes);
        if entries.clone().any(|(_, value)| matches!(value, Object::Dict(_))) {
            return Err("it is a checkpoint of a training, with more in it than weights".to_owned());
        }
        for (name, value) in entries {
            let Object::Unicode(name) = name else {
                return Err("a tensor in it has no name".to_owned());
            };
            let stored = stored(value).map_err(|reason| format!("{name}: {reason}"))?;
            tensors.insert(name.clone(), stored);
        }
        Ok(tensors)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read);
        let thread = thread.map_err(|e| format!("no thread to read it in: {}", plain(&e)))?;
        thread.join().unwrap_or_else(|_| Err("its pickle is damaged".into()))
    })
}

/// The value that the pickle `bytes` makes.
fn object(bytes: &[u8]) -> Result<Object, String> {
    let damaged = |e: candle_core::Error| format!("its pickle isn't one of weights alone ({})", words(&e));
    let mut reader = bytes;
    let mut stack = Stack::empty();
    let mut values = 0;
    loop {
        // What is put aside and what is taken from there is copied.
        let copies = reader.fill_buf().is_ok_and(|next| next.first().is_some_and(|op| b"qrhj".contains(op)));
        if stack.read(&mut reader).map_err(damaged)? {
            return stack.finalize().map_err(damaged);
        }
        if copies && let Some(top) = stack.stack().last() {
            values += count(top).filter(|n| values + n <= MOST_VALUES).ok_or("its pickle repeats itself")?;
        }
    }
}

/// How many values `object` is made of; none where there are too many, or they lie too deep.
fn count(object: &Object) -> Option<usize> {
    let (mut count, mut open) = (0, vec![(object, 0)]);
    while let Some((object, depth)) = open.pop() {
        count += 1;
        if depth > DEEPEST || count > MOST_VALUES {
            return None;
        }
        let depth = depth + 1;
        match object {
            Object::Tuple(items) | Object::List(items) => open.extend(items.iter().map(|item| (item, depth))),
            Object::Dict(items) => open.extend(items.iter().flat_map(|(k, v)| [(k, depth), (v, depth)])),
            Object::Reduce { callable, args } | Object::Build { callable, args } => {
                open.extend([(&**callable, depth), (&**args, depth)]);
            }
            Object::PersistentLoad(id) => open.push((id, depth)),
            _ => {}
        }
    }
    Some(count)
}

/// The tensor that `value` is: the call that would make it in Python, which isn't called here.
fn stored(value: &Object) -> Result<Stored, String> {
    let Object::Reduce { callable, args } = value else {
        return Err("is no tensor".into());
    };
    let (Object::Class { module_name, class_name }, Object::Tuple(args)) = (&**callable, &**args) else {
        return Err("is no tensor".into());
    };
    match (module_name.as_str(), class_name.as_str(), &args[..]) {
        ("torch._utils", "_rebuild_parameter", [tensor, ..]) => stored(tensor),
        (
            "torch._utils",
            "_rebuild_tensor_v2",
            [Object::PersistentLoad(id), offset, Object::Tuple(shape), Object::Tuple(stride), ..],
        ) => {
            let Object::Tuple(id) = &**id else { return Err("its place is unclear".into()) };
            let [_, Object::Class { class_name, .. }, Object::Unicode(storage), ..] = &id[..] else {
                return Err("its place is unclear".into());
            };
            let numbers = |list: &[Object]| list.iter().map(number).collect::<Option<Vec<_>>>();
            let sizes = (number(offset), numbers(shape), numbers(stride));
            let (Some(offset), Some(shape), Some(stride)) = sizes else {
                return Err("its shape is no shape".into());
            };
            if shape.len() != stride.len() {
                return Err("its shape is no shape".into());
            }
            Ok(Stored { dtype: dtype(class_name)?, shape, stride, offset, storage: storage.clone() })
        }
        (module, class, _) => Err(format!("is made by {module}.{class}, which is no plain tensor")),
    }
}

fn number(value: &Object) -> Option<usize> {
    match value {
        Object::Int(number) => usize::try_from(*number).ok(),
        Object::Long(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

fn dtype(storage: &str) -> Result<(&'static str, usize), String> {
    Ok(match storage {
        "FloatStorage" => ("F32", 4),
        "DoubleStorage" => ("F64", 8),
        "HalfStorage" => ("F16", 2),
        "BFloat16Storage" => ("BF16", 2),
        "LongStorage" => ("I64", 8),
        "IntStorage" => ("I32", 4),
        "ShortStorage" => ("I16", 2),
        "CharStorage" => ("I8", 1),
        "ByteStorage" => ("U8", 1),
        "BoolStorage" => ("BOOL", 1),
        other => return Err(format!("its numbers are of the kind {other}, which isn't read")),
    })
}

impl Stored {
    /// Numbers of the tensor, and numbers of the storage from its first to its last; none where that is beyond counting.
    fn extent(&self) -> Option<(usize, usize)> {
        let numbers = self.shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size))?;
        let steps = self.shape.iter().zip(&self.stride);
        let last = steps.map(|(size, stride)| size.saturating_sub(1).checked_mul(*stride));
        let span = last.into_iter().try_fold(1usize, |sum, step| sum.checked_add(step?))?;
        Some((numbers, if numbers == 0 { 0 } else { span }))
    }

    /// Its bytes, in order of its axes, of the `span` bytes of the storage that it lies in.
    fn gather(&self, span: Vec<u8>) -> Vec<u8> {
        let (mut contiguous, mut next) = (true, 1);
        for (size, stride) in self.shape.iter().zip(&self.stride).rev() {
            contiguous &= *size == 1 || *stride == next;
            next *= size;
        }
        if contiguous || span.is_empty() {
            return span;
        }
        let width = self.dtype.1;
        let mut bytes = Vec::with_capacity(next * width);
        let mut at = vec![0; self.shape.len()];
        for _ in 0..next {
            let start: usize = at.iter().zip(&self.stride).map(|(i, stride)| i * stride * width).sum();
            bytes.extend_from_slice(&span[start..start + width]);
            for (i, size) in at.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        bytes
    }
}

/// Where in the file of `length` bytes each tensor's span begins; by then it is known to be there.
fn starts(
    zip: &mut ZipArchive<BufReader<File>>,
    root: &str,
    tensors: &BTreeMap<String, Stored>,
    length: u64,
) -> Result<BTreeMap<String, u64>, String> {
    let mut starts = BTreeMap::new();
    let mut total = 0usize;
    for (name, stored) in tensors {
        let entry = format!("{root}data/{}", stored.storage);
        let file = zip.by_name(&entry).map_err(|e| format!("{name}: {entry}: {e}"))?;
        if file.compression() != CompressionMethod::Stored {
            return Err(format!("{name}: {entry} is packed, which PyTorch doesn't do"));
        }
        let width = stored.dtype.1;
        let fits = stored.extent().and_then(|(numbers, span)| {
            let end = stored.offset.checked_add(span)?.checked_mul(width)?;
            // Repeated numbers would let a small file fill any disk.
            let fits = end as u64 <= file.size() && numbers.checked_mul(width)? as u64 <= file.size();
            fits.then_some(numbers * width)
        });
        let bytes =
            fits.ok_or_else(|| format!("{name}: its shape goes beyond the numbers that were saved"))?;
        total = total.saturating_add(bytes);
        starts.insert(name.clone(), file.data_start() + (stored.offset * width) as u64);
    }
    // Tensors may share numbers, but not all with all.
    match total as u64 > length.saturating_mul(4) {
        true => Err("its tensors are many times as large as the file".into()),
        false => Ok(starts),
    }
}

/// Safetensors: the length of the head, the head, the numbers; wide ones first, so that each lies at a multiple of its
/// width.
fn write(
    mut file: BufReader<File>,
    tensors: &BTreeMap<String, Stored>,
    starts: &BTreeMap<String, u64>,
    output: &Path,
) -> Result<(), String> {
    let mut order: Vec<(&String, &Stored)> = tensors.iter().collect();
    order.sort_by_key(|(_, stored)| std::cmp::Reverse(stored.dtype.1));
    let mut head = Map::new();
    // Transformers reads no file without this.
    head.insert("__metadata__".into(), json!({ "format": "pt" }));
    let mut end = 0;
    for (name, stored) in &order {
        let begin = end;
        end += stored.shape.iter().product::<usize>() * stored.dtype.1;
        let entry = json!({ "dtype": stored.dtype.0, "shape": stored.shape, "data_offsets": [begin, end] });
        head.insert((*name).clone(), entry);
    }
    let mut head = serde_json::Value::from(head).to_string().into_bytes();
    head.resize(head.len().next_multiple_of(8), b' ');
    let mut out = AtomicFile::create(output).map_err(|e| e.to_string())?;
    let mut put =
        |bytes: &[u8]| out.write_all(bytes).map_err(|e| format!("{}: {}", output.display(), plain(&e)));
    put(&(head.len() as u64).to_le_bytes())?;
    put(&head)?;
    for (name, stored) in order {
        let (_, span) = stored.extent().unwrap_or_default();
        let mut bytes = vec![0; span * stored.dtype.1];
        let start = starts.get(name).copied().unwrap_or_default();
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|e| format!("{name}: {}", plain(&e)))?;
        put(&stored.gather(bytes))?;
    }
    out.commit().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_made_to_do_harm_are_refused() {
        let head = [0x80, 2];
        // Tuples in tuples, as deep as the longest pickle can.
        let deep = [&head[..], b"N", &vec![0x85; LONGEST as usize - 4], b"."].concat();
        assert!(tensors(&deep).unwrap_err().contains("no table"));
        // A tuple of twice the one before it, and so on: 2^60 values.
        let double = |i: u8| [b'q', i, b'h', i, 0x86];
        let bomb = [&head[..], b")", &(0..60).flat_map(double).collect::<Vec<_>>(), b"."].concat();
        assert_eq!(tensors(&bomb).unwrap_err(), "its pickle repeats itself");
        for damaged in [&b""[..], b".", b"\x80\x02", b"h\x07.", b"u.", b"\x80\x02}X\xff\xff\xff\x7fx"] {
            assert!(tensors(damaged).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn numbers_that_lie_apart_are_gathered() {
        let turned = |shape: [usize; 3], stride: [usize; 3]| Stored {
            dtype: ("U8", 1),
            shape: shape.into(),
            stride: stride.into(),
            offset: 0,
            storage: String::new(),
        };
        let stored = turned([2, 2, 2], [1, 4, 2]);
        assert_eq!(stored.extent(), Some((8, 8)));
        assert_eq!(stored.gather((0..8).collect()), [0, 2, 4, 6, 1, 3, 5, 7]);
        let plain = turned([2, 1, 3], [3, 9, 1]);
        assert_eq!(plain.gather((0..6).collect()), [0, 1, 2, 3, 4, 5]);
        assert_eq!(turned([usize::MAX, 2, 2], [1, 1, 1]).extent(), None);
        assert_eq!(turned([0, 2, 2], [4, 2, 1]).extent(), Some((0, 0)));
    }
}
