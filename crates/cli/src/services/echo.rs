//! Sends every byte back: the smallest service.

use std::convert::Infallible;

use trunkline::{Closed, Codec, Flow, Frame, Handler, Io, Sent};

use super::Log;

/// An echo needs no end-of-message mark: unless told otherwise its codec gives the bytes as they come, in pieces of
/// any size.
pub(crate) struct Echo<C> {
    pub(crate) log: Log,
    pub(crate) codec: C,
}

impl<C> Handler for Echo<C>
where
    C: 'static + for<'a> Codec<Frame<'a> = &'a [u8], Message = [u8]>,
{
    type Codec = C;
    /// There is nothing to remember about a connection.
    type State = ();
    /// No other thread has anything to say to this service.
    type Message = Infallible;

    fn codec(&self) -> C {
        self.codec.clone()
    }

    fn open(&mut self, io: &mut Io<'_, Self>) -> Option<()> {
        self.log.opened(io);
        Some(())
    }

    #[inline]
    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, bytes: Frame<'_, Self>) -> Flow {
        match io.send(bytes) {
            // Hardly ever: what came as a message can be sent as one.
            Sent::Rejected(_) => Flow::Close,
            _ => Flow::Continue,
        }
    }

    fn closed(&mut self, (): (), io: &mut Io<'_, Self>, closed: Closed) {
        self.log.closed(io, &closed);
    }
}
