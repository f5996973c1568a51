//! How messages are written and answers are cut, which need not be the same.

use trunkline::{Codec, Decoded, FixedSize, FrameError};

use super::template::Template;
use crate::failure::Failure;
use crate::framing::Framing;

/// Messages one way, answers another.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    send: Framing,
    receive: Framing,
}

impl Wire {
    /// What `--frame` and `--reply` say.
    pub(crate) fn named(
        frame: &str,
        reply: Option<&str>,
        limit: usize,
        template: &Template,
    ) -> Result<Self, Failure> {
        let send = Framing::named(frame, limit)?;
        let mut receive = match reply {
            Some(reply) => Framing::named(reply, limit)?,
            None => send.clone(),
        };
        if !receive.has_messages() {
            // Where nothing marks an answer's end, it is as long as the message.
            receive = Framing::Fixed(FixedSize::new(template.size()));
        }
        Ok(Self { send, receive })
    }

    /// How many bytes a message has on its way.
    pub(crate) fn message_bytes(&self, template: &mut Template) -> Result<usize, Failure> {
        let mut encoded = Vec::new();
        // The numbers of a template never change its size, nor can they be a mark.
        let message = template.message(0, 0);
        self.send.encode(message, &mut encoded).map_err(|error| {
            let failure = Failure::usage(format!("cannot send this message: {error}"));
            match error {
                FrameError::ContainsMark => {
                    failure.with_hint("the framing adds the mark that ends a message by itself")
                }
                FrameError::WrongSize { expected, .. } => {
                    failure.with_hint(format!("--size {expected} fills it up"))
                }
                _ => failure.with_hint("a larger number, such as length:u32, can announce it"),
            }
        })?;
        Ok(encoded.len())
    }
}

impl Codec for Wire {
    type Frame<'a> = &'a [u8];
    type Message = [u8];

    #[inline]
    fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<&'a [u8]>, FrameError> {
        self.receive.decode(input)
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.receive.finish(input)
    }

    #[inline]
    fn encode(&self, message: &[u8], output: &mut Vec<u8>) -> Result<(), FrameError> {
        self.send.encode(message, output)
    }
}
