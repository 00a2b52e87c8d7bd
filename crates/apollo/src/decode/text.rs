//! Bounds what a server may say: names, words and sentences that can be kept, compared and printed safely.
//! Leaves out their meaning.

use aisched_model::Str;

/// The longest name kept: what Kubernetes allows for a node, a namespace or a pod.
const MAX_NAME_BYTES: usize = 253;
/// The longest sentence kept: what an event's note may hold.
const MAX_SENTENCE_BYTES: usize = 1024;

/// A trimmed name; `None` when it is blank, longer than any name of Kubernetes, or not printable.
pub(super) fn bounded(name: &str) -> Option<Str> {
    let name = name.trim();
    let fits = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(char::is_control);
    fits.then(|| Str::from(name))
}

/// A trimmed word; `None` when it is blank or says `unknown`.
pub(super) fn word(word: &str) -> Option<&str> {
    let word = word.trim();
    (!word.is_empty() && !word.eq_ignore_ascii_case("unknown")).then_some(word)
}

/// A sentence for people: trimmed, on one line, cut to what an event's note may hold.
pub(super) fn clean(sentence: &str) -> Str {
    let sentence = sentence.trim();
    let end = sentence.floor_char_boundary(MAX_SENTENCE_BYTES);
    sentence[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into()
}
