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
        .map(|candidate| (distance(&word, candidate), candidate));
    distances
        .min()
        .filter(|&(slips, _)| slips <= slips_max)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out or replaced.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, left) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, right) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[row.len() - 1]
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
