//! S7, a process per connection, as `inetd` does it: the main code accepts and starts a program whose standard input and
//! output are the connection. The program is this one again, told to echo.
//!
//! Clients are kept apart by the kernel: none can take the others with it, and each could run as another user. What it
//! costs: a process for each client, which takes a millisecond or so to start and has page tables and data of its own.
//! And this server keeps a descriptor for each client, for one purpose: to let it finish when the server stops.

use std::collections::HashMap;
use std::env;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{self, Child, Command, ExitCode};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, WaitOptions, wait};
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::Signals;

use super::accept::next_client;
use super::die_with;
use super::echo::echo;
use super::stop::Stop;
use super::tally::Tally;
use crate::failure::Failure;

/// What the program is told when it serves one client.
const COMMAND: &str = "echo-standard-input";

pub(super) fn serve(listener: &TcpListener, stop: &Stop) -> io::Result<Tally> {
    let children = Arc::new(Children::new()?);
    let mut endings = Signals::new([SIGCHLD])?;
    let reaper = Arc::clone(&children);
    thread::spawn(move || endings.forever().for_each(|_| reaper.reap()));
    while let Some(stream) = next_client(listener, stop)? {
        // One that cannot be started is counted; its client sees the connection closed.
        let _ = children.start(stream);
    }
    Ok(children.finish())
}

/// The other end of [`Children::start`]: serves the client that is standard input and output.
pub(crate) fn serve_standard_input(server: i32) -> Result<ExitCode, Failure> {
    let cannot = |error: io::Error| Failure::failed(format!("cannot serve this client: {error}"));
    // When the server is killed, so are we.
    die_with(server)?;
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(cannot)?;
    // A client that vanishes is nobody's mistake: only the exit code tells.
    Ok(match echo(&TcpStream::from(input)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// The processes that serve clients.
struct Children {
    program: PathBuf,
    book: Mutex<Book>,
    left: Condvar,
}

#[derive(Default)]
struct Book {
    open: HashMap<u32, (Child, TcpStream)>,
    tally: Tally,
}

impl Children {
    fn new() -> io::Result<Self> {
        Ok(Self {
            program: env::current_exe()?,
            book: Mutex::default(),
            left: Condvar::new(),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // No one panics half-way through a change.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, stream: TcpStream) -> io::Result<()> {
        // Held until the child is in the book: nobody reaps one that is not.
        let mut book = self.book();
        book.tally.opened();
        match self.spawn(&stream) {
            Ok(child) => {
                book.open.insert(child.id(), (child, stream));
                Ok(())
            }
            Err(error) => {
                book.tally.closed(false);
                Err(error)
            }
        }
    }

    fn spawn(&self, stream: &TcpStream) -> io::Result<Child> {
        Command::new(&self.program)
            .args([COMMAND, &process::id().to_string()])
            .stdin(OwnedFd::from(stream.try_clone()?))
            .stdout(OwnedFd::from(stream.try_clone()?))
            // Ctrl-C reaches everybody in the terminal's group; these are to finish in peace.
            .process_group(0)
            .spawn()
    }

    /// Takes leave of all who have ended. One signal may stand for several.
    fn reap(&self) {
        let mut book = self.book();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let number = Pid::as_raw_nonzero(pid).get().unsigned_abs();
            if book.open.remove(&number).is_some() {
                book.tally.closed(status.exit_status() == Some(0));
            }
        }
        self.left.notify_all();
    }

    /// Lets everybody answer what has come, and waits until all have ended.
    fn finish(&self) -> Tally {
        let mut book = self.book();
        for (_, stream) in book.open.values() {
            // A connection is shut down for all who hold it.
            let _ = stream.shutdown(Shutdown::Read);
        }
        while !book.open.is_empty() {
            book = self.left.wait(book).unwrap_or_else(PoisonError::into_inner);
        }
        book.tally
    }
}
