//! What a readiness says, in words: the same for the suite and for the model.

use trunkline_selectors::Readiness;

/// A readiness in words, so that a failed assertion can be read.
pub(crate) fn facts_of(readiness: Readiness) -> Vec<&'static str> {
    [
        (readiness.is_readable(), "readable"),
        (readiness.is_writable(), "writable"),
        (readiness.is_priority(), "priority"),
        (readiness.is_read_closed(), "read closed"),
        (readiness.is_write_closed(), "write closed"),
        (readiness.is_error(), "error"),
        (readiness.is_invalid(), "invalid"),
    ]
    .into_iter()
    .filter_map(|(is, name)| is.then_some(name))
    .collect()
}
