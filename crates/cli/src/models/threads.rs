//! S6, a thread per connection: the main code accepts, and a thread of its own waits for each client and answers it.
//!
//! It reads like a program for one client, and uses all processors. What it costs: a stack for each client (pages of it are
//! taken as they are touched), a thread in the scheduler, and a switch of threads for every message. What clients
//! share would need locks; here that is only the book of who is there.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::accept::next_client;
use super::echo::echo;
use super::stop::Stop;
use super::tally::Tally;

pub(super) fn serve(listener: &TcpListener, stop: &Stop) -> io::Result<Tally> {
    let book = Book::default();
    // The scope ends when all of its threads have ended.
    thread::scope(|scope| -> io::Result<()> {
        while let Some(stream) = next_client(listener, stop)? {
            let stream = Arc::new(stream);
            let number = book.enter(&stream);
            let book = &book;
            let thread = thread::Builder::new().spawn_scoped(scope, move || {
                let result = echo(&stream);
                book.leave(number, result.is_ok());
            });
            if thread.is_err() {
                // No room for another thread: the client sees its connection closed.
                book.leave(number, false);
            }
        }
        book.hang_up();
        Ok(())
    })?;
    Ok(book.page().tally)
}

/// Who is there.
#[derive(Default)]
struct Book(Mutex<Page>);

#[derive(Default)]
struct Page {
    open: HashMap<u64, Arc<TcpStream>>,
    entered: u64,
    tally: Tally,
}

impl Book {
    fn page(&self) -> MutexGuard<'_, Page> {
        // No one panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, stream: &Arc<TcpStream>) -> u64 {
        let mut page = self.page();
        page.entered += 1;
        let number = page.entered;
        page.open.insert(number, Arc::clone(stream));
        page.tally.opened();
        number
    }

    fn leave(&self, number: u64, in_order: bool) {
        let mut page = self.page();
        page.open.remove(&number);
        page.tally.closed(in_order);
    }

    /// Nobody waits any longer for what a client might still say: what has come is answered, behind it is the end.
    fn hang_up(&self) {
        for stream in self.page().open.values() {
            let _ = stream.shutdown(Shutdown::Read);
        }
    }
}
