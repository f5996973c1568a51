//! temporary
use crate::codec::FrameError;
use std::io::IoSlice;
use std::sync::Arc;
#[derive(Default)]
pub(crate) struct Spare;
#[derive(Default)]
pub(crate) struct Outbound {
    b: Vec<u8>,
    h: usize,
}
pub(crate) enum Appended {
    Queued,
    OverLimit,
}
impl Outbound {
    pub(crate) fn append_with(
        &mut self,
        _: &mut Spare,
        l: usize,
        f: impl FnOnce(&mut Vec<u8>) -> Result<(), FrameError>,
    ) -> Result<Appended, FrameError> {
        let n = self.b.len();
        f(&mut self.b)?;
        if self.bytes() > l {
            self.b.truncate(n);
            return Ok(Appended::OverLimit);
        }
        Ok(Appended::Queued)
    }
    pub(crate) fn push_shared(&mut self, _: &mut Spare, l: usize, b: Arc<[u8]>) -> bool {
        if self.bytes() + b.len() > l {
            return false;
        }
        self.b.extend_from_slice(&b);
        true
    }
    pub(crate) fn bytes(&self) -> usize {
        self.b.len() - self.h
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }
    pub(crate) fn slices<'a>(&'a self, o: &mut [IoSlice<'a>]) -> usize {
        o[0] = IoSlice::new(&self.b[self.h..]);
        1
    }
    pub(crate) fn consume(&mut self, n: usize, _: &mut Spare) {
        self.h += n;
        if self.h == self.b.len() {
            self.b.clear();
            self.h = 0
        }
    }
    pub(crate) fn clear(&mut self, _: &mut Spare) -> usize {
        let n = self.bytes();
        self.b = Vec::new();
        self.h = 0;
        n
    }
}
