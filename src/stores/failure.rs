//! What is wrong with a store, in words that hold no secret.

use object_store::Error;

use crate::error::root_cause;

/// Why a request wasn't answered, and what to do.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::NotFound { .. } => "the store has no such object".into(),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            "the store refuses it: check the credentials in the environment, or the address's signature"
                .into()
        }
        Error::Precondition { .. } | Error::NotModified { .. } => CHANGED.into(),
        Error::NotSupported { .. } => NO_PARTS.into(),
        Error::InvalidPath { .. } => "is no address in a store".into(),
        other => {
            let text = words(other);
            match text.as_str() {
                // Of a whole answer where a part was asked for.
                "received non-partial response when range requested" => NO_PARTS.into(),
                _ => format!("the store can't be read: {text}"),
            }
        }
    }
}

/// What a store is of no use without.
const NO_PARTS: &str = "the server gives no parts of files: download it first";

/// What became of an object that isn't what it was.
pub(super) const CHANGED: &str = "it was changed while it was read: try it again";

/// The [`root_cause`] of `error`, without an address's query, which may hold a signature.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let text = root_cause(error).to_string();
    let text = text.split(" (os error ").next().unwrap_or(&text);
    // Of a store's own page its code alone: the rest may repeat what it was sent, a token for one.
    let text = match text.split_once('<') {
        Some((before, page)) => {
            let code = page.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
            &format!("{} {}", before.trim_end(), code.map_or("", |(code, _)| code))
        }
        None => text,
    };
    let text: Vec<&str> =
        text.split_whitespace().map(|word| word.split_once('?').map_or(word, |(before, _)| before)).collect();
    let text = text.join(" ");
    let text = text.trim_end_matches([':', ' ']);
    let mut letters = text.chars();
    let text: String = match letters.next() {
        // A word, not letters that stand for some.
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.into(),
    };
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The same of what was to be written.
pub(super) fn unwritten(error: &Error) -> std::io::Error {
    std::io::Error::other(reason(error).replace("can't be read", "can't be written to"))
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
    fn of_a_page_its_code_is_told() {
        let page = |page: &str| {
            let source = format!("Client error with status 400 Bad Request: {page}").into();
            reason(&Error::Generic { store: "X", source })
        };
        let text =
            page("<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code><Token-0>SECRET</Token-0></Error>");
        assert_eq!(text, "the store can't be read: client error with status 400 Bad Request: ExpiredToken");
        let text = page("<html>SECRET</html>");
        assert_eq!(text, "the store can't be read: client error with status 400 Bad Request");
        let source = "URL scheme is not allowed".into();
        assert!(reason(&Error::Generic { store: "X", source }).ends_with(": URL scheme is not allowed"));
    }

    #[test]
    fn no_signature_stands_in_a_message() {
        let source = "Error performing GET https://a.b/c?sig=SECRET&x=1 in 3s: Timed out".into();
        let error = Error::Generic { store: "X", source };
        let text = reason(&error);
        assert!(!text.contains("SECRET") && text.contains("https://a.b/c in 3s"), "{text}");
    }
}
