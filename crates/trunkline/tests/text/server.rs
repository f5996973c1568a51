//! A server of text: its handler is given `&str` and sends `str`, whatever is on the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use trunkline::codec::{FrameError, Lines, Text};
use trunkline::text::{EncodePolicy, Encoding};
use trunkline::{Cause, Closed, Flow, Frame, Handler, Io, Sent, Server, WhenPanicking};

/// Answers each line in capitals; `euro` asks for a character that not every encoding has.
struct Capitals {
    encoding: Encoding,
    causes: Sender<Cause>,
}

impl Handler for Capitals {
    type Codec = Text<Lines>;
    type State = ();
    type Message = ();

    fn codec(&self) -> Text<Lines> {
        Text::new(Lines::new(), self.encoding)
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, line: Frame<'_, Self>) -> Flow {
        let answer = match line {
            "euro" => "€".to_owned(),
            line => line.to_uppercase(),
        };
        if let Sent::Rejected(error) = io.send(&answer) {
            assert_eq!(
                io.send(&format!("no: {error}").replace('€', "euro")),
                Sent::Queued
            );
        }
        Flow::Continue
    }

    fn closed(&mut self, (): (), _io: &mut Io<'_, Self>, closed: Closed) {
        // The test may not be interested.
        let _ = self.causes.send(closed.cause);
    }
}

/// Runs `client` against a server in `encoding`; returns how its connection ended.
fn serve(encoding: Encoding, client: impl FnOnce(SocketAddr) + Send) -> Cause {
    let (causes, ended) = channel();
    let server = Server::new(Capitals { encoding, causes })
        .listen("127.0.0.1:0")
        .when_panicking(WhenPanicking::Propagate);
    let server = server.start().expect("a free port");
    let (address, remote) = (server.local_addresses()[0], server.remote());
    thread::scope(|scope| {
        let playing = scope.spawn(move || {
            // The server has to end even when the client finds something wrong.
            let played = catch_unwind(AssertUnwindSafe(|| client(address)));
            let cause = ended.recv_timeout(Duration::from_secs(30));
            remote.stop();
            played.map(|()| cause.expect("every connection ends"))
        });
        server.run().expect("nothing fails");
        let played = playing.join().expect("what it catches it returns");
        played.unwrap_or_else(|wrong| resume_unwind(wrong))
    })
}

#[test]
fn bytes_become_text_and_text_becomes_bytes_at_the_edges() {
    for (encoding, line, capitals) in [
        (Encoding::Iso8859_1, "café\n", "CAFÉ\n"),
        (
            Encoding::Utf8,
            "caf\u{e9} a\u{300}\n",
            "CAF\u{c9} A\u{300}\n",
        ),
        (Encoding::Koi8R, "съешь булок\n", "СЪЕШЬ БУЛОК\n"),
    ] {
        let bytes = |text| {
            let bytes = encoding.encode(text, EncodePolicy::Strict);
            bytes.expect("it has these").into_owned()
        };
        let cause = serve(encoding, |address| {
            let mut stream = TcpStream::connect(address).expect("it listens");
            let mut answers = BufReader::new(stream.try_clone().expect("a descriptor"));
            stream.set_nodelay(true).expect("a socket option");
            for byte in bytes(line) {
                stream.write_all(&[byte]).expect("it reads");
            }
            let mut answer = Vec::new();
            answers.read_until(b'\n', &mut answer).expect("it answers");
            assert_eq!(answer, bytes(capitals), "{encoding}");
            stream.shutdown(Shutdown::Write).expect("still open");
            answers.read_to_end(&mut answer).expect("it finishes");
        });
        assert!(matches!(cause, Cause::Finished), "{cause:?}");
    }
}

#[test]
fn bytes_that_are_no_text_close_the_connection_and_say_where() {
    let cause = serve(Encoding::Ascii, |address| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(b"good\nna\xefve\n").expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it closes in order");
        assert_eq!(answer, b"GOOD\n");
    });
    let Cause::BadFrame(FrameError::Text(error)) = cause else {
        panic!("it is not about text: {cause:?}");
    };
    assert_eq!((error.offset(), error.bytes()), (2, &b"\xef"[..]));
}

#[test]
fn text_that_cannot_be_written_is_told_to_the_handler() {
    let _ = serve(Encoding::Iso8859_1, |address| {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(b"euro\n").expect("it reads");
        stream.shutdown(Shutdown::Write).expect("still open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it finishes");
        assert_eq!(
            answer,
            "no: character 'euro' (U+20AC) at offset 0 cannot be written in ISO-8859-1; \
             the policies replace, ignore, backslashreplace and xmlcharrefreplace let it pass\n"
        );
    });
}
