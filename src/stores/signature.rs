//! Queries of web addresses (`https://…/clip.mp4?X-Amz-Signature=…`). Whoever knows one may read the object, so that they
//! are kept apart from addresses: these stand in rows, journals and messages, and a query in nothing but requests.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::scheme::{self, is_web};
use crate::{Error, Result};

/// By their addresses.
static QUERIES: RwLock<Option<HashMap<PathBuf, String>>> = RwLock::new(None);

/// The address in `path` without its query, which this process keeps for when the object is asked for.
///
/// # Errors
/// [`Error::Usage`] where two addresses differ in their queries only: their rows couldn't be told apart; and that of
/// [`refuse_login`].
pub(crate) fn unsigned(path: &Path) -> Result<PathBuf> {
    let (address, Some(query)) = parted(path)? else { return Ok(path.to_owned()) };
    let mut queries = QUERIES.write().unwrap_or_else(PoisonError::into_inner);
    let known = queries.get_or_insert_default().insert(address.clone(), query.clone());
    match known.is_some_and(|known| known != query) {
        true => Err(Error::Usage(format!(
            "{}: stands there twice with different queries, which are taken for signatures of one and the same clip",
            address.display()
        ))),
        false => Ok(address),
    }
}

/// The address in `path`, and its query.
///
/// # Errors
/// That of [`refuse_login`].
pub(crate) fn parted(path: &Path) -> Result<(PathBuf, Option<String>)> {
    refuse_login(path)?;
    Ok(match split(path) {
        Some((address, query)) => (address.into(), Some(query.to_owned())),
        None => (path.to_owned(), None),
    })
}

/// Addresses stand in rows, journals and messages, so that none may hold a name or a password.
///
/// # Errors
/// [`Error::Usage`] names the address without them.
pub(crate) fn refuse_login(path: &Path) -> Result<()> {
    match without_login(path) {
        None => Ok(()),
        Some(_) => Err(Error::Usage(format!("{}: {LOGIN}", shown(path).display()))),
    }
}

/// What is wrong with an address that holds a name or a password.
pub(super) const LOGIN: &str =
    "the address holds a name or a password: give these by the environment, as addresses are told";

/// `path` as it may be shown: without query, name and password.
pub(crate) fn shown(path: &Path) -> Cow<'_, Path> {
    let path = split(path).map_or(path, |(address, _)| Path::new(address));
    without_login(path).map_or(Cow::Borrowed(path), Cow::Owned)
}

/// The address in `path` without the name and the password that it holds, if it does.
fn without_login(path: &Path) -> Option<PathBuf> {
    let (scheme, rest) = scheme::split(path)?;
    let host = rest.split(['/', '?']).next()?;
    let (login, _) = host.rsplit_once('@')?;
    Some(format!("{scheme}://{}", &rest[login.len() + 1..]).into())
}

/// What stands before and behind the question mark of a web address.
pub(super) fn split(path: &Path) -> Option<(&str, &str)> {
    path.to_str().filter(|_| is_web(path))?.split_once('?')
}

/// The query that belongs to the address `path`.
pub(crate) fn query(path: &Path) -> Option<String> {
    let queries = QUERIES.read().unwrap_or_else(PoisonError::into_inner);
    queries.as_ref()?.get(path).cloned()
}

/// In a worker: the query of the clip that comes next, and no other.
pub(crate) fn only(path: &Path, query: Option<String>) {
    let mut queries = QUERIES.write().unwrap_or_else(PoisonError::into_inner);
    *queries = query.map(|query| HashMap::from([(path.to_owned(), query)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_kept_apart_from_web_addresses() {
        let path = Path::new("https://a.b/one.mp4?X-Amz-Signature=1&x=?");
        let address = unsigned(path).unwrap();
        assert_eq!(address, Path::new("https://a.b/one.mp4"));
        assert_eq!(query(&address).unwrap(), "X-Amz-Signature=1&x=?");
        assert_eq!(unsigned(path).unwrap(), address);
        let error = unsigned(Path::new("https://a.b/one.mp4?SECRET")).unwrap_err().to_string();
        assert!(error.contains("https://a.b/one.mp4: ") && !error.contains("SECRET"), "{error}");
        for login in ["https://me:SECRET@a.b/c.mp4?sig=SECRET", "s3://SECRET@b/", "az://me:SEC:SECRET@b"] {
            let error = unsigned(Path::new(login)).unwrap_err().to_string();
            assert!(error.contains("a name or a password") && !error.contains("SECRET"), "{error}");
        }
        assert_eq!(shown(Path::new("https://me:x@a.b/c@d.mp4?sig=1")), Path::new("https://a.b/c@d.mp4"));
        assert_eq!(shown(Path::new("s3://b/me@home.mp4")), Path::new("s3://b/me@home.mp4"));
        // A question mark in a name.
        for path in ["s3://b/why?.mp4", "why?.mp4", "https://a.b/two.mp4"] {
            assert_eq!(unsigned(Path::new(path)).unwrap(), Path::new(path));
            assert_eq!(query(Path::new(path)), None);
        }
    }
}
