//! What is wrong with a store, in words that hold no secret.

use object_store::Error;

/// Why a request wasn't answered, and what to do.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::NotFound { .. } => "the store has no such object".into(),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            "the store refuses it: check the credentials in the environment, and what they allow".into()
        }
        Error::Precondition { .. } | Error::NotModified { .. } => CHANGED.into(),
        Error::InvalidPath { .. } => "is no address in a store".into(),
        other => {
            let text = words(other);
            match text.as_str() {
                // Of a whole answer where a part was asked for.
                "received non-partial response when range requested" => {
                    "the server gives no parts of files: download it first".into()
                }
                _ => format!("the store can't be read: {text}"),
            }
        }
    }
}

/// What became of an object that isn't what it was.
pub(super) const CHANGED: &str = "it was changed while it was read: try it again";

/// What lies at the bottom of `error`: what is above it says only that something went wrong. An address in it is cut off
/// where its query begins, which may hold a signature.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    let text = text.split(" (os error ").next().unwrap_or(&text);
    let text: Vec<&str> =
        text.split_whitespace().map(|word| word.split_once('?').map_or(word, |(before, _)| before)).collect();
    let text = text.join(" ");
    let mut letters = text.chars();
    let text: String = letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// As the system's own errors are handed on; of their kinds that alone which says that nothing is there.
pub(super) fn io(error: &Error) -> std::io::Error {
    use std::io::ErrorKind;
    let kind = if matches!(error, Error::NotFound { .. }) { ErrorKind::NotFound } else { ErrorKind::Other };
    std::io::Error::new(kind, reason(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signature_stands_in_a_message() {
        let source = "Error performing GET https://a.b/c?sig=SECRET&x=1 in 3s: Timed out".into();
        let error = Error::Generic { store: "X", source };
        let text = reason(&error);
        assert!(!text.contains("SECRET") && text.contains("https://a.b/c in 3s"), "{text}");
    }
}
