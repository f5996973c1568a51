//! Beside Python's incremental codecs: the same bytes in the same cuts give the same text, or fail at the same
//! place; the same text gives the same bytes. Where that is not so on purpose, [`DIFFERENCES`] says how.
//!
//! Without `python3` the tests are skipped with a reason; with `CI=true`, or under `cargo xtask test --no-skip`,
//! that is a failure.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use trunkline::text::{DecodePolicy, EncodePolicy, Encoding};

use crate::differences::{DIFFERENCES, Difference, SAME};
use crate::samples::SAMPLES;

/// An encoding and Python's codec for it.
#[derive(Clone, Copy)]
struct Pair {
    encoding: Encoding,
    difference: &'static Difference,
}

impl Pair {
    fn all() -> impl Iterator<Item = Self> {
        Encoding::all().map(|encoding| {
            let listed = DIFFERENCES
                .iter()
                .find(|difference| difference.encoding == encoding);
            Self {
                encoding,
                difference: listed.unwrap_or(&SAME),
            }
        })
    }

    fn reads(&self) -> &'static str {
        match self.difference.reads {
            "" => self.encoding.name(),
            name => name,
        }
    }

    fn writes(&self) -> &'static str {
        match self.difference.writes {
            "" => self.encoding.name(),
            name => name,
        }
    }

    /// `stream` as it can be compared.
    fn comparable(&self, mut stream: Vec<u8>) -> Vec<u8> {
        let marks = self.difference.marks;
        if !marks.is_empty() && !marks.iter().any(|mark| stream.starts_with(mark)) {
            stream.splice(0..0, marks[stream.len() % marks.len()].iter().copied());
        }
        // Python forgets a mark that the end of the stream cuts.
        if self.encoding == Encoding::Utf8Mark && b"\xef\xbb".starts_with(&stream) {
            stream.clear();
        }
        for apart in self.difference.apart {
            for start in 0..stream.len() {
                if stream[start..].starts_with(apart) {
                    stream[start + apart.len() - 1] = b'x';
                }
            }
        }
        stream
    }

    /// Python's text as ours would be.
    fn translate(&self, text: &str) -> String {
        let translate = |character| {
            let pair = self
                .difference
                .other
                .iter()
                .find(|pair| pair.0 == character);
            pair.map_or(character, |pair| pair.1)
        };
        text.chars().map(translate).collect()
    }
}

/// Asks Python all of `requests` at once; `None` without Python.
fn ask_python(requests: &[String]) -> Option<Vec<String>> {
    let mut python = Command::new("python3");
    python.args(["-c", include_str!("reference.py")]);
    // What Python writes must not depend on the locale, nor what it reads.
    python.env("PYTHONUTF8", "1");
    let started = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut python = match started {
        Ok(python) => python,
        Err(error) => {
            let strict = env::var_os("TRUNKLINE_NO_SKIP").is_some()
                || env::var("CI").is_ok_and(|value| value == "true");
            assert!(!strict, "python3: {error}, and nothing may be skipped here");
            eprintln!("skipped: python3: {error}");
            return None;
        }
    };
    let mut input = python.stdin.take().expect("it is piped");
    let mut output = python.stdout.take().expect("it is piped");
    let mut answers = String::new();
    thread::scope(|scope| {
        // Written while the answers are read: neither end may wait for the other.
        scope.spawn(move || {
            for request in requests {
                writeln!(input, "{request}").expect("Python reads to the end");
            }
        });
        output
            .read_to_string(&mut answers)
            .expect("Python answers in ASCII");
    });
    assert!(python.wait().expect("it was started").success());
    let answers: Vec<String> = answers.lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), requests.len(), "one answer to each request");
    Some(answers)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("a string takes everything");
    }
    digits
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("digits");
            u8::from_str_radix(pair, 16).expect("digits")
        })
        .collect()
}

fn text_of(digits: &str) -> String {
    String::from_utf8(bytes_of(digits)).expect("Python answers in UTF-8")
}

/// A stream of bytes in pieces, to be decoded by both.
struct Decoding {
    pair: Pair,
    policy: DecodePolicy,
    pieces: Vec<Vec<u8>>,
}

