//! "Did you mean": the known word nearest to one that was mistyped.

/// The candidate that takes the fewest changed letters, if those are few enough for a slip of the finger.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let slips_max = (word.chars().count() / 2).min(2);
    let distances = candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(&word, candidate), candidate));
    distances
        .min()
        .filter(|&(slips, _)| slips <= slips_max)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let services = ["echo", "ack", "greet", "discard", "rooms"];
        for (typed, meant) in [
            ("ehco", Some("echo")),
            ("ECHO", Some("echo")),
            ("room", Some("rooms")),
            ("great", Some("greet")),
            ("akc", None),
            ("http", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, services), meant, "{typed}");
        }
    }
}
