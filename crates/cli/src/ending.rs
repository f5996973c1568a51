//! How a connection ended, in words.

use trunkline::Cause;

/// Why, as a clause: "closed", "cannot receive from 127.0.0.1:4711: connection reset".
pub(crate) fn describe(cause: &Cause) -> String {
    match cause {
        Cause::Finished => "closed".to_owned(),
        Cause::Aborted => "reset by this side".to_owned(),
        Cause::Failed(error) => error.to_string(),
        Cause::BadFrame(error) => format!("closed because of what it sent: {error}"),
        Cause::Overflow => "reset because it reads too slowly: its queue was full".to_owned(),
        Cause::TooSlow => {
            "reset because it reads too slowly: its queue stayed above the high watermark"
                .to_owned()
        }
        Cause::LingerExpired => "reset because the other side did not close in time".to_owned(),
        Cause::HandshakeExpired => {
            "closed because its first message did not come in time".to_owned()
        }
        Cause::FrameExpired => "closed because it did not finish a message in time".to_owned(),
        Cause::IdleExpired => "closed because it was idle for too long".to_owned(),
        Cause::WriteStalled => "reset because it took nothing of what waited for it".to_owned(),
        Cause::BelowRate => "reset because it was slower than it may be".to_owned(),
        Cause::LifetimeExpired => "closed because it was open as long as it may be".to_owned(),
        Cause::Stopped => "reset because this side stopped".to_owned(),
        Cause::Panicked(panic) => format!("reset because of a defect in this program: {panic}"),
        other => format!("ended: {other:?}"),
    }
}
