//! Reads pickled weights without running what a pickle may ask for.
//!
//! A pickle is a program for a stack machine that can call any Python function. This reader
//! builds plain values only, knows just the instructions that weights' files use, refuses every
//! function that its caller did not name, and never calls one: a call stays an [`Object`] that
//! the caller looks into. The instructions are described in Python's `pickletools` module.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// Why a pickle was not read.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// A value that a pickle built.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(Rc<str>),
    Bytes(Rc<[u8]>),
    Tuple(Rc<[Value]>),
    List(Rc<RefCell<Vec<Value>>>),
    Dict(Rc<RefCell<Pairs>>),
    /// `module.name` of a function or class.
    Global(Rc<str>),
    /// A call that was not made.
    Object(Rc<Object>),
    /// A reference to data outside the pickle.
    Persistent(Rc<Value>),
}

/// A dictionary's entries in the order they were set.
pub(crate) type Pairs = Vec<(Value, Value)>;

/// `callable(*args)`, then given `state`.
#[derive(Debug)]
pub(crate) struct Object {
    pub callable: Rc<str>,
    pub args: Rc<[Value]>,
    pub state: RefCell<Value>,
}

impl Value {
    pub(crate) fn int(&self) -> Result<usize> {
        match self {
            Self::Int(i) => usize::try_from(*i).map_err(|_| format!("{i} where a size should be")),
            other => Err(format!("{other:?} where a number should be")),
        }
    }

    pub(crate) fn text(&self) -> Result<&str> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(format!("{other:?} where text should be")),
        }
    }

    pub(crate) fn tuple(&self) -> Result<&[Value]> {
        match self {
            Self::Tuple(items) => Ok(items),
            other => Err(format!("{other:?} where a tuple should be")),
        }
    }

    pub(crate) fn list(&self) -> Result<Vec<Value>> {
        match self {
            Self::List(items) => Ok(items.borrow().clone()),
            other => Err(format!("{other:?} where a list should be")),
        }
    }

    pub(crate) fn dict(&self) -> Result<Pairs> {
        match self {
            Self::Dict(pairs) => Ok(pairs.borrow().clone()),
            other => Err(format!("{other:?} where a dictionary should be")),
        }
    }

    /// The object that `callable` would have made.
    pub(crate) fn object(&self, callable: &str) -> Result<&Object> {
        match self {
            Self::Object(object) if &*object.callable == callable => Ok(object),
            other => Err(format!("{other:?} where a {callable} should be")),
        }
    }

    /// A tuple of sizes.
    pub(crate) fn sizes(&self) -> Result<Vec<usize>> {
        self.tuple()?.iter().map(Self::int).collect()
    }
}