impl Decoding {
    fn request(&self) -> String {
        let mut request = format!("decode {} {}", self.pair.reads(), self.policy);
        for piece in &self.pieces {
            request.push(' ');
            request.push_str(&hexadecimal(piece));
        }
        request
    }

    /// The text, and where it ended early.
    fn ours(&self) -> (String, Option<u64>) {
        let mut decoder = self.pair.encoding.decoder(self.policy);
        let mut text = String::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let last = index + 1 == self.pieces.len();
            if let Err(error) = decoder.decode(piece, &mut text, last) {
                return (text, Some(error.offset()));
            }
        }
        (text, None)
    }

    fn theirs(&self, answer: &str) -> (String, Option<u64>) {
        let words: Vec<&str> = answer.split(' ').collect();
        match words[..] {
            ["text", text] => (self.pair.translate(&text_of(text)), None),
            ["failed", offset, before] => (
                self.pair.translate(&text_of(before)),
                Some(offset.parse().expect("a number")),
            ),
            _ => panic!("not an answer: {answer}"),
        }
    }
}

impl Decoding {
    /// Says where the two part: the streams may be long.
    fn fail(&self, ours: &(String, Option<u64>), theirs: &(String, Option<u64>)) -> ! {
        let pairs = ours.0.chars().zip(theirs.0.chars());
        let same = pairs.take_while(|(ours, theirs)| ours == theirs).count();
        let shown = |text: &str| -> String {
            text.chars()
                .skip(same.saturating_sub(20))
                .take(40)
                .collect()
        };
        let stream = self.pieces.concat();
        panic!(
            "{}, {}: ours {:?}, ended at {:?}; Python's {:?}, ended at {:?}; of {:02x?}…",
            self.pair.encoding,
            self.policy,
            shown(&ours.0),
            ours.1,
            shown(&theirs.0),
            theirs.1,
            &stream[..stream.len().min(200)]
        );
    }
}

/// Decodes all with Python and with us, and demands the same.
fn compare_decoding(decodings: &[Decoding]) {
    let mut requests: Vec<String> = Pair::all().flat_map(|pair| acceptances(&pair)).collect();
    let first = requests.len();
    requests.extend(decodings.iter().map(Decoding::request));
    let Some(answers) = ask_python(&requests) else {
        return;
    };
    for (decoding, answer) in decodings.iter().zip(&answers[first..]) {
        let (ours, theirs) = (decoding.ours(), decoding.theirs(answer));
        if ours != theirs {
            decoding.fail(&ours, &theirs);
        }
    }
}

/// Tells Python what only we read.
fn acceptances(pair: &Pair) -> Vec<String> {
    let mut requests = Vec::new();
    let mut accept = |sequence: &[u8]| {
        let Ok(text) = pair.encoding.decode(sequence, DecodePolicy::Strict) else {
            return false;
        };
        let (sequence, text) = (hexadecimal(sequence), hexadecimal(text.as_bytes()));
        requests.push(format!("accept {} {sequence} {text}", pair.reads()));
        true
    };
    for beginning in pair.difference.wider {
        if !accept(beginning) {
            for trail in 0x40..=0xFE {
                accept(&[beginning, &[trail][..]].concat());
            }
        }
    }
    requests
}

#[test]
fn one_two_and_three_bytes_are_read_as_python_reads_them() {
    let mut decodings = Vec::new();
    for pair in Pair::all() {
        for lead in 0..=0xFF_u8 {
            let mut streams = vec![Vec::new()];
            for second in 0..=0xFF_u8 {
                // Letters behind, since Python's GB18030 decides only when it has seen four bytes.
                streams[0].extend_from_slice(&[lead, second, b'z', b'z', b'z']);
            }
            if lead == 0x8F && pair.encoding == Encoding::EucJp {
                streams.extend((0..=0xFF_u8).map(|second| {
                    let sequences = (0..=0xFF).map(|third| [lead, second, third, b'z', b'z', b'z']);
                    sequences.flatten().collect()
                }));
            }
            decodings.extend(streams.into_iter().map(|stream| Decoding {
                pair,
                policy: DecodePolicy::BackslashReplace,
                pieces: vec![pair.comparable(stream)],
            }));
        }
    }
    compare_decoding(&decodings);
}

