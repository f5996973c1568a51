//! What is sent: bytes, with places for numbers in them. Every message of a template has the same size.

use std::ops::Range;

use crate::failure::Failure;
use crate::framing::unescaped;

/// What is sent unless something else is asked for, filled up to [`DEFAULT_BYTES`].
const DEFAULT_TEXT: &str = "trunkline {conn} {seq} ";
const DEFAULT_BYTES: usize = 64;
const SEQUENCE_DIGITS: usize = 10;
const CONNECTION_DIGITS: usize = 6;
const DIGITS_MAX: usize = 19;
/// Larger ones would be measured as the machine's memory, not as the server.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A message with places for numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    at: Range<usize>,
    kind: Kind,
    /// Numbers begin again from 0 here.
    modulus: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sequence,
    Connection,
}

impl Template {
    /// What `--message` and `--size` say.
    pub(crate) fn typed(message: Option<&str>, size: Option<usize>) -> Result<Self, Failure> {
        let mut template = match message {
            None => Self::with_places(DEFAULT_TEXT.as_bytes())?,
            Some(message) => match (message.strip_prefix("hex:"), message.strip_prefix('@')) {
                (Some(digits), _) => Self::plain(from_hexadecimal(digits)?),
                (_, Some(path)) => Self::plain(from_file(path)?),
                _ => Self::with_places(&unescaped(message).map_err(|why| wrong(message, &why))?)?,
            },
        };
        let size = size.or(message.is_none().then_some(DEFAULT_BYTES));
        if let Some(size) = size {
            template.fill_up(size)?;
        }
        if template.bytes.is_empty() {
            let failure = Failure::usage("bad message: it is empty");
            return Err(failure.with_hint("--message takes text, hex:0a0b or @file"));
        }
        if template.bytes.len() > MESSAGE_BYTES_MAX {
            let failure = Failure::usage("bad message: it is longer than 64MiB");
            return Err(failure.with_hint("send several smaller ones"));
        }
        Ok(template)
    }

    fn plain(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            places: Vec::new(),
        }
    }

    /// Finds `{seq}`, `{conn}` and their widths. Other braces stand for themselves: messages may be JSON.
    fn with_places(text: &[u8]) -> Result<Self, Failure> {
        let mut template = Self::plain(Vec::new());
        let mut rest = text;
        while let Some(begin) = rest.iter().position(|&byte| byte == b'{') {
            template.bytes.extend_from_slice(&rest[..begin]);
            rest = &rest[begin..];
            let end = rest.iter().position(|&byte| byte == b'}');
            let inside = end.and_then(|end| std::str::from_utf8(&rest[1..end]).ok());
            if let (Some((kind, width)), Some(end)) = (inside.and_then(kind_and_width), end) {
                template.add_place(kind, width?);
                rest = &rest[end + 1..];
            } else {
                template.bytes.push(b'{');
                rest = &rest[1..];
            }
        }
        template.bytes.extend_from_slice(rest);
        Ok(template)
    }

    fn add_place(&mut self, kind: Kind, width: usize) {
        let begin = self.bytes.len();
        self.bytes.resize(begin + width, b'0');
        self.places.push(Place {
            at: begin..begin + width,
            kind,
            modulus: 10_u64.pow(width as u32),
        });
    }

    fn fill_up(&mut self, size: usize) -> Result<(), Failure> {
        let bytes = self.bytes.len();
        if bytes > size {
            let failure = Failure::usage(format!(
                "the message has {bytes} bytes, more than --size {size}"
            ));
            return Err(failure.with_hint(format!("--size {bytes} is the smallest that fits")));
        }
        self.bytes.resize(size, b'.');
        Ok(())
    }

    /// The size of every message.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether messages tell their numbers.
    pub(crate) fn has_sequence(&self) -> bool {
        self.places.iter().any(|place| place.kind == Kind::Sequence)
    }

    /// The message with these numbers.
    #[inline]
    pub(crate) fn message(&mut self, connection: u64, sequence: u64) -> &[u8] {
        for place in &self.places {
            let number = match place.kind {
                Kind::Sequence => sequence,
                Kind::Connection => connection,
            };
            write_digits(&mut self.bytes[place.at.clone()], number % place.modulus);
        }
        &self.bytes
    }

    /// The number of a message that is one of this connection's, near `around`. `None` for what is none.
    pub(crate) fn sequence_of(
        &mut self,
        message: &[u8],
        connection: u64,
        around: u64,
    ) -> Option<u64> {
        if message.len() != self.bytes.len() {
            return None;
        }
        let place = self
            .places
            .iter()
            .find(|place| place.kind == Kind::Sequence)?
            .clone();
        let sequence = place.number_near(&message[place.at.clone()], around)?;
        (self.message(connection, sequence) == message).then_some(sequence)
    }

    /// The number that an answer contains, together with the text right before it: the words between the place and the
    /// one before it.
    pub(crate) fn sequence_in(
        &mut self,
        answer: &[u8],
        connection: u64,
        around: u64,
    ) -> Option<u64> {
        let index = self
            .places
            .iter()
            .position(|place| place.kind == Kind::Sequence)?;
        let place = self.places[index].clone();
        let begin = index
            .checked_sub(1)
            .map_or(0, |before| self.places[before].at.start);
        self.message(connection, 0);
        let before = &self.bytes[begin..place.at.start];
        let width = place.at.len();
        (0..(answer.len() + 1).saturating_sub(before.len() + width)).find_map(|at| {
            let digits = at + before.len();
            let fits = &answer[at..digits] == before;
            let number = || place.number_near(&answer[digits..digits + width], around);
            fits.then(number).flatten()
        })
    }
}

