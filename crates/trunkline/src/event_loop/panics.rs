//! Panics of the handler: they end the connection they happened on, and nothing else.
//!
//! Every callback is called through `guarded`, but for the frames of the usual way: there the whole turn is guarded, at no
//! cost for a turn in which nothing happens, and `serving` (or, once the cork is pulled, `pulled`) tells whose frame it
//! was. What was left undone by a panic is put right in `recover`.
//!
//! That a handler needs not be `UnwindSafe` is on purpose. What is the engine's is never half changed when a callback
//! runs, since a callback is called last or between steps; what is the handler's own may be, and it is told
//! ([`Handler::panicked`]).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::EventLoop;
use crate::core::Core;
use crate::handler::{Callback, Cause, Handler, Panic};
use crate::io::{ConnectionId, Io};
use crate::mutant::{Mutant, planted};
use crate::network::Network;
use crate::options::WhenPanicking;
use crate::trace;

/// What a panic carries.
pub(super) type Payload = Box<dyn Any + Send>;

/// Calls user code about connection `id`. `None` when it panicked: then that connection is to be reset.
#[inline]
pub(super) fn guarded<H: Handler, T>(
    handler: &mut H,
    core: &mut Core<H::Codec>,
    id: ConnectionId,
    callback: Callback,
    call: impl FnOnce(&mut H, &mut Io<'_, H>) -> T,
) -> Option<T> {
    match caught(|| call(handler, &mut Io { core, id })) {
        Ok(result) => Some(result),
        Err(payload) => {
            panicked(handler, core, id, callback, payload);
            None
        }
    }
}

/// Calls what may panic.
#[inline(always)]
pub(super) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Payload> {
    catch_unwind(AssertUnwindSafe(call))
}

/// Counts a panic, marks its connection for a reset, and tells the handler.
#[cold]
#[inline(never)]
fn panicked<H: Handler>(
    handler: &mut H,
    core: &mut Core<H::Codec>,
    id: ConnectionId,
    callback: Callback,
    payload: Payload,
) {
    if core.options.when_panicking == WhenPanicking::Propagate {
        resume_unwind(payload);
    }
    core.stats.panics += 1;
    let panic = Panic {
        callback,
        message: message(payload),
    };
    trace::panicked(id, &panic);
    // One that was never opened would be served for ever.
    if !planted(Mutant::PanicClosesNobody) || callback == Callback::Open {
        core.abort(id, Cause::Panicked(panic.clone()));
    }
    if caught(|| handler.panicked(&mut Io { core, id }, &panic)).is_err() {
        core.stats.panics += 1;
    }
}

fn message(payload: Payload) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(_) => "no message".to_owned(),
        },
    }
}

impl<H: Handler, N: Network> EventLoop<H, N> {
    /// Tells the handler something about connection `id`, if it has a state of the handler's: one that was refused has none.
    pub(super) fn tell(
        &mut self,
        id: ConnectionId,
        callback: Callback,
        call: impl FnOnce(&mut H, &mut H::State, &mut Io<'_, H>),
    ) {
        // Not by `session`, which would borrow all of the loop.
        let Some(Some(session)) = self.sessions.get_mut(id.0.index() as usize) else {
            return;
        };
        let Some(state) = session.state.as_mut() else {
            return;
        };
        guarded(
            &mut self.handler,
            &mut self.core,
            id,
            callback,
            |handler, io| call(handler, state, io),
        );
    }

    /// A turn was cut short by a panic: ends the connection it happened on, then goes on with the turn, so that no event
    /// of the others is lost.
    #[cold]
    #[inline(never)]
    pub(super) fn recover(&mut self, mut payload: Payload) {
        loop {
            self.end_panicked(payload);
            match caught(|| self.go_on()) {
                Ok(()) => return,
                Err(next) => payload = next,
            }
        }
    }

    fn end_panicked(&mut self, payload: Payload) {
        let nobody = ConnectionId::nobody();
        let id = if self.core.is_serving(ConnectionId::unserved()) {
            self.core.pulled
        } else {
            self.core.serving
        };
        if id == nobody {
            // Not in a callback: nothing is known of what is left, and the caller has to know.
            resume_unwind(payload);
        }
        if planted(Mutant::CorkKeptAfterPanic) {
            self.core.serving = ConnectionId::unserved();
        }
        // A message that was being encoded is the last in it; it is lost with the others.
        self.core.pull_cork_of(id);
        self.core.pulled = nobody;
        let (handler, core) = (&mut self.handler, &mut self.core);
        panicked(handler, core, id, Callback::Frame, payload);
        self.settle(id);
    }

    fn go_on(&mut self) {
        // It is not known any more whether there was a wake: it costs little to look.
        self.carried = self.again.len();
        self.work(true);
    }
}
