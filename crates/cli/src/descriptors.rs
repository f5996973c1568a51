//! The limit on open files and sockets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one. The soft limit is low (often 1024) for the sake of programs that use
/// `select` with a fixed table; this one does not, and every connection takes a descriptor.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is not allowed, the old limit still serves, with fewer connections.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