impl Place {
    /// The number nearest to `around` that is written like this.
    fn number_near(&self, digits: &[u8], around: u64) -> Option<u64> {
        let mut number: u64 = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
        }
        let round = around - around % self.modulus;
        let candidates = [
            round.checked_sub(self.modulus),
            Some(round),
            round.checked_add(self.modulus),
        ];
        let candidates = candidates
            .into_iter()
            .flatten()
            .filter_map(|round| round.checked_add(number));
        candidates.min_by_key(|candidate| candidate.abs_diff(around))
    }
}

/// `seq`, `conn:4`; `None` when it is neither.
fn kind_and_width(inside: &str) -> Option<(Kind, Result<usize, Failure>)> {
    let (name, width) = inside
        .split_once(':')
        .map_or((inside, None), |(name, width)| (name, Some(width)));
    let (kind, usual) = match name {
        "seq" => (Kind::Sequence, SEQUENCE_DIGITS),
        "conn" => (Kind::Connection, CONNECTION_DIGITS),
        _ => return None,
    };
    let Some(width) = width else {
        return Some((kind, Ok(usual)));
    };
    let parsed = width
        .parse()
        .ok()
        .filter(|width| (1..=DIGITS_MAX).contains(width));
    let width = parsed.ok_or_else(|| {
        let failure = Failure::usage(format!(
            "bad message: {{{inside}}} has no width from 1 to {DIGITS_MAX}"
        ));
        failure.with_hint(format!(
            "{{{name}}} takes {usual} digits, {{{name}:8}} takes eight"
        ))
    });
    Some((kind, width))
}

/// All digits, with zeros in front.
#[inline]
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn from_hexadecimal(digits: &str) -> Result<Vec<u8>, Failure> {
    let bad = |why: &str| {
        let failure = Failure::usage(format!("bad message: {why}"));
        failure.with_hint("hex: takes two hexadecimal digits for each byte, such as hex:0a0bff")
    };
    let digits: Vec<u8> = digits
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if !digits.len().is_multiple_of(2) {
        return Err(bad("hex: has an odd number of digits"));
    }
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .ok_or_else(|| bad("hex: has something else than digits"))
    };
    let pair = |pair: &[u8]| Ok((value(pair[0])? * 16 + value(pair[1])?) as u8);
    digits.chunks(2).map(pair).collect()
}

fn from_file(path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let failure = Failure::failed(format!("cannot read the message from {path}: {error}"));
        failure.with_hint("a message that begins with @ names a file; \\x40 is an @ of its own")
    })
}

fn wrong(message: &str, why: &str) -> Failure {
    let shown: String = message.chars().take(40).collect();
    Failure::usage(format!("bad message {shown:?}: {why}"))
        .with_hint("text takes \\n, \\r, \\t, \\0, \\\\ and \\x1f; hex:0a0b takes bytes, and @file what is in the file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(message: &str) -> Template {
        Template::typed(Some(message), None).unwrap()
    }

    #[test]
    fn a_message_has_its_numbers_and_always_the_same_size() {
        let mut numbered = template(r"c{conn:2} {seq:3}\n");
        assert_eq!(numbered.message(7, 42), b"c07 042\n");
        assert_eq!(numbered.message(123, 1_042), b"c23 042\n");
        assert_eq!(template("{seq}").size(), SEQUENCE_DIGITS);
        assert_eq!(template(r#"{"a": 1}"#).message(1, 1), br#"{"a": 1}"#);
        let mut filled = Template::typed(Some("{seq:1}"), Some(4)).unwrap();
        assert_eq!(filled.message(0, 5), b"5...");
        assert_eq!(Template::typed(None, None).unwrap().size(), DEFAULT_BYTES);
    }

    #[test]
    fn bytes_and_files_are_taken_as_they_are() {
        assert_eq!(template("hex:00 ff0A").message(1, 1), [0, 0xff, 10]);
        let path = std::env::temp_dir().join(format!("trunkline-template-{}", std::process::id()));
        std::fs::write(&path, r"{seq}\n").unwrap();
        let message = format!("@{}", path.display());
        assert_eq!(template(&message).message(1, 1), br"{seq}\n");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for wrong in [
            "",
            "hex:",
            "hex:0",
            "hex:0g",
            "@/no/such/file",
            r"\q",
            "{seq:0}",
            "{seq:20}",
            "{conn:x}",
        ] {
            assert!(Template::typed(Some(wrong), None).is_err(), "{wrong}");
        }
        assert!(Template::typed(Some("12345"), Some(4)).is_err());
    }

    #[test]
    fn a_message_is_known_by_its_number() {
        let mut numbered = template("m{conn:2}-{seq:3}.");
        let message = numbered.message(4, 17).to_vec();
        assert_eq!(numbered.sequence_of(&message, 4, 20), Some(17));
        assert_eq!(numbered.sequence_of(&message, 5, 20), None);
        assert_eq!(numbered.sequence_of(b"m04-017!", 4, 20), None);
        assert_eq!(numbered.sequence_of(b"m04-x17.", 4, 20), None);
        // Three digits begin again after 999.
        assert_eq!(numbered.sequence_of(&message, 4, 2_020), Some(2_017));
        assert_eq!(numbered.sequence_of(&message, 4, 1_998), Some(2_017));
    }

    #[test]
    fn a_number_is_found_inside_an_answer() {
        let mut numbered = template("m{conn:2}-{seq:3}.");
        assert_eq!(
            numbered.sequence_in(b"Got m04-017. Thanks", 4, 20),
            Some(17)
        );
        assert_eq!(numbered.sequence_in(b"Got m05-017. Thanks", 4, 20), None);
        assert_eq!(numbered.sequence_in(b"Got nothing", 4, 20), None);
        assert_eq!(numbered.sequence_in(b"", 4, 20), None);
    }
}
