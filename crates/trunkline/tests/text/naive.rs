//! Decoding as one would write it down, from a whole buffer and with no thought of speed: what the decoders are
//! compared with. The fuzz target `text` runs [`compare`] too.

use trunkline::text::{DecodePolicy, Encoding, TextError};

/// One step of reading: a character, or so many malformed bytes.
enum Step {
    Text(String, usize),
    Malformed(usize),
}

/// The bytes are a choice of encoding and policy, how to cut, and a stream: however it is cut, decoding it
/// must give what the naive decoder makes of the whole.
pub(crate) fn compare(choices_and_stream: &[u8]) {
    let [encoding, policy, cut, stream @ ..] = choices_and_stream else {
        return;
    };
    let encodings = Encoding::all();
    let encoding = encodings
        .clone()
        .nth(usize::from(*encoding) % encodings.len());
    let policy = DecodePolicy::all().nth(usize::from(*policy) % 4);
    let (encoding, policy) = (encoding.expect("in range"), policy.expect("in range"));

    let expected = decode(encoding, policy, stream);
    let mut decoder = encoding.decoder(policy);
    let mut text = String::new();
    let mut failed = None;
    for piece in stream.chunks(usize::from(*cut).max(1)) {
        failed = decoder.decode(piece, &mut text, false).err();
        if failed.is_some() {
            break;
        }
    }
    let failed = failed.or_else(|| decoder.decode(b"", &mut text, true).err());
    let place = |error: TextError| (error.offset() as usize, error.bytes().to_vec());
    assert_eq!(
        (text, failed.map(place)),
        expected,
        "{encoding}, {policy}, in pieces of {cut}: {stream:02x?}"
    );
}

/// The text, and the malformed bytes that ended it with their offset.
type Decoded = (String, Option<(usize, Vec<u8>)>);

fn decode(encoding: Encoding, policy: DecodePolicy, stream: &[u8]) -> Decoded {
    let (encoding, mut offset) = without_mark(encoding, stream);
    let mut text = String::new();
    while offset < stream.len() {
        let rest = &stream[offset..];
        let count = match step(encoding, rest) {
            Step::Text(read, count) => {
                text.push_str(&read);
                count
            }
            Step::Malformed(count) => {
                let malformed = &rest[..count];
                match policy {
                    DecodePolicy::Strict => return (text, Some((offset, malformed.to_vec()))),
                    DecodePolicy::Replace => text.push('\u{fffd}'),
                    DecodePolicy::Ignore => {}
                    DecodePolicy::BackslashReplace => {
                        text.extend(malformed.iter().map(|byte| format!("\\x{byte:02x}")));
                    }
                }
                count
            }
        };
        offset += count;
    }
    (text, None)
}

/// The encoding behind the mark of `stream`, and where that begins.
fn without_mark(encoding: Encoding, stream: &[u8]) -> (Encoding, usize) {
    match (encoding, stream) {
        (Encoding::Utf8Mark, [0xEF, 0xBB, 0xBF, ..]) => (Encoding::Utf8, 3),
        (Encoding::Utf8Mark, _) => (Encoding::Utf8, 0),
        (Encoding::Utf16, [0xFF, 0xFE, ..]) => (Encoding::Utf16Le, 2),
        (Encoding::Utf16, [0xFE, 0xFF, ..]) => (Encoding::Utf16Be, 2),
        (Encoding::Utf16, _) => (Encoding::Utf16Le, 0),
        (Encoding::Utf32, [0xFF, 0xFE, 0, 0, ..]) => (Encoding::Utf32Le, 4),
        (Encoding::Utf32, [0, 0, 0xFE, 0xFF, ..]) => (Encoding::Utf32Be, 4),
        (Encoding::Utf32, _) => (Encoding::Utf32Le, 0),
        (encoding, _) => (encoding, 0),
    }
}

fn step(encoding: Encoding, rest: &[u8]) -> Step {
    match encoding {
        Encoding::Utf8 => utf8(rest),
        Encoding::Utf16Le => utf16(rest, u16::from_le_bytes),
        Encoding::Utf16Be => utf16(rest, u16::from_be_bytes),
        Encoding::Utf32Le => utf32(rest, u32::from_le_bytes),
        Encoding::Utf32Be => utf32(rest, u32::from_be_bytes),
        _ => other(encoding, rest),
    }
}

fn utf8(rest: &[u8]) -> Step {
    match std::str::from_utf8(&rest[..rest.len().min(4)]) {
        Err(error) if error.valid_up_to() == 0 => {
            Step::Malformed(error.error_len().unwrap_or(rest.len()))
        }
        _ => {
            let count = rest[0].leading_ones().max(1) as usize;
            Step::Text(String::from_utf8_lossy(&rest[..count]).into_owned(), count)
        }
    }
}

fn utf16(rest: &[u8], unit: fn([u8; 2]) -> u16) -> Step {
    let units: Vec<u16> = rest
        .chunks_exact(2)
        .take(2)
        .map(|pair| unit([pair[0], pair[1]]))
        .collect();
    match units[..] {
        [] | [0xD800..0xDC00] => Step::Malformed(rest.len()),
        _ => match char::decode_utf16(units).next() {
            Some(Ok(character)) => Step::Text(character.to_string(), 2 * character.len_utf16()),
            _ => Step::Malformed(2),
        },
    }
}

fn utf32(rest: &[u8], unit: fn([u8; 4]) -> u32) -> Step {
    let Some(first) = rest.first_chunk() else {
        return Step::Malformed(rest.len());
    };
    match char::from_u32(unit(*first)) {
        Some(character) => Step::Text(character.to_string(), 4),
        None => Step::Malformed(4),
    }
}

/// The shortest bytes that are a character by themselves are one.
fn other(encoding: Encoding, rest: &[u8]) -> Step {
    for count in 1..=rest.len().min(4) {
        if let Ok(text) = encoding.decode(&rest[..count], DecodePolicy::Strict) {
            return Step::Text(text.into_owned(), count);
        }
    }
    if goes_on(encoding, rest) {
        return Step::Malformed(rest.len());
    }
    Step::Malformed(1)
}

/// Whether the last bytes of a stream are the beginning of a character.
fn goes_on(encoding: Encoding, last: &[u8]) -> bool {
    matches!(
        (encoding, last),
        (Encoding::ShiftJis, [0x81..=0x9F | 0xE0..=0xFC])
            | (Encoding::EucJp, [0x8E | 0x8F | 0xA1..=0xFE] | [0x8F, 0xA1..=0xFE])
            | (Encoding::EucKr | Encoding::Big5, [0x81..=0xFE])
            | (
                Encoding::Gbk | Encoding::Gb18030,
                [0x81..=0xFE] | [0x81..=0xFE, 0x30..=0x39] | [0x81..=0xFE, 0x30..=0x39, 0x81..=0xFE],
            )
    )
}
