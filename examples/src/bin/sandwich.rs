//! S17, the Unicode sandwich: bytes become text at the receiving edge, text becomes bytes at the sending edge, and inside
//! there is text alone.
//!
//!     sandwich ADDRESS ENCODING [POLICY [COUNT]]     ends when COUNT clients have come and gone
//!
//! Sends each line back from right to left, which only works on characters: bytes turned round are no text any more. The
//! encoding is named (`utf-8`, `latin1`, `cp1252`, `cp037` …), never guessed. POLICY says what becomes of what cannot be
//! read or written: `strict` (the default: the connection is closed), `replace`, `ignore` or `backslashreplace`.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;

use trunkline::text::{DecodePolicy, EncodePolicy, Encoding};
use trunkline::{
    Cause, Closed, Flow, Frame, Handler, Io, LengthPrefix, Prefix, Sent, Server, Text,
};

struct Reverse {
    codec: Text<LengthPrefix>,
    to_serve: usize,
}

impl Handler for Reverse {
    /// Two edges in one: where a message ends, and what its bytes mean. A length goes with every encoding; the end of a
    /// line is a byte that in some of them is also part of a character.
    type Codec = Text<LengthPrefix>;
    type State = ();
    type Message = ();

    fn codec(&self) -> Text<LengthPrefix> {
        self.codec.clone()
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        Some(())
    }

    /// `text` is a `&str`: whole and checked, however the network cut its bytes.
    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, text: Frame<'_, Self>) -> Flow {
        let reversed: String = text.chars().rev().collect();
        match io.send(&reversed) {
            Sent::Queued | Sent::AboveHigh => Flow::Continue,
            _ => Flow::Close,
        }
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        if let Cause::BadFrame(error) = closed.cause {
            println!("closed: {error}");
        }
        self.to_serve -= 1;
        if self.to_serve == 0 {
            io.stop();
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, encoding, rest @ ..] = &arguments[..] else {
        return Err("usage: sandwich ADDRESS ENCODING [POLICY [COUNT]]".into());
    };
    // An unknown name is an error that suggests the nearest one.
    let encoding: Encoding = encoding.parse()?;
    let policy = rest.first().map_or("strict", String::as_str);
    let (decode, encode): (DecodePolicy, EncodePolicy) = (policy.parse()?, policy.parse()?);
    let to_serve = rest
        .get(1)
        .map_or(Ok(usize::MAX), |number| number.parse())?;

    let codec = Text::new(LengthPrefix::new(Prefix::U8), encoding)
        .decode_policy(decode)
        .encode_policy(encode);
    let server = Server::new(Reverse { codec, to_serve })
        .listen(address)
        .start()?;
    println!("listening on {}", server.local_addresses()[0]);
    server.run()?;
    Ok(())
}
