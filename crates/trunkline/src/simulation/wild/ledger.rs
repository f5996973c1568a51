//! What every peer of a wild life has sent and got, and what it should have got: the model.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

/// One accepted connection, as its peer sees it.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// What the peer has written.
    pub(super) sent: Vec<u8>,
    /// What the server has queued for it.
    pub(super) queued: Stream,
    /// How much of that the peer has read.
    pub(super) got: usize,
    /// The peer reads whatever comes, until the end.
    pub(super) reads: bool,
    /// The peer has left.
    pub(super) left: bool,
}

/// What is queued on a connection, message by message: bytes that are to come, less what was dropped.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) bytes: Vec<u8>,
    /// Those of which perhaps a part is not written yet, oldest first.
    messages: VecDeque<Message>,
    /// From now on messages are told apart.
    pub(super) keeps_bounds: bool,
}

#[derive(Debug)]
struct Message {
    start: usize,
    length: usize,
    key: Option<u64>,
    has_bounds: bool,
}

/// What the engine says about a message that was queued.
pub(super) struct Exchange {
    pub(super) key: Option<u64>,
    pub(super) replaced: u64,
    pub(super) dropped_oldest: u64,
}

impl Stream {
    /// Queues `line`, when `waiting` bytes wait to be written; says how many do then, by the model.
    pub(super) fn queue(
        &mut self,
        line: &[u8],
        waiting: usize,
        exchange: &Exchange,
    ) -> Result<usize, String> {
        let written = self
            .bytes
            .len()
            .checked_sub(waiting)
            .ok_or("more waits than was queued")?;
        while let Some(first) = self.messages.front()
            && first.start + first.length <= written
        {
            self.messages.pop_front();
        }
        for _ in 0..exchange.dropped_oldest {
            let oldest = |message: &Message| message.has_bounds && message.start >= written;
            let Some(position) = self.messages.iter().position(oldest) else {
                return Err("a message was dropped, and none may be".into());
            };
            self.splice(position, &[]);
            self.messages.remove(position);
        }
        let same = |message: &Message| {
            message.has_bounds && message.start >= written && message.key == exchange.key
        };
        let older = exchange
            .key
            .and_then(|_| self.messages.iter().rposition(same));
        if u64::from(older.is_some()) != exchange.replaced {
            return Err(format!(
                "replaced {} messages, one with its key waits: {}",
                exchange.replaced,
                older.is_some()
            ));
        }
        if let Some(position) = older {
            self.splice(position, line);
        } else {
            self.messages.push_back(Message {
                start: self.bytes.len(),
                length: line.len(),
                key: exchange.key,
                has_bounds: self.keeps_bounds,
            });
            self.bytes.extend_from_slice(line);
        }
        Ok(self.bytes.len() - written)
    }

    /// Puts `line` in the place of a message.
    fn splice(&mut self, position: usize, line: &[u8]) {
        let Message { start, length, .. } = self.messages[position];
        self.bytes
            .splice(start..start + length, line.iter().copied());
        self.messages[position].length = line.len();
        for later in self.messages.range_mut(position + 1..) {
            later.start = later.start - length + line.len();
        }
    }
}

/// All accepted connections, by the peer's own address.
pub(super) type Ledger = Rc<RefCell<BTreeMap<SocketAddr, Entry>>>;

impl Entry {
    /// The peer has read `bytes`; says what is wrong with them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let end = self.got + bytes.len();
        if self.queued.bytes.get(self.got..end) != Some(bytes) {
            return Err(format!(
                "wrong bytes after {} of {} good ones: {:?}",
                self.got,
                self.queued.bytes.len(),
                String::from_utf8_lossy(bytes)
            ));
        }
        self.got = end;
        Ok(())
    }

    /// The peer has read the end of the stream, which comes behind everything.
    pub(super) fn end(&self) -> Result<(), String> {
        if self.got == self.queued.bytes.len() {
            return Ok(());
        }
        let missing = self.queued.bytes.len() - self.got;
        Err(format!(
            "the stream ended, and {missing} bytes that were queued never came"
        ))
    }
}
