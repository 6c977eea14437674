//! The clips that a model was most wrong about, with frames of each.

use maud::{Markup, html};

use crate::output::pages::{Filmstrip, count, how_to_look, section};

/// One of them.
pub(super) struct Wrong<'a> {
    /// The clip's path as the data names it.
    pub name: &'a str,
    /// What was answered, and what would have been right.
    pub said: Markup,
    pub filmstrip: Option<&'a Filmstrip>,
}

/// The section that shows them, the worst first; `of` says how many there are in all.
pub(super) fn worst(mistakes: &[Wrong], of: &str) -> Markup {
    let both = mistakes.iter().any(|mistake| mistake.filmstrip.is_some_and(|strip| strip.both));
    // Where there are others beside the frames that the network saw, a line above them says which is which.
    let frames = if both { "frames of each" } else { "frames that it saw" };
    let note =
        format!("The {} it was most wrong about, of {of}, with {frames}.", count(mistakes.len(), "clip"));
    let body = html! {
        @if both { (how_to_look()) }
        div.mistakes {
            @for mistake in mistakes {
                div.mistake {
                    p { (mistake.said) }
                    @if let Some(strip) = mistake.filmstrip {
                        (strip.inline(&format!("frames of {}", mistake.name)))
                    }
                    span.note.file { (mistake.name) }
                }
            }
        }
    };
    section("Worst mistakes", &note, body)
}
