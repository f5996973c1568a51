//! How fast frames are cut from what has been read, beside a bare search for their marks and beside `tokio-util`.
//!
//!     cargo bench -p trunkline --bench codecs
//!
//! Every measurement is of the same work: 64 KiB of frames are in memory, as after one read, and all of them are
//! found. That `tokio-util` needs a buffer of its own kind filled for it is not measured.
//!
//! Criterion measures one subject after another; where neighbours disturb the machine, that compares their noise. So
//! the program ends with a table of ratios: all subjects in turn, in each of many rounds, and of each the median
//! of its ratios to the bare search in the same round.
#![forbid(unsafe_code)]
#![allow(missing_docs)] // criterion's macros make public functions

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group};
use memchr::memchr;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{AnyDelimiterCodec, Decoder, LengthDelimitedCodec, LinesCodec};
use trunkline::codec::{
    Cobs, Codec, Decoded, Delimiter, LengthPrefix, LineEnding, Lines, Netstring, Prefix,
};

const READ_BYTES: usize = 64 * 1024;

/// A codec whose frames are bytes.
trait ByteCodec: 'static + for<'a> Codec<Frame<'a> = &'a [u8], Message = [u8]> {}
impl<C: 'static + for<'a> Codec<Frame<'a> = &'a [u8], Message = [u8]>> ByteCodec for C {}

/// One read's worth of frames, each with what the codec adds exactly `frame_bytes` long.
fn read<C: ByteCodec>(codec: &C, frame_bytes: usize) -> Vec<u8> {
    // Letters in no order: what a search for a mark meets in text.
    let mut seed = 1_u32;
    let mut letter = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"etaoin shrdlucmfgypwbvkxjqz"[(seed >> 16) as usize % 27]
    };
    let mut encoded = Vec::new();
    let mut message: Vec<u8> = (0..frame_bytes).map(|_| letter()).collect();
    while {
        encoded.clear();
        codec
            .encode(&message, &mut encoded)
            .expect("letters hold no mark");
        encoded.len() > frame_bytes
    } {
        message.pop();
    }
    encoded.repeat(READ_BYTES / frame_bytes)
}

/// Finds every mark, one call after another, and adds up the lengths of what lies between.
fn scan(bytes: &[u8], mark: u8) -> usize {
    let (mut start, mut sum) = (0, 0);
    while let Some(offset) = memchr(mark, &bytes[start..]) {
        sum += black_box(&bytes[start..start + offset]).len();
        start += offset + 1;
    }
    sum
}

/// Cuts frames as the engine does, until there is none left.
fn cut<C: ByteCodec>(codec: &mut C, bytes: &[u8]) -> usize {
    let (mut start, mut sum) = (0, 0);
    while let Ok(Decoded::Frame { frame, consumed }) = codec.decode(&bytes[start..]) {
        sum += black_box(frame).len();
        start += consumed;
    }
    sum
}

/// Something to measure: finds all frames of one read once, and says how long that took.
struct Subject {
    name: &'static str,
    pass: Box<dyn FnMut() -> Duration>,
}

fn timed(work: impl FnOnce() -> usize) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn bare(bytes: Vec<u8>) -> Subject {
    let pass = move || timed(|| scan(black_box(&bytes), b'\n'));
    Subject {
        name: "memchr alone",
        pass: Box::new(pass),
    }
}

fn ours(name: &'static str, mut codec: impl ByteCodec, frame_bytes: usize) -> Subject {
    let bytes = read(&codec, frame_bytes);
    let pass = move || timed(|| cut(&mut codec, black_box(&bytes)));
    Subject {
        name,
        pass: Box::new(pass),
    }
}

fn theirs<D: Decoder<Item: AsRef<[u8]>> + 'static>(
    name: &'static str,
    mut codec: D,
    bytes: Vec<u8>,
) -> Subject {
    let mut cut = move |buffer: &mut BytesMut| {
        let mut sum = 0;
        while let Ok(Some(frame)) = codec.decode(buffer) {
            sum += black_box(frame).as_ref().len();
        }
        sum
    };
    let pass = move || {
        let mut buffer = BytesMut::from(&bytes[..]);
        timed(|| cut(black_box(&mut buffer)))
    };
    Subject {
        name,
        pass: Box::new(pass),
    }
}

