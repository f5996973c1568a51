//! How fast bytes become text and text becomes bytes, beside a copy, the standard library's check of UTF-8, and
//! `encoding_rs` as it is.
//!
//!     cargo bench -p trunkline --bench text
//!
//! Every measurement is of the same 64 KiB, as after one read. Compare within one run only.
#![forbid(unsafe_code)]
#![allow(missing_docs)] // criterion's macros make public functions

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trunkline::codec::{Codec, Decoded, Lines, Text};
use trunkline::text::{DecodePolicy, EncodePolicy, Encoding};

const READ_BYTES: usize = 64 * 1024;

/// Text of every kind of length that UTF-8 has, in lines.
const MIXED: &str =
    "The quick brown fox: příliš žluťoučký kůň, съешь ещё булок.\nいろはにほへと 다람쥐 🚂🚃\n";
const SHORT: &str = "sixteen letters\n";
const ASCII: &str = "GET /trunkline?line=1 HTTP/1.1, and so on, as most of what is sent is.\n";

/// As much of `text`, again and again, as `encoding` writes into one read.
fn read(encoding: Encoding, text: &str) -> Vec<u8> {
    let one = encoding
        .encode(text, EncodePolicy::Ignore)
        .expect("what it lacks is left out");
    one.repeat(READ_BYTES / one.len())
}

fn decode(criterion: &mut Criterion, name: &str, encoding: Encoding, text: &str) {
    let bytes = read(encoding, text);
    let mut group = criterion.benchmark_group(format!("decode/{name}"));
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let mut output = String::with_capacity(4 * READ_BYTES);
    group.bench_function("trunkline", |bencher| {
        let mut decoder = encoding.decoder(DecodePolicy::Strict);
        bencher.iter(|| {
            output.clear();
            decoder
                .decode(black_box(&bytes), &mut output, false)
                .expect("well-formed");
            black_box(output.len())
        });
    });
    if encoding == Encoding::Utf8 {
        group.bench_function("check", |bencher| {
            bencher.iter(|| std::str::from_utf8(black_box(&bytes)).map(str::len));
        });
        group.bench_function("check and copy", |bencher| {
            bencher.iter(|| {
                output.clear();
                let text = std::str::from_utf8(black_box(&bytes)).expect("well-formed");
                output.push_str(text);
                black_box(output.len())
            });
        });
    }
    let mut copy = Vec::with_capacity(READ_BYTES);
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            copy.clear();
            copy.extend_from_slice(black_box(&bytes));
            black_box(copy.len())
        });
    });
    if let Some(web) = encoding_rs::Encoding::for_label(encoding.name().as_bytes()) {
        group.bench_function("encoding_rs", |bencher| {
            bencher.iter(|| {
                output.clear();
                let mut decoder = web.new_decoder_without_bom_handling();
                let (result, _) = decoder.decode_to_string_without_replacement(
                    black_box(&bytes),
                    &mut output,
                    false,
                );
                black_box((result, output.len()))
            });
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion, name: &str, encoding: Encoding, text: &str) {
    let bytes = read(encoding, text);
    let text = encoding
        .decode(&bytes, DecodePolicy::Strict)
        .expect("well-formed");
    let mut group = criterion.benchmark_group(format!("encode/{name}"));
    group.throughput(Throughput::Bytes(text.len() as u64));
    let mut output = Vec::with_capacity(4 * READ_BYTES);
    group.bench_function("trunkline", |bencher| {
        let mut encoder = encoding.encoder(EncodePolicy::Strict);
        bencher.iter(|| {
            output.clear();
            encoder
                .encode(black_box(&text), &mut output)
                .expect("all can be written");
            black_box(output.len())
        });
    });
    if let Some(web) = encoding_rs::Encoding::for_label(encoding.name().as_bytes())
        && web == web.output_encoding()
    {
        group.bench_function("encoding_rs", |bencher| {
            bencher.iter(|| {
                output.clear();
                let mut encoder = web.new_encoder();
                let (result, _) = encoder.encode_from_utf8_to_vec_without_replacement(
                    black_box(&text),
                    &mut output,
                    true,
                );
                black_box((result, output.len()))
            });
        });
    }
    group.finish();
}

/// Lines of bytes, checked one by one, beside lines of text.
fn frames(criterion: &mut Criterion) {
    for (name, text) in [("short", SHORT), ("ASCII", ASCII), ("mixed", MIXED)] {
        let bytes = read(Encoding::Utf8, text);
        let mut group = criterion.benchmark_group(format!("lines/{name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("trunkline, bytes", |bencher| {
            let mut codec = Lines::new();
            bencher.iter(|| {
                let (mut used, mut sum) = (0, 0);
                while let Ok(Decoded::Frame { frame, consumed }) =
                    codec.decode(black_box(&bytes[used..]))
                {
                    sum += black_box(frame).len();
                    used += consumed;
                }
                sum
            });
        });
        group.bench_function("trunkline, text", |bencher| {
            let mut codec = Text::new(Lines::new(), Encoding::Utf8);
            bencher.iter(|| {
                let (mut used, mut sum) = (0, 0);
                while let Ok(Decoded::Frame { frame, consumed }) =
                    codec.decode(black_box(&bytes[used..]))
                {
                    sum += black_box(frame).len();
                    used += consumed;
                }
                sum
            });
        });
        group.bench_function("trunkline, bytes, then std's check", |bencher| {
            let mut codec = Lines::new();
            bencher.iter(|| {
                let (mut used, mut sum) = (0, 0);
                while let Ok(Decoded::Frame { frame, consumed }) =
                    codec.decode(black_box(&bytes[used..]))
                {
                    let text = std::str::from_utf8(frame).expect("well-formed");
                    sum += black_box(text).len();
                    used += consumed;
                }
                sum
            });
        });
        group.finish();
    }
}

fn decoding(criterion: &mut Criterion) {
    decode(criterion, "UTF-8, ASCII", Encoding::Utf8, ASCII);
    decode(criterion, "UTF-8, mixed", Encoding::Utf8, MIXED);
    decode(criterion, "UTF-16LE, mixed", Encoding::Utf16Le, MIXED);
    decode(criterion, "UTF-32LE, mixed", Encoding::Utf32Le, MIXED);
    decode(
        criterion,
        "windows-1251, ASCII",
        Encoding::Windows1251,
        ASCII,
    );
    decode(
        criterion,
        "windows-1251, mixed",
        Encoding::Windows1251,
        MIXED,
    );
    decode(criterion, "IBM037, ASCII", Encoding::Ibm037, ASCII);
    decode(criterion, "Shift_JIS, mixed", Encoding::ShiftJis, MIXED);
    decode(criterion, "GB18030, mixed", Encoding::Gb18030, MIXED);
}

fn encoding(criterion: &mut Criterion) {
    encode(criterion, "UTF-8, mixed", Encoding::Utf8, MIXED);
    encode(criterion, "UTF-16LE, mixed", Encoding::Utf16Le, MIXED);
    encode(
        criterion,
        "windows-1251, mixed",
        Encoding::Windows1251,
        MIXED,
    );
    encode(criterion, "Shift_JIS, mixed", Encoding::ShiftJis, MIXED);
    encode(criterion, "GB18030, mixed", Encoding::Gb18030, MIXED);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = decoding, encoding, frames
}
criterion_main!(benches);
