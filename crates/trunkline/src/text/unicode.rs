//! UTF-8, UTF-16 and UTF-32.

use super::multi_byte::decode_by_web;
use super::scheme::{Order, Scan};

pub(super) fn decode_utf8(bytes: &[u8], output: &mut String) -> Scan {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            output.push_str(text);
            Scan::well_formed(bytes.len())
        }
        Err(error) => {
            let used = error.valid_up_to();
            let valid = std::str::from_utf8(&bytes[..used]);
            output.push_str(valid.expect("it was found valid up to here"));
            Scan {
                used,
                malformed: error.error_len().unwrap_or(0),
            }
        }
    }
}

pub(super) fn decode_utf16(order: Order, bytes: &[u8], output: &mut String) -> Scan {
    let web = match order {
        Order::Little => encoding_rs::UTF_16LE,
        Order::Big => encoding_rs::UTF_16BE,
    };
    decode_by_web(web, bytes, output)
}

pub(super) fn encode_utf16(order: Order, text: &str, output: &mut Vec<u8>) {
    output.reserve(2 * text.len());
    for unit in text.encode_utf16() {
        output.extend_from_slice(&match order {
            Order::Little => unit.to_le_bytes(),
            Order::Big => unit.to_be_bytes(),
        });
    }
}

pub(super) fn decode_utf32(order: Order, bytes: &[u8], output: &mut String) -> Scan {
    output.reserve(bytes.len() / 4);
    let (units, _) = bytes.as_chunks::<4>();
    for (index, &unit) in units.iter().enumerate() {
        let number = match order {
            Order::Little => u32::from_le_bytes(unit),
            Order::Big => u32::from_be_bytes(unit),
        };
        let Some(character) = char::from_u32(number) else {
            return Scan {
                used: 4 * index,
                malformed: 4,
            };
        };
        output.push(character);
    }
    Scan::well_formed(4 * units.len())
}

pub(super) fn encode_utf32(order: Order, text: &str, output: &mut Vec<u8>) {
    for character in text.chars() {
        let number = u32::from(character);
        output.extend_from_slice(&match order {
            Order::Little => number.to_le_bytes(),
            Order::Big => number.to_be_bytes(),
        });
    }
}
