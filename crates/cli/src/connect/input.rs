//! Standard input, read on a thread of its own because reading it may block.

use std::io::{self, Read};
use std::sync::mpsc::Receiver;
use std::thread;

use trunkline::Remote;

use crate::failure::Failure;

/// What is read and sent at a time.
pub(crate) const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// What the reading thread tells the loop.
#[derive(Debug)]
pub(crate) enum Input {
    Chunk(Box<[u8]>),
    End,
    Failed(io::Error),
}

/// Reads to the end, and posts one chunk for each permit. It is one chunk ahead at most. The thread is not waited
/// for: when the servers have closed, nobody cares what would have been typed next.
pub(crate) fn spawn(remote: Remote<Input>, permits: Receiver<()>) -> Result<(), Failure> {
    let body = move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        loop {
            let input = match stdin.read(&mut buffer) {
                Ok(0) => Input::End,
                Ok(count) => Input::Chunk(buffer[..count].into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Input::Failed(error),
            };
            let more = matches!(input, Input::Chunk(_));
            // Without a permit, or with the message given back, the loop has ended.
            if permits.recv().is_err() || remote.post(input).is_err() || !more {
                return;
            }
        }
    };
    let spawned = thread::Builder::new().name("stdin".to_owned()).spawn(body);
    spawned
        .map(drop)
        .map_err(|error| Failure::failed(format!("cannot read standard input: {error}")))
}