/// Reads one pickle from the start of `data`; returns its value and its length in bytes.
///
/// # Errors
/// On an instruction that weights' files do not need, on a function that is not in `allowed`
/// (written `module.name`), and where `data` ends early.
pub(crate) fn read(data: &[u8], allowed: &[&str]) -> Result<(Value, usize)> {
    let mut machine =
        Machine { data, at: 0, allowed, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    let value = machine.run().map_err(|reason| format!("{reason} (at byte {})", machine.at))?;
    Ok((value, machine.at))
}

struct Machine<'a> {
    data: &'a [u8],
    at: usize,
    allowed: &'a [&'a str],
    stack: Vec<Value>,
    /// Heights of the stack at which a tuple, list or dictionary began.
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value> {
        loop {
            match self.take(1)?[0] {
                0x80 => drop(self.take(1)?), // PROTO
                0x95 => drop(self.take(8)?), // FRAME
                b'.' => return self.pop(),   // STOP
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.stack.push(Value::None),
                0x88 => self.stack.push(Value::Bool(true)),
                0x89 => self.stack.push(Value::Bool(false)),
                b'K' => self.integer(1)?, // BININT1
                b'M' => self.integer(2)?, // BININT2
                b'J' => {
                    let bits = self.number(4)? as u32;
                    self.stack.push(Value::Int(i64::from(bits as i32)));
                }
                0x8a => {
                    // LONG1: kept as bytes; only magic numbers are that long.
                    let bytes = self.sized(1)?;
                    self.stack.push(Value::Bytes(bytes.into()));
                }
                0x8c => self.text(1)?,       // SHORT_BINUNICODE
                b'X' => self.text(4)?,       // BINUNICODE
                b'C' => self.bytes(1)?,      // SHORT_BINBYTES
                b'B' => self.bytes(4)?,      // BINBYTES
                0x8e => self.bytes(8)?,      // BINBYTES8
                b')' => self.push_tuple(0)?, // EMPTY_TUPLE
                0x85..=0x87 => self.push_tuple(usize::from(self.data[self.at - 1] - 0x84))?,
                b't' => {
                    let items = self.since_mark()?;
                    self.stack.push(Value::Tuple(items.into()));
                }
                b']' => self.stack.push(Value::List(Rc::default())),
                b'e' => {
                    // APPENDS
                    let items = self.since_mark()?;
                    match self.stack.last() {
                        Some(Value::List(list)) => list.borrow_mut().extend(items),
                        _ => return Err("items for something that is no list".into()),
                    }
                }
                b'}' => self.stack.push(Value::Dict(Rc::default())),
                b's' => {
                    // SETITEM
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set(vec![key, value])?;
                }
                b'u' => {
                    // SETITEMS
                    let items = self.since_mark()?;
                    self.set(items)?;
                }
                b'c' => {
                    // GLOBAL
                    let module = self.line()?;
                    let name = self.line()?;
                    self.global(&module, &name)?;
                }
                0x93 => {
                    // STACK_GLOBAL
                    let name = self.pop()?;
                    let module = self.pop()?;
                    self.global(module.text()?, name.text()?)?;
                }
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                b'Q' => {
                    let id = self.pop()?;
                    self.stack.push(Value::Persistent(Rc::new(id)));
                }
                0x94 => self.remember(self.memo.len())?, // MEMOIZE
                b'q' => {
                    let slot = self.number(1)?;
                    self.remember(slot)?;
                }
                b'r' => {
                    let slot = self.number(4)?;
                    self.remember(slot)?;
                }
                b'h' => {
                    let slot = self.number(1)?;
                    self.recall(slot)?;
                }
                b'j' => {
                    let slot = self.number(4)?;
                    self.recall(slot)?;
                }
                other => return Err(format!("refused instruction 0x{other:02x}")),
            }
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.data.len());
        let end = end.ok_or("the file ends early")?;
        let bytes = &self.data[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    /// An unsigned little-endian number of `width` bytes.
    fn number(&mut self, width: usize) -> Result<usize> {
        Ok(self.take(width)?.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte)))
    }

    fn sized(&mut self, width: usize) -> Result<&'a [u8]> {
        let len = self.number(width)?;
        self.take(len)
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.data[self.at..];
        let len = rest.iter().position(|b| *b == b'\n').ok_or("the file ends early")?;
        let line = String::from_utf8(rest[..len].to_vec()).map_err(|_| "a name is not UTF-8")?;
        self.at += len + 1;
        Ok(line)
    }

    fn pop(&mut self) -> Result<Value> {
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn integer(&mut self, width: usize) -> Result<()> {
        let value = self.number(width)? as i64;
        self.stack.push(Value::Int(value));
        Ok(())
    }

    fn text(&mut self, width: usize) -> Result<()> {
        let text = String::from_utf8(self.sized(width)?.to_vec()).map_err(|_| "text is not UTF-8")?;
        self.stack.push(Value::Text(text.into()));
        Ok(())
    }

    fn bytes(&mut self, width: usize) -> Result<()> {
        let bytes = self.sized(width)?.into();
        self.stack.push(Value::Bytes(bytes));
        Ok(())
    }

    fn since_mark(&mut self) -> Result<Vec<Value>> {
        let height = self.marks.pop().filter(|height| *height <= self.stack.len());
        Ok(self.stack.split_off(height.ok_or("a mark is missing")?))
    }

    fn push_tuple(&mut self, len: usize) -> Result<()> {
        let start = self.stack.len().checked_sub(len).ok_or("the stack is empty")?;
        let items = self.stack.split_off(start);
        self.stack.push(Value::Tuple(items.into()));
        Ok(())
    }

    fn set(&mut self, items: Vec<Value>) -> Result<()> {
        let Some(Value::Dict(dict)) = self.stack.last() else {
            return Err("entries for something that is no dictionary".into());
        };
        let pairs = items.chunks_exact(2);
        dict.borrow_mut().extend(pairs.map(|pair| (pair[0].clone(), pair[1].clone())));
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let path = format!("{module}.{name}");
        if !self.allowed.contains(&path.as_str()) {
            return Err(format!("refused {path}: weights do not need it"));
        }
        self.stack.push(Value::Global(path.into()));
        Ok(())
    }

    fn reduce(&mut self) -> Result<()> {
        let args = self.pop()?;
        let Value::Global(callable) = self.pop()? else {
            return Err("a call of something that is no function".into());
        };
        let args: Rc<[Value]> = args.tuple()?.into();
        // An ordered dictionary is a dictionary here: entries keep their order.
        self.stack.push(match &*callable {
            "collections.OrderedDict" if args.is_empty() => Value::Dict(Rc::default()),
            _ => Value::Object(Rc::new(Object { callable, args, state: RefCell::new(Value::None) })),
        });
        Ok(())
    }

    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        match self.stack.last() {
            Some(Value::Object(object)) => drop(object.state.replace(state)),
            // Attributes of an ordered dictionary (PyTorch's format version): not needed.
            Some(Value::Dict(_)) => {}
            _ => return Err("a state for something that is no object".into()),
        }
        Ok(())
    }

    fn remember(&mut self, slot: usize) -> Result<()> {
        let value = self.stack.last().ok_or("the stack is empty")?.clone();
        self.memo.insert(slot, value);
        Ok(())
    }

    fn recall(&mut self, slot: usize) -> Result<()> {
        let value = self.memo.get(&slot).ok_or("a remembered value is missing")?.clone();
        self.stack.push(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_nested_values() {
        // {"a": (1, -2), "b": [b"xy"]}; the list is filled after it was remembered.
        let data = b"\x80\x04}\x94(\x8c\x01aK\x01J\xfe\xff\xff\xff\x86\x8c\x01b]\x94(C\x02xyeu.";
        let (value, len) = read(data, &[]).unwrap();
        assert_eq!(len, data.len());
        let dict = value.dict().unwrap();
        assert_eq!(dict[1].0.text(), Ok("b"));
        assert!(matches!(dict[0].1.tuple().unwrap(), [Value::Int(1), Value::Int(-2)]));
        assert!(matches!(&dict[1].1.list().unwrap()[..], [Value::Bytes(b)] if **b == *b"xy"));
    }

    #[test]
    fn refuses_functions_and_never_calls_one() {
        // os.system("true")
        let data = b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.";
        assert!(read(data, &[]).unwrap_err().contains("refused os.system"));
        let (value, _) = read(data, &["os.system"]).unwrap();
        assert_eq!(value.object("os.system").unwrap().args[0].text(), Ok("true"));
    }

    #[test]
    fn every_cut_is_an_error() {
        let data = b"\x80\x02}q\0(X\x01\0\0\0aK\x01u.";
        assert!(read(data, &[]).is_ok());
        for len in 0..data.len() {
            assert!(read(&data[..len], &[]).is_err(), "{len} bytes");
        }
    }
}
