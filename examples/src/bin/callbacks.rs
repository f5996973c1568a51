//! S11, callbacks: any data rides with a registration and comes back with its event, a function too.
//!
//!     callbacks ADDRESS [COUNT]          ends when COUNT clients have come and gone
//!
//! The loop knows nothing of servers and clients: it asks who is ready and calls the function that was
//! registered. A callback cannot change the selector while the selector lends it out; it returns what is to be done.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::rc::Rc;

use trunkline_selectors::{Interest, Readiness, Selector};

/// What a callback wants of the loop.
enum Request {
    Nothing,
    Register(Source, Callback),
    Unregister,
}

/// Sources of any kind. The callback holds its own share, of the type that it knows.
type Source = Rc<dyn AsFd>;
type Callback = Box<dyn FnMut(Readiness) -> io::Result<Request>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, rest @ ..] = &arguments[..] else {
        return Err("usage: callbacks ADDRESS [COUNT]".into());
    };
    let mut to_serve: usize = rest
        .first()
        .map_or(Ok(usize::MAX), |number| number.parse())?;

    let listener = Rc::new(TcpListener::bind(address)?);
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);

    let mut selector: Selector<Source, Callback> = Selector::new()?;
    let when_somebody_calls = accepting(Rc::clone(&listener));
    selector.register(listener, Interest::READ, when_somebody_calls)?;

    while to_serve > 0 {
        selector.select(None)?;
        while let Some(event) = selector.next_event() {
            let Some(callback) = selector.data_mut(event.key) else {
                continue;
            };
            match callback(event.readiness)? {
                Request::Nothing => {}
                Request::Register(source, callback) => {
                    selector.register(source, Interest::READ, callback)?;
                }
                Request::Unregister => {
                    // Gives the callback back; dropping it drops the last share of the source, which closes it.
                    selector.unregister(event.key);
                    to_serve -= 1;
                }
            }
        }
    }
    Ok(())
}

/// The callback of the listener: a client calls, so its stream gets a callback of its own.
fn accepting(listener: Rc<TcpListener>) -> Callback {
    let mut number = 0;
    Box::new(move |_| {
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::ConnectionAborted
                ) =>
            {
                return Ok(Request::Nothing);
            }
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        number += 1;
        println!("client {number} is {peer}");
        let stream = Rc::new(stream);
        let when_it_speaks = answering(Rc::clone(&stream), number);
        Ok(Request::Register(stream, when_it_speaks))
    })
}

/// The callback of one client. Its state is what the closure keeps.
fn answering(stream: Rc<TcpStream>, number: usize) -> Callback {
    let mut received = 0;
    Box::new(move |_| {
        let mut buffer = [0; 1024];
        match (&*stream).read(&mut buffer) {
            Ok(0) => Ok(Request::Unregister),
            Ok(count) => {
                received += count;
                let answer = format!("client {number}, {received} bytes so far\n");
                // An answer this short fits into the socket's buffer; a client that lets even that fill up is
                // dropped. The other servers show queues instead.
                match (&*stream).write_all(answer.as_bytes()) {
                    Ok(()) => Ok(Request::Nothing),
                    Err(_) => Ok(Request::Unregister),
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Request::Nothing),
            Err(_) => Ok(Request::Unregister),
        }
    })
}
