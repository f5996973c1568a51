//! Encodings and policies by name.

use std::collections::HashMap;

use trunkline::text::{DecodePolicy, EncodePolicy, Encoding, UnknownName};

fn names(encoding: Encoding) -> impl Iterator<Item = &'static str> {
    std::iter::once(encoding.name()).chain(encoding.aliases().iter().copied())
}

#[test]
fn every_name_is_known_however_it_is_written() {
    for encoding in Encoding::all() {
        for name in names(encoding) {
            for written in [
                name.to_owned(),
                name.to_lowercase(),
                name.to_uppercase(),
                name.replace('-', "_"),
                name.replace(['-', '_'], ""),
                name.replace('-', " "),
            ] {
                assert_eq!(Encoding::from_name(&written), Ok(encoding), "{written}");
                assert_eq!(written.parse(), Ok(encoding), "{written}");
            }
        }
        assert_eq!(encoding.to_string(), encoding.name());
    }
}

#[test]
fn no_name_means_two_encodings() {
    let mut owners: HashMap<String, &str> = HashMap::new();
    for encoding in Encoding::all() {
        for name in names(encoding) {
            let folded = name.to_lowercase().replace(['-', '_', ' ', '.'], "");
            let before = owners.insert(folded, encoding.name());
            assert_eq!(before, None, "{name} of {encoding}");
        }
    }
}

#[test]
fn the_names_people_write() {
    for (name, encoding) in [
        ("utf8", Encoding::Utf8),
        ("utf-8-sig", Encoding::Utf8Mark),
        ("utf-16-le", Encoding::Utf16Le),
        ("utf_16", Encoding::Utf16),
        ("UTF32BE", Encoding::Utf32Be),
        ("us-ascii", Encoding::Ascii),
        ("latin1", Encoding::Iso8859_1),
        ("Latin-1", Encoding::Iso8859_1),
        ("ISO_8859-15", Encoding::Iso8859_15),
        ("cp1252", Encoding::Windows1252),
        ("windows-1251", Encoding::Windows1251),
        ("koi8-r", Encoding::Koi8R),
        ("sjis", Encoding::ShiftJis),
        ("shift-jis", Encoding::ShiftJis),
        ("cp932", Encoding::ShiftJis),
        ("euc_jp", Encoding::EucJp),
        ("cp949", Encoding::EucKr),
        ("gb2312", Encoding::Gbk),
        ("gb18030", Encoding::Gb18030),
        ("big5", Encoding::Big5),
        ("cp037", Encoding::Ibm037),
        ("IBM500", Encoding::Ibm500),
    ] {
        assert_eq!(Encoding::from_name(name), Ok(encoding), "{name}");
    }
}

#[test]
fn an_unknown_name_suggests_the_nearest() {
    for (typed, meant) in [
        ("utf-9", Some("UTF-8")),
        ("uft8", Some("UTF-8")),
        ("latn1", Some("latin1")),
        ("cp1262", Some("cp1252")),
        ("shift_jsi", Some("Shift_JIS")),
        ("iso-8859-12", Some("ISO-8859-1")),
        ("klingon", None),
        ("", None),
    ] {
        let error = Encoding::from_name(typed).expect_err(typed);
        assert_eq!((error.name(), error.nearest()), (typed, meant));
        let told = error.to_string();
        assert!(told.contains(&format!("{typed:?}")), "{told}");
        assert!(told.contains(meant.unwrap_or("UTF-8")), "{told}");
    }
}

#[test]
fn policies_go_by_the_names_of_python() {
    let decoding: Vec<_> = DecodePolicy::all().map(DecodePolicy::name).collect();
    assert_eq!(
        decoding,
        ["strict", "replace", "ignore", "backslashreplace"]
    );
    let encoding: Vec<_> = EncodePolicy::all().map(EncodePolicy::name).collect();
    assert_eq!(encoding[..4], decoding);
    assert_eq!(encoding[4..], ["xmlcharrefreplace"]);
    for policy in DecodePolicy::all() {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
    for policy in EncodePolicy::all() {
        assert_eq!(policy.to_string().to_uppercase().parse(), Ok(policy));
    }
}

#[test]
fn an_unknown_policy_suggests_the_nearest_or_names_all() {
    let error: UnknownName = "sctrict".parse::<DecodePolicy>().unwrap_err();
    assert_eq!(error.nearest(), Some("strict"));
    let error: UnknownName = "xml".parse::<EncodePolicy>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown policy \"xml\": the policies are strict, replace, ignore, backslashreplace and xmlcharrefreplace"
    );
    assert!("xmlcharrefreplace".parse::<DecodePolicy>().is_err());
}