#[test]
fn random_bytes_in_random_cuts_are_read_as_python_reads_them() {
    const STREAMS: usize = 60;
    let mut random = Random(1);
    let mut decodings = Vec::new();
    for pair in Pair::all() {
        for policy in DecodePolicy::all() {
            for _ in 0..STREAMS {
                let mut stream = random.stream(pair.encoding);
                // Letters behind: see above.
                stream.extend_from_slice(b"zzz");
                decodings.push(Decoding {
                    pair,
                    policy,
                    pieces: random.cut(&pair.comparable(stream)),
                });
            }
        }
    }
    compare_decoding(&decodings);
}

#[test]
fn text_that_ends_anywhere_is_read_as_python_reads_it() {
    let mut random = Random(2);
    let mut decodings = Vec::new();
    for pair in Pair::all() {
        for (_, sample) in SAMPLES {
            let bytes = pair.encoding.encode(sample, EncodePolicy::Ignore);
            let bytes = bytes.expect("left out").into_owned();
            for policy in DecodePolicy::all() {
                let end = random.below(bytes.len() + 1);
                let bytes = pair.comparable(bytes[..end].to_vec());
                decodings.push(Decoding {
                    pair,
                    policy,
                    pieces: random.cut(&bytes),
                });
            }
        }
    }
    compare_decoding(&decodings);
}

/// The characters that are compared one by one: all planes that any encoding of fewer bytes has, and an end.
const RANGES: [(u32, u32); 3] = [(0, 0xFFFF), (0x1_F000, 0x2_A6FF), (0x10_FFF0, 0x10_FFFF)];

/// Characters and their bytes.
type Alphabet = HashMap<char, Vec<u8>>;

/// What Python writes for each character of the ranges, by itself. It is asked once.
fn alphabets() -> Option<&'static [(Pair, Alphabet)]> {
    static ALPHABETS: OnceLock<Option<Vec<(Pair, Alphabet)>>> = OnceLock::new();
    ALPHABETS.get_or_init(ask_for_alphabets).as_deref()
}

fn ask_for_alphabets() -> Option<Vec<(Pair, Alphabet)>> {
    let pairs: Vec<Pair> = Pair::all().collect();
    let requests: Vec<String> = pairs
        .iter()
        .flat_map(|pair| {
            RANGES.map(|(first, last)| format!("alphabet {} {first} {last}", pair.writes()))
        })
        .collect();
    let answers = ask_python(&requests)?;
    let alphabets = answers.chunks(RANGES.len()).map(|answers| {
        let characters = answers.iter().flat_map(|answer| answer.split_whitespace());
        characters
            .map(|written| {
                let (number, bytes) = written.split_once(':').expect("number:bytes");
                let number = number.parse().expect("a number");
                let character = char::from_u32(number).expect("a character");
                (character, bytes_of(bytes))
            })
            .collect()
    });
    Some(pairs.into_iter().zip(alphabets).collect())
}

#[test]
fn every_character_is_written_as_python_writes_it() {
    let Some(alphabets) = alphabets() else {
        return;
    };
    for (pair, theirs) in alphabets {
        let name = pair.encoding.name();
        let mut unwritten = BTreeSet::new();
        let compared = RANGES.into_iter().flat_map(|(first, last)| first..=last);
        for character in compared.filter_map(char::from_u32) {
            let text = character.to_string();
            let ours = pair.encoding.encode(&text, EncodePolicy::Strict).ok();
            match (ours, theirs.get(&character)) {
                (Some(ours), Some(theirs)) if *ours == **theirs => {}
                (None, None) => {}
                (None, Some(_)) => _ = unwritten.insert(character),
                (Some(ours), None) => {
                    assert!(
                        pair.difference.writes_more,
                        "{name}: {character:?} is {ours:02x?}"
                    );
                }
                (Some(ours), Some(theirs)) => {
                    let second_code = pair.difference.second_code.contains(&ours[0]);
                    assert!(
                        second_code
                            || is_other(pair, character)
                            || has_two_codes(pair, theirs, &text),
                        "{name}: {character:?} is {ours:02x?}, in Python {theirs:02x?}"
                    );
                }
            }
        }
        let listed: BTreeSet<char> = pair.difference.unwritten.chars().collect();
        assert_eq!(unwritten, listed, "{name}: what only Python writes");
    }
}