/// The bare search first.
fn subjects(frame_bytes: usize) -> Vec<Subject> {
    let crlf = Lines::new()
        .accept(LineEnding::CrLf)
        .write(LineEnding::CrLf);
    let lines = read(&Lines::new(), frame_bytes);
    let lengths = read(&LengthPrefix::new(Prefix::U32), frame_bytes);
    let any = AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), b"\n".to_vec(), READ_BYTES);
    let checked = LinesCodec::new_with_max_length(READ_BYTES);
    vec![
        bare(lines.clone()),
        ours("Lines", Lines::new(), frame_bytes),
        ours("Lines, CRLF", crlf, frame_bytes),
        ours("Delimiter, 1 byte", Delimiter::new("\n"), frame_bytes),
        ours("Delimiter, 2 bytes", Delimiter::new("||"), frame_bytes),
        ours("Delimiter, 5 bytes", Delimiter::new("--=--"), frame_bytes),
        ours(
            "LengthPrefix, u32",
            LengthPrefix::new(Prefix::U32),
            frame_bytes,
        ),
        ours(
            "LengthPrefix, varint",
            LengthPrefix::new(Prefix::Varint),
            frame_bytes,
        ),
        ours("Netstring", Netstring::new(), frame_bytes),
        ours("Cobs", Cobs::new(), frame_bytes),
        theirs("tokio-util AnyDelimiterCodec", any, lines.clone()),
        theirs("tokio-util LinesCodec (checks UTF-8)", checked, lines),
        theirs(
            "tokio-util LengthDelimitedCodec, u32",
            LengthDelimitedCodec::new(),
            lengths,
        ),
    ]
}

fn codecs(criterion: &mut Criterion) {
    for frame_bytes in SIZES {
        let mut group = criterion.benchmark_group(format!("{frame_bytes}-byte frames"));
        group.throughput(Throughput::Bytes(READ_BYTES as u64));
        group.warm_up_time(Duration::from_millis(300));
        group.measurement_time(Duration::from_secs(2));
        for mut subject in subjects(frame_bytes) {
            group.bench_function(subject.name, |bencher| {
                bencher.iter_custom(|passes| (0..passes).map(|_| (subject.pass)()).sum());
            });
        }
        group.finish();
    }
}

/// Prints the median, and the middle half, of every subject's ratios to the first one in the same round.
fn print_ratios(frame_bytes: usize) {
    const ROUNDS: usize = 1001;
    let mut subjects = subjects(frame_bytes);
    let mut ratios = vec![Vec::with_capacity(ROUNDS); subjects.len()];
    for _ in 0..ROUNDS {
        // The shorter of two passes: the first one may have found cold caches.
        let times: Vec<Duration> = subjects
            .iter_mut()
            .map(|subject| (subject.pass)().min((subject.pass)()))
            .collect();
        for (ratios, time) in ratios.iter_mut().zip(&times) {
            ratios.push(time.as_secs_f64() / times[0].as_secs_f64());
        }
    }
    println!(
        "\n{frame_bytes}-byte frames: time as a multiple of memchr alone, {ROUNDS} interleaved rounds"
    );
    println!("{:40} {:>7} {:>15}", "", "median", "middle half");
    for (subject, mut ratios) in subjects.into_iter().zip(ratios) {
        ratios.sort_by(f64::total_cmp);
        let at = |part: usize| ratios[part * (ROUNDS - 1) / 4];
        println!(
            "{:40} {:7.2} {:>7.2} to {:.2}",
            subject.name,
            at(2),
            at(1),
            at(3)
        );
    }
}

const SIZES: [usize; 2] = [64, 1024];

criterion_group!(benches, codecs);

fn main() {
    benches();
    // Without the word a test run only asks whether the program works.
    if std::env::args().any(|word| word == "--bench") {
        SIZES.into_iter().for_each(print_ratios);
    }
    Criterion::default().configure_from_args().final_summary();
}
