//! Two texts, line by line.

use std::fmt::Write;

/// How many equal lines are shown around what differs.
const CONTEXT: usize = 3;

/// What has to be taken out (`-`) and put in (`+`) to make the new text from the old one, with some lines around.
pub(crate) fn between(old: &str, new: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let steps = steps(&old, &new);
    let differs: Vec<usize> = (0..steps.len())
        .filter(|place| steps[*place].0 != ' ')
        .collect();
    let mut text = String::new();
    let mut skipped = false;
    for (place, (sign, line)) in steps.iter().enumerate() {
        if differs.iter().any(|near| near.abs_diff(place) <= CONTEXT) {
            writeln!(text, "{sign} {line}").expect("strings take everything");
            skipped = false;
        } else if !skipped {
            writeln!(text, "  …").expect("strings take everything");
            skipped = true;
        }
    }
    text
}

/// The shortest way from one to the other, by the table of longest common rests.
fn steps<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for from in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            common[from][to] = if old[from] == new[to] {
                common[from + 1][to + 1] + 1
            } else {
                common[from + 1][to].max(common[from][to + 1])
            };
        }
    }
    let (mut from, mut to) = (0, 0);
    let mut steps = Vec::new();
    while from < old.len() || to < new.len() {
        if from < old.len() && to < new.len() && old[from] == new[to] {
            steps.push((' ', old[from]));
            from += 1;
            to += 1;
        } else if from < old.len()
            && (to == new.len() || common[from + 1][to] >= common[from][to + 1])
        {
            steps.push(('-', old[from]));
            from += 1;
        } else {
            steps.push(('+', new[to]));
            to += 1;
        }
    }
    steps
}

#[test]
fn a_difference_is_shown_with_its_surroundings() {
    let old = "1\n2\n3\n4\n5\n6\n7\n8\n9";
    let new = "1\n2\n3\n4\n5\nsix\n7\n8\n9";
    assert_eq!(
        between(old, new),
        "  …\n  3\n  4\n  5\n- 6\n+ six\n  7\n  8\n  9\n"
    );
    assert_eq!(between("", "a"), "+ a\n");
}
