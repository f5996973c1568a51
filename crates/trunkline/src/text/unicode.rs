//! UTF-8, UTF-16 and UTF-32.

use std::borrow::Cow;

use super::multi_byte::decode_by_web;
use super::scheme::{Order, Scan};

/// `bytes` as text if they are UTF-8.
#[inline]
pub(super) fn check_utf8(bytes: &[u8]) -> Option<&str> {
    // From here on `encoding_rs` is faster: up to seven times, where characters are of several bytes.
    const LONG_BYTES: usize = 96;
    if bytes.len() < LONG_BYTES {
        return std::str::from_utf8(bytes).ok();
    }
    let checked = encoding_rs::UTF_8.decode_without_bom_handling_and_without_replacement(bytes);
    match checked? {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(_) => None,
    }
}

pub(super) fn decode_utf8(bytes: &[u8], output: &mut String) -> Scan {
    // Most often nothing is wrong but that the network has cut the last character.
    let whole = bytes.len() - cut_bytes(bytes);
    if let Some(text) = check_utf8(&bytes[..whole]) {
        output.push_str(text);
        return Scan::well_formed(whole);
    }
    let used = encoding_rs::Encoding::utf8_valid_up_to(bytes);
    let text = check_utf8(&bytes[..used]);
    output.push_str(text.expect("it was found valid up to here"));
    let malformed = &bytes[used..bytes.len().min(used + 4)];
    let error = std::str::from_utf8(malformed).err();
    Scan {
        used,
        malformed: error.and_then(|error| error.error_len()).unwrap_or(0),
    }
}

/// How many bytes at the end of `bytes` are the beginning of a character that may go on behind it.
pub(super) fn cut_bytes(bytes: &[u8]) -> usize {
    let mut from_the_end = bytes.iter().rev().take(3).zip(1..);
    let lead = from_the_end.find(|&(&byte, _)| byte & 0xC0 != 0x80);
    let Some((0xC0.., count)) = lead else {
        return 0;
    };
    let last = std::str::from_utf8(&bytes[bytes.len() - count..]);
    match last.map_err(|error| error.error_len()) {
        Err(None) => count,
        Err(Some(_)) | Ok(_) => 0,
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
