//! Encodings in which each byte is a character, read and written by table.

use std::sync::OnceLock;

use super::encoding::{COUNT, Encoding};
use super::scheme::{Kind, Scan};

/// What each byte means. All these characters are in the first plane of Unicode.
#[derive(Debug)]
pub(super) struct Table {
    /// The number of each byte's character, [`UNDEFINED`] where there is none.
    numbers: [u16; 256],
    /// Characters and their bytes, by character.
    bytes: Vec<(u16, u8)>,
    extends_ascii: bool,
}

/// No character has this number.
const UNDEFINED: u16 = 0xFFFF;

/// The table of `encoding`, made when it is first asked for.
pub(super) fn table(encoding: Encoding, kind: Kind) -> &'static Table {
    static TABLES: [OnceLock<Table>; COUNT] = [const { OnceLock::new() }; COUNT];
    TABLES[encoding as usize].get_or_init(|| Table::new(kind))
}

impl Table {
    fn new(kind: Kind) -> Self {
        let numbers = std::array::from_fn(|byte| number(kind, byte as u8));
        let mut bytes: Vec<(u16, u8)> = (numbers.into_iter().zip(0..=u8::MAX))
            .filter(|&(number, _)| number != UNDEFINED)
            .collect();
        bytes.sort_unstable();
        Self {
            numbers,
            bytes,
            extends_ascii: kind.extends_ascii(),
        }
    }

    pub(super) fn decode(&self, bytes: &[u8], output: &mut String) -> Scan {
        output.reserve(bytes.len());
        let mut used = 0;
        while used < bytes.len() {
            if self.extends_ascii {
                used += copy_ascii(&bytes[used..], output);
            }
            // A run of other bytes, up to the next that may begin a run of ASCII.
            while let Some(&byte) = bytes.get(used) {
                let number = self.numbers[usize::from(byte)];
                if self.extends_ascii && byte < 0x80 {
                    break;
                }
                match char::from_u32(u32::from(number)) {
                    Some(character) if number != UNDEFINED => output.push(character),
                    _ => return Scan { used, malformed: 1 },
                }
                used += 1;
            }
        }
        Scan::well_formed(used)
    }

    pub(super) fn encode(&self, text: &str, output: &mut Vec<u8>) -> Option<(usize, char)> {
        output.reserve(text.len());
        if self.extends_ascii && text.is_ascii() {
            output.extend_from_slice(text.as_bytes());
            return None;
        }
        for (offset, character) in text.char_indices() {
            if self.extends_ascii && character.is_ascii() {
                output.push(character as u8);
            } else if let Some(byte) = self.byte(character) {
                output.push(byte);
            } else {
                return Some((offset, character));
            }
        }
        None
    }

    fn byte(&self, character: char) -> Option<u8> {
        let number = u16::try_from(u32::from(character)).ok()?;
        let found = self
            .bytes
            .binary_search_by_key(&number, |&(number, _)| number);
        found.ok().map(|index| self.bytes[index].1)
    }
}

/// Appends the ASCII text at the front of `bytes`; says how long it is.
fn copy_ascii(bytes: &[u8], output: &mut String) -> usize {
    let count = encoding_rs::Encoding::ascii_valid_up_to(bytes);
    let text = std::str::from_utf8(&bytes[..count]);
    output.push_str(text.expect("ASCII is UTF-8"));
    count
}

/// The number of the character that `byte` means.
fn number(kind: Kind, byte: u8) -> u16 {
    let control = u16::from(byte);
    let is_control = (0x80..0xA0).contains(&byte);
    match (kind, byte) {
        (Kind::Ebcdic(page), _) => page[usize::from(byte)].into(),
        (_, 0..0x80) => control,
        (Kind::WithoutControls(web), _) => match web_number(web, byte) {
            number if is_control && number == control => UNDEFINED,
            number => number,
        },
        (Kind::WithControls(_), _) if is_control => control,
        (Kind::Page(web) | Kind::WithControls(web), _) => web_number(web, byte),
        // The web has two letters here of KOI8-RU, a later page.
        (Kind::Koi8U, 0xAE) => 0x255D,
        (Kind::Koi8U, 0xBE) => 0x256C,
        (Kind::Koi8U, _) => web_number(encoding_rs::KOI8_U, byte),
        // ASCII, and the kinds that are no table.
        _ => UNDEFINED,
    }
}

fn web_number(web: &'static encoding_rs::Encoding, byte: u8) -> u16 {
    web.decode_without_bom_handling_and_without_replacement(&[byte])
        .and_then(|text| text.encode_utf16().next())
        .unwrap_or(UNDEFINED)
}
