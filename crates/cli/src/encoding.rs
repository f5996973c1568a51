//! `--encoding` and `--errors`: what the bytes on the wire mean, and what to do with those that mean nothing.

use trunkline::Text;
use trunkline::text::{DecodePolicy, EncodePolicy, Encoding, UnknownName};

use crate::failure::Failure;
use crate::framing::Framing;

/// The edge where bytes become text and text becomes bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) encoding: Encoding,
    pub(crate) decode_policy: DecodePolicy,
    pub(crate) encode_policy: EncodePolicy,
}

impl Edge {
    /// What `--encoding` and `--errors` say; UTF-8, and strict, unless they do.
    pub(crate) fn named(encoding: Option<&str>, errors: Option<&str>) -> Result<Self, Failure> {
        let encoding = encoding.map_or(Ok(Encoding::Utf8), Encoding::from_name);
        let encoding = encoding.map_err(|unknown| not_known("encoding", &unknown, || {
            "names are like UTF-8, UTF-16, ASCII, ISO-8859-1, windows-1252, Shift_JIS, GB18030, IBM037".to_owned()
        }))?;
        let encode_policy = errors.map_or(Ok(EncodePolicy::Strict), str::parse);
        let encode_policy: EncodePolicy = encode_policy.map_err(|unknown| {
            not_known("policy", &unknown, || {
                let names: Vec<_> = EncodePolicy::all().map(EncodePolicy::name).collect();
                format!("the policies are {}", names.join(", "))
            })
        })?;
        Ok(Self {
            encoding,
            // A reference to a character is for what cannot be written; there is none for what cannot be read.
            decode_policy: encode_policy.name().parse().unwrap_or_default(),
            encode_policy,
        })
    }

    /// The codec for text in this framing.
    pub(crate) fn over(self, framing: Framing) -> Result<Text<Framing>, Failure> {
        self.check(&framing)?;
        let text = Text::new(framing, self.encoding);
        Ok(text
            .decode_policy(self.decode_policy)
            .encode_policy(self.encode_policy))
    }

    /// Marks are looked for in bytes, and in some encodings those bytes are also parts of characters.
    pub(crate) fn check(self, framing: &Framing) -> Result<(), Failure> {
        let line_feed = self.encoding.encode("\n", EncodePolicy::Strict);
        let has_lines = line_feed.is_ok_and(|bytes| *bytes == *b"\n");
        if has_lines || !framing.looks_for_marks() {
            return Ok(());
        }
        let failure = Failure::usage(format!(
            "cannot find the ends of messages in {}: the bytes of a mark may be parts of its characters",
            self.encoding
        ));
        Err(failure.with_hint("announce each length, with --frame length:u32 or --frame netstring"))
    }
}

fn not_known(what: &str, unknown: &UnknownName, all: impl FnOnce() -> String) -> Failure {
    let failure = Failure::usage(format!(
        "unknown {what} {:?}: there is none of that name",
        unknown.name()
    ));
    failure.with_hint(match unknown.nearest() {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => all(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_policy_is_for_both_ways_where_there_are_two() {
        let edge = Edge::named(Some("latin1"), Some("replace")).unwrap();
        assert_eq!(edge.encoding, Encoding::Iso8859_1);
        assert_eq!(edge.decode_policy, DecodePolicy::Replace);
        assert_eq!(edge.encode_policy, EncodePolicy::Replace);
        let edge = Edge::named(None, Some("xmlcharrefreplace")).unwrap();
        assert_eq!(edge.encoding, Encoding::Utf8);
        assert_eq!(edge.decode_policy, DecodePolicy::Strict);
    }

    #[test]
    fn marks_are_not_looked_for_where_they_cannot_be_told_apart() {
        for (encoding, finds) in [
            ("utf-8", true),
            ("Shift_JIS", true),
            ("utf-16", false),
            ("cp037", false),
        ] {
            let edge = Edge::named(Some(encoding), None).unwrap();
            for (framing, marks) in [
                ("lines", true),
                ("eom:||", true),
                ("length:u8", false),
                ("cobs", false),
            ] {
                let framing = Framing::named(framing, 100).unwrap();
                assert_eq!(edge.check(&framing).is_ok(), finds || !marks, "{encoding}");
            }
        }
    }
}
