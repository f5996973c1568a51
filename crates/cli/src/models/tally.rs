//! What a model counts, and says when it ends: the same as the engine's summary.

/// Counts connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    served: u64,
    errors: u64,
    open: u64,
    peak: u64,
}

impl Tally {
    pub(crate) fn opened(&mut self) {
        self.served += 1;
        self.open += 1;
        self.peak = self.peak.max(self.open);
    }

    pub(crate) fn closed(&mut self, in_order: bool) {
        self.open -= 1;
        self.errors += u64::from(!in_order);
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "echo: served {}, errors {}, peak {}",
            self.served, self.errors, self.peak
        )
    }
}
