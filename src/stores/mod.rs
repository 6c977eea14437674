//! Object stores and addresses: `s3://bucket/clip.mp4`, `gs://…`, `az://…`, `https://…`.
//!
//! An address is a path that begins with a scheme. Whoever has a path asks [`open`] for its bytes, and gets a file's or an
//! object's; everything else goes on as with files. Nothing goes to the network unless an address is given. Credentials
//! come from the variables that each store's own tools read, and stand in no message.
//!
//! Without the feature `stores` there are no addresses, and [`open`] opens files.

#[cfg(feature = "stores")]
mod address;
#[cfg(feature = "stores")]
mod asking;
#[cfg(feature = "stores")]
mod blocks;
#[cfg(feature = "stores")]
mod failure;
#[cfg(feature = "stores")]
mod listing;
#[cfg(feature = "stores")]
mod object;
#[cfg(feature = "stores")]
mod process;
#[cfg(feature = "stores")]
mod reader;
#[cfg(feature = "stores")]
mod scheme;
#[cfg(feature = "stores")]
mod signature;
mod source;
#[cfg(feature = "stores")]
mod upload;
#[cfg(not(feature = "stores"))]
mod without;

#[cfg(feature = "stores")]
pub(crate) use listing::list;
#[cfg(feature = "stores")]
pub(crate) use object::{Object, version};
#[cfg(feature = "stores")]
pub(crate) use reader::Reader;
#[cfg(feature = "stores")]
pub(crate) use scheme::{is_address, is_web};
#[cfg(feature = "stores")]
pub(crate) use signature::{only, parted, query, refuse_login, shown, unsigned};
pub(crate) use source::{Source, open};
#[cfg(feature = "stores")]
pub(crate) use upload::upload;

/// What tells whether an object is still the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// Bytes.
    pub size: u64,
    /// Nanoseconds from 1970 to the last change.
    pub mtime_ns: i64,
    /// The store's own mark of the content.
    pub etag: Option<String>,
}

#[cfg(not(feature = "stores"))]
pub(crate) use without::{
    is_address, is_web, list, only, parted, query, refuse_login, shown, unsigned, upload, version,
};
