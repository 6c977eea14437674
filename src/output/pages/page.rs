//! The frame that all pages share. Text is escaped by `maud` wherever it is put in.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Colours for light and dark, sizes for phone and desktop.
pub(crate) const STYLE: &str = include_str!("page.css");

/// A whole page. `lead` is the line below the title; `style` is CSS of this page alone.
pub(crate) fn page(title: &str, lead: Markup, style: &str, body: Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("classify ", env!("CARGO_PKG_VERSION")));
                // An empty icon keeps the browser from asking a server for one.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body {
                header { h1 { (title) } p.lead { (lead) } }
                main { (body) }
                footer { "Made by classify " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
    .into_string()
}

/// A titled part of a page; `note` says in a line how to read it.
pub(crate) fn section(title: &str, note: &str, body: Markup) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if !note.is_empty() { p.note { (note) } }
            (body)
        }
    }
}

/// A figure on its own, with what it is above and what it means below.
pub(crate) fn tile(name: &str, figure: &str, note: &str) -> Markup {
    html! {
        div.tile { span.name { (name) } strong { (figure) } span.note { (note) } }
    }
}

/// `0.9234` as `92.3 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}\u{202f}%", 100.0 * share)
}

/// `1 clip`, `1,234 clips`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A time span as people say it: `8.3 s`, `4 min 12 s`, `2 h 5 min`.
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_nothing_is_loaded() {
        let evil = "<script>alert('x')</script> & \"q\"";
        let body = section(evil, evil, html! { img alt=(evil) src="data:,"; });
        let text = page(evil, html! { (evil) }, "", body);
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("alt=\"&lt;script&gt;alert('x')&lt;/script&gt; &amp; &quot;q&quot;\""));
        assert!(!text.contains("http"), "{text}");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!((count(1, "clip"), count(1234567, "clip")), ("1 clip".into(), "1,234,567 clips".into()));
        assert_eq!(
            [0.04, 59.7, 252.0, 7500.0].map(seconds),
            ["0.0 s", "1 min 0 s", "4 min 12 s", "2 h 5 min"]
        );
    }
}
