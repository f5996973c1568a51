//! The encodings of East Asia, read and written by `encoding_rs`; the characters that it reads but does not
//! write are written here.

use std::sync::OnceLock;

use encoding_rs::{DecoderResult, EncoderResult};

use super::encoding::{COUNT, Encoding};
use super::error::Bytes;
use super::scheme::Scan;

/// An encoding of `encoding_rs`, and what that does not write.
#[derive(Debug)]
pub(super) struct Table {
    web: &'static encoding_rs::Encoding,
    /// Characters that `encoding_rs` reads but does not write, by character, and their bytes. Made when the
    /// first such character is to be written.
    unwritten: OnceLock<Vec<(char, Bytes)>>,
}

/// Room for what `encoding_rs` gives at once. (It could write into the string itself, but then touches every page
/// of the room there, however little it has to write.)
const ROOM_BYTES: usize = 1024;

/// The table of `encoding`, made when it is first asked for.
pub(super) fn table(encoding: Encoding, web: &'static encoding_rs::Encoding) -> &'static Table {
    static TABLES: [OnceLock<Table>; COUNT] = [const { OnceLock::new() }; COUNT];
    TABLES[encoding as usize].get_or_init(|| Table {
        web,
        unwritten: OnceLock::new(),
    })
}

impl Table {
    pub(super) fn decode(&self, bytes: &[u8], output: &mut String) -> Scan {
        let scan = decode_by_web(self.web, bytes, output);
        // Only the first byte is malformed for certain: what follows it may be a character.
        Scan {
            malformed: scan.malformed.min(1),
            ..scan
        }
    }

    pub(super) fn encode(&self, text: &str, output: &mut Vec<u8>) -> Option<(usize, char)> {
        let mut offset = 0;
        loop {
            offset += self.encode_by_web(&text[offset..], output);
            let character = text[offset..].chars().next()?;
            let Some(bytes) = self.bytes(character) else {
                return Some((offset, character));
            };
            output.extend_from_slice(bytes.as_slice());
            offset += character.len_utf8();
        }
    }
}

impl Table {
    /// Appends the bytes of the characters at the front of `text` that `encoding_rs` writes; says how much of
    /// `text` they are.
    fn encode_by_web(&self, text: &str, output: &mut Vec<u8>) -> usize {
        let mut written = 0;
        while written < text.len() {
            let block = block(&text[written..]);
            let changed = block.find(|character| is_changed(self.web, character));
            let block = &block[..changed.unwrap_or(block.len())];
            let (encoded, lacking) = encode_block(self.web, block, output);
            written += encoded;
            if lacking {
                break;
            }
            if changed.is_some() {
                break;
            }
        }
        written
    }

    /// The bytes of a character that `encoding_rs` does not write, if it reads it from any.
    fn bytes(&self, character: char) -> Option<Bytes> {
        let unwritten = self.unwritten.get_or_init(|| unwritten(self.web));
        let found = unwritten.binary_search_by_key(&character, |&(character, _)| character);
        found.ok().map(|index| unwritten[index].1)
    }
}

/// The front of `text` that is encoded at once: bounds what is searched again after each character that
/// `encoding_rs` does not write.
fn block(text: &str) -> &str {
    const BLOCK_BYTES: usize = 512;
    let mut end = BLOCK_BYTES.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Appends the bytes of `block` up to a character that `encoding_rs` lacks; says where that is, and whether
/// there is one.
fn encode_block(
    web: &'static encoding_rs::Encoding,
    block: &str,
    output: &mut Vec<u8>,
) -> (usize, bool) {
    let mut encoder = web.new_encoder();
    let mut room = [0; ROOM_BYTES];
    let mut used = 0;
    loop {
        let (result, read, count) =
            encoder.encode_from_utf8_without_replacement(&block[used..], &mut room, true);
        output.extend_from_slice(&room[..count]);
        used += read;
        match result {
            EncoderResult::InputEmpty => return (used, false),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(character) => return (used - character.len_utf8(), true),
        }
    }
}

/// Whether `encoding_rs` writes `character` as bytes that are read as another: the standard of the web asks
/// for that.
fn is_changed(web: &'static encoding_rs::Encoding, character: char) -> bool {
    if web == encoding_rs::SHIFT_JIS || web == encoding_rs::EUC_JP {
        return matches!(character, '\u{A5}' | '\u{203E}' | '\u{2212}');
    }
    let chinese = web == encoding_rs::GBK || web == encoding_rs::GB18030;
    // Private characters of the older edition.
    chinese
        && matches!(
            character,
            '\u{E78D}'
                ..='\u{E796}'
                    | '\u{E81E}'
                    | '\u{E826}'
                    | '\u{E82B}'
                    | '\u{E82C}'
                    | '\u{E832}'
                    | '\u{E843}'
                    | '\u{E854}'
                    | '\u{E864}'
        )
}

/// The characters that `encoding_rs` reads but does not write, and their first bytes.
fn unwritten(web: &'static encoding_rs::Encoding) -> Vec<(char, Bytes)> {
    let mut unwritten: Vec<(char, Bytes)> = sequences(web)
        .filter_map(|bytes| {
            let text = web.decode_without_bom_handling_and_without_replacement(bytes.as_slice())?;
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (Some(character), None) if !is_written(web, character) => Some((character, bytes)),
                _ => None,
            }
        })
        .collect();
    unwritten.sort_by_key(|&(character, _)| character);
    unwritten.dedup_by_key(|&mut (character, _)| character);
    unwritten
}

fn is_written(web: &'static encoding_rs::Encoding, character: char) -> bool {
    let mut text = [0; 4];
    let (_, _, unmappable) = web.encode(character.encode_utf8(&mut text));
    !unmappable && !is_changed(web, character)
}

/// All bytes that may be one character of the first plane, or of the second in two bytes.
fn sequences(web: &'static encoding_rs::Encoding) -> impl Iterator<Item = Bytes> {
    let pairs = (0x81..=0xFE_u8).flat_map(|lead| (0x40..=0xFE).map(move |trail| [lead, trail]));
    let after_8f = (0xA1..=0xFE_u8)
        .flat_map(|second| (0xA1..=0xFE).map(move |third| [0x8F, second, third]))
        .filter(move |_| web == encoding_rs::EUC_JP);
    let four = (0..4 * 10 * 126 * 10_u32)
        .map(|number| {
            let digit = |place: u32, base: u32| (number / place % base) as u8;
            let (first, second) = (digit(12_600, 4), digit(1_260, 10));
            [
                0x81 + first,
                0x30 + second,
                0x81 + digit(10, 126),
                0x30 + digit(1, 10),
            ]
        })
        .filter(move |_| web == encoding_rs::GB18030);
    let pairs = pairs.map(|bytes| Bytes::new(&bytes));
    let after_8f = after_8f.map(|bytes| Bytes::new(&bytes));
    pairs
        .chain(after_8f)
        .chain(four.map(|bytes| Bytes::new(&bytes)))
}

/// Decodes with `encoding_rs` up to the first malformed sequence.
pub(super) fn decode_by_web(
    web: &'static encoding_rs::Encoding,
    bytes: &[u8],
    output: &mut String,
) -> Scan {
    let mut decoder = web.new_decoder_without_bom_handling();
    let mut room = [0; ROOM_BYTES];
    let room = std::str::from_utf8_mut(&mut room).expect("zeros are UTF-8");
    let mut used = 0;
    loop {
        let (result, read, count) =
            decoder.decode_to_str_without_replacement(&bytes[used..], room, false);
        output.push_str(&room[..count]);
        used += read;
        match result {
            DecoderResult::InputEmpty => break,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(malformed, behind) => {
                return Scan {
                    used: used - usize::from(malformed) - usize::from(behind),
                    malformed: malformed.into(),
                };
            }
        }
    }
    // How much it holds back of an unfinished character, only the end of the stream tells.
    let (result, _, count) = decoder.decode_to_str_without_replacement(b"", room, true);
    output.push_str(&room[..count]);
    Scan::well_formed(match result {
        DecoderResult::Malformed(unfinished, _) => used - usize::from(unfinished),
        DecoderResult::InputEmpty | DecoderResult::OutputFull => used,
    })
}
