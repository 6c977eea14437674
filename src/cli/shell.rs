//! The command as it was typed, for model cards and reports.

use std::ffi::OsString;
use std::sync::OnceLock;

static TYPED: OnceLock<Vec<OsString>> = OnceLock::new();

/// Keeps the command of this process, the program's name first. The first one counts: there is only one.
pub(super) fn keep(arguments: impl IntoIterator<Item = OsString>) -> &'static [OsString] {
    TYPED.get_or_init(|| arguments.into_iter().collect())
}

/// The command of this process, the program's name first.
pub(super) fn typed() -> Vec<OsString> {
    TYPED.get().cloned().unwrap_or_default()
}

/// `arguments`, the program's name first, in a form that a shell reads back as they are.
pub(super) fn line(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut words: Vec<String> = arguments.into_iter().map(|word| quoted(&word.to_string_lossy())).collect();
    if let Some(program) = words.first_mut() {
        *program = "classify".into();
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_with_blanks_and_quotes_are_quoted() {
        assert_eq!(quoted("a/b-1.csv"), "a/b-1.csv");
        assert_eq!(quoted("my clips"), "'my clips'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
