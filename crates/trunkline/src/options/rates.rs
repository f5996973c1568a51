//! How fast bytes may come and go, and how slowly.

use std::time::Duration;

/// How many bytes a connection may send and receive in a second, and how few. `None` is no limit, and costs nothing.
///
/// Who sends faster is read from more slowly: its bytes wait in its own kernel. What we send faster is held back, and counts as
/// queued. Both are smooth to an eighth of a second: in any time not more comes or goes than the rate allows in that
/// time and an eighth of a second more.
///
/// Who is slower than [`least_bytes_per_second`](Rates::least_bytes_per_second) loses its connection.
///
/// ```
/// use trunkline::Rates;
///
/// let rates = Rates { in_bytes_per_second: Some(64 * 1024), ..Rates::default() };
/// assert_eq!(rates.out_bytes_per_second, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    /// Bytes read from a connection in a second at most; fewer than one count as one.
    pub in_bytes_per_second: Option<u64>,
    /// Bytes written to a connection in a second at most; fewer than one count as one.
    pub out_bytes_per_second: Option<u64>,
    /// The least that a peer has to send while it is in the middle of frames, and to take while output waits for it. One
    /// that falls behind during a whole [`window`](Rates::window) is reset
    /// ([`Cause::BelowRate`](crate::Cause::BelowRate)). The time in which nothing is under way, or we hold back
    /// ourselves, does not count.
    pub least_bytes_per_second: Option<u64>,
    /// Over what time the least is asked for. The precision is that of [`Deadlines`](crate::Deadlines).
    pub window: Duration,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            in_bytes_per_second: None,
            out_bytes_per_second: None,
            least_bytes_per_second: None,
            window: Duration::from_secs(10),
        }
    }
}

impl Rates {
    /// Is there any limit?
    pub(crate) fn any(&self) -> bool {
        self.in_bytes_per_second.is_some()
            || self.out_bytes_per_second.is_some()
            || self.least_bytes_per_second.is_some()
    }
}