/// Whether Python reads `character` from bytes that we read as another.
fn is_other(pair: &Pair, character: char) -> bool {
    let mut other = pair.difference.other.iter();
    other.any(|&(theirs, ours)| character == theirs || character == ours)
}

/// Whether we read Python's bytes of `text`, in an encoding of more codes than characters, as the same.
fn has_two_codes(pair: &Pair, theirs: &[u8], text: &str) -> bool {
    let read = pair.encoding.decode(theirs, DecodePolicy::Strict);
    pair.encoding == Encoding::Big5 && read.is_ok_and(|read| read == text)
}

#[test]
fn random_text_in_random_cuts_is_written_as_python_writes_it() {
    const TEXTS: usize = 20;
    let Some(alphabets) = alphabets() else {
        return;
    };
    let mut random = Random(3);
    let mut requests = Vec::new();
    let mut expected = Vec::new();
    for (pair, theirs) in alphabets {
        for policy in EncodePolicy::all() {
            for _ in 0..TEXTS {
                let mut text = random.text();
                text.retain(|character| {
                    let text = character.to_string();
                    let ours = pair.encoding.encode(&text, EncodePolicy::Strict).ok();
                    ours.as_deref() == theirs.get(&character).map(Vec::as_slice)
                });
                let pieces = random.cut_text(&text);
                let mut request = format!("encode {} {policy}", pair.writes());
                for piece in &pieces {
                    request.push(' ');
                    request.push_str(&hexadecimal(piece.as_bytes()));
                }
                requests.push(request);
                expected.push(ours_written(pair.encoding, policy, &text, &pieces));
            }
        }
    }
    let answers = ask_python(&requests).expect("it answered a moment ago");
    for ((request, answer), expected) in requests.iter().zip(&answers).zip(&expected) {
        assert_eq!(expected, answer, "ours and Python's of: {request}");
    }
}

/// What we write, as Python says it.
fn ours_written(encoding: Encoding, policy: EncodePolicy, text: &str, pieces: &[&str]) -> String {
    let mut encoder = encoding.encoder(policy);
    let mut bytes = Vec::new();
    for piece in pieces {
        if let Err(error) = encoder.encode(piece, &mut bytes) {
            let offset = usize::try_from(error.offset()).expect("short");
            return format!("failed {}", text[..offset].chars().count());
        }
    }
    format!("bytes {}", hexadecimal(&bytes))
}

/// Numbers in no order, the same on every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// One to three characters of some script.
    fn characters(&mut self) -> String {
        let (_, sample) = SAMPLES[self.below(SAMPLES.len())];
        let skipped = self.below(sample.chars().count());
        let taken = 1 + self.below(3);
        sample.chars().skip(skipped).take(taken).collect()
    }

    /// Text of many scripts.
    fn text(&mut self) -> String {
        (0..20).map(|_| self.characters()).collect()
    }

    /// Text in `encoding`, with bytes missing, bytes added and bytes changed.
    fn stream(&mut self, encoding: Encoding) -> Vec<u8> {
        let mut stream = Vec::new();
        for _ in 0..30 {
            match self.below(8) {
                0 => stream.push(self.next() as u8),
                1 => stream.push(self.next() as u8 | 0x80),
                2 => stream.extend_from_slice(b"az"),
                3 => _ = stream.pop(),
                _ => {
                    let text = self.characters();
                    let bytes = encoding.encode(&text, EncodePolicy::Ignore);
                    stream.extend_from_slice(&bytes.expect("left out"));
                }
            }
        }
        stream
    }

    fn cut(&mut self, stream: &[u8]) -> Vec<Vec<u8>> {
        let mut rest = stream;
        let mut pieces = Vec::new();
        while rest.len() > 1 && self.below(20) > 0 {
            let (piece, behind) = rest.split_at(1 + self.below(rest.len().min(8)));
            pieces.push(piece.to_vec());
            rest = behind;
        }
        pieces.push(rest.to_vec());
        pieces
    }

    fn cut_text<'t>(&mut self, text: &'t str) -> Vec<&'t str> {
        let mut rest = text;
        let mut pieces = Vec::new();
        while rest.len() > 1 && self.below(20) > 0 {
            let places: Vec<usize> = rest.char_indices().map(|(place, _)| place).collect();
            let (piece, behind) = rest.split_at(places[self.below(places.len())]);
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        pieces
    }
}
