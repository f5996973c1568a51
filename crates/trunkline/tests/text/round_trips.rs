//! What is written is read as the same text, and what was read can be written.

use proptest::prelude::*;
use trunkline::text::{DecodePolicy, EncodePolicy, Encoding};

/// Encodings that write every character.
const WHOLE: [Encoding; 8] = [
    Encoding::Utf8,
    Encoding::Utf8Mark,
    Encoding::Utf16,
    Encoding::Utf16Le,
    Encoding::Utf16Be,
    Encoding::Utf32,
    Encoding::Utf32Le,
    Encoding::Utf32Be,
];

#[test]
fn no_character_is_changed_by_writing_it() {
    for encoding in Encoding::all() {
        let mut encoder = encoding.encoder(EncodePolicy::Strict);
        let mut decoder = encoding.decoder(DecodePolicy::Strict);
        let (mut bytes, mut text) = (Vec::new(), String::new());
        let mut written = 0_u32;
        for character in '\0'..=char::MAX {
            bytes.clear();
            text.clear();
            encoder.reset();
            let outcome = encoder.encode(character.encode_utf8(&mut [0; 4]), &mut bytes);
            if let Err(error) = outcome {
                assert_eq!(error.character(), Some(character));
                continue;
            }
            written += 1;
            let outcome = decoder.decode(&bytes, &mut text, true);
            assert_eq!(outcome, Ok(()), "{encoding}: {character:?} is {bytes:02x?}");
            assert!(
                text.chars().eq([character]),
                "{encoding}: {character:?} became {text:?}"
            );
        }
        let characters = 0x11_0000 - 0x800;
        match encoding {
            _ if WHOLE.contains(&encoding) => assert_eq!(written, characters),
            // The bytes of 19 private characters mean others in the edition of 2022.
            Encoding::Gb18030 => assert_eq!(written, characters - 19),
            Encoding::Ascii => assert_eq!(written, 128),
            Encoding::Iso8859_1 | Encoding::Ibm037 | Encoding::Ibm500 => assert_eq!(written, 256),
            _ => assert!((192..30_000).contains(&written), "{encoding}: {written}"),
        }
    }
}

#[test]
fn what_one_character_was_read_from_can_be_written() {
    let sequences: Vec<Vec<u8>> = (0..=0xFF_u8)
        .map(|byte| vec![byte])
        .chain((0x80..=0xFF).flat_map(|lead| (0x30..=0xFF).map(move |trail| vec![lead, trail])))
        .chain(
            (0xA1..=0xFF)
                .flat_map(|second| (0xA1..=0xFF).map(move |third| vec![0x8F, second, third])),
        )
        .collect();
    for encoding in Encoding::all().filter(|encoding| !WHOLE.contains(encoding)) {
        for bytes in &sequences {
            let Ok(text) = encoding.decode(bytes, DecodePolicy::Strict) else {
                continue;
            };
            let written = encoding.encode(&text, EncodePolicy::Strict);
            let Ok(written) = written else {
                // Two letters with a macron and a caron, which have no mark alone in this encoding.
                let pair = encoding == Encoding::Big5 && text.chars().count() == 2;
                assert!(pair, "{encoding}: {text:?} of {bytes:02x?}");
                continue;
            };
            let again = encoding.decode(&written, DecodePolicy::Strict);
            let again = again.expect("what was written is well-formed");
            assert_eq!(again, text, "{encoding}: {bytes:02x?}, {written:02x?}");
        }
    }
}

fn any_encoding() -> impl Strategy<Value = Encoding> {
    prop::sample::select(Encoding::all().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn text_comes_back(encoding in any_encoding(), text in "\\PC{0,60}") {
        match encoding.encode(&text, EncodePolicy::Strict) {
            Ok(bytes) => {
                prop_assert_eq!(encoding.decode(&bytes, DecodePolicy::Strict), Ok(text.as_str().into()));
                for policy in EncodePolicy::all() {
                    prop_assert_eq!(encoding.encode(&text, policy), Ok(bytes.clone()));
                }
            }
            Err(error) => {
                let offset = usize::try_from(error.offset()).expect("short");
                prop_assert_eq!(error.character(), text[offset..].chars().next());
                prop_assert!(encoding.encode(&text[..offset], EncodePolicy::Strict).is_ok());
                for policy in EncodePolicy::all().skip(1) {
                    let bytes = encoding.encode(&text, policy).expect("the policy lets it pass");
                    prop_assert!(encoding.decode(&bytes, DecodePolicy::Strict).is_ok());
                }
            }
        }
    }

    #[test]
    fn replaced_characters_can_be_told_from_the_bytes(encoding in any_encoding(), text in "[a-z€я語😀\u{301}]{0,20}") {
        let bytes = encoding.encode(&text, EncodePolicy::XmlCharRefReplace).expect("replaced");
        let mut restored = encoding.decode(&bytes, DecodePolicy::Strict).expect("well-formed").into_owned();
        for character in ['€', 'я', '語', '😀', '\u{301}'] {
            restored = restored.replace(&format!("&#{};", u32::from(character)), &character.to_string());
        }
        prop_assert_eq!(restored, text);
    }
}
