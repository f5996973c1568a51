//! Connections on their way from one network to another of the same world: accepted by one process' loop for another one.

use std::sync::{Arc, Mutex, PoisonError};

use super::endpoint::EndpointId;
use super::world::State;

/// Endpoints whose tickets were dropped.
pub(super) type Abandoned = Arc<Mutex<Vec<EndpointId>>>;

/// Stands for an accepted connection that no network has. It may cross threads, as a descriptor may; the world may not.
#[derive(Debug)]
pub(in super::super) struct Ticket {
    endpoint: EndpointId,
    abandoned: Option<Abandoned>,
}

impl Ticket {
    /// Gives the ticket away for its connection.
    pub(super) fn redeem(mut self) -> EndpointId {
        self.abandoned = None;
        self.endpoint
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(abandoned) = &self.abandoned {
            let mut abandoned = abandoned.lock().unwrap_or_else(PoisonError::into_inner);
            abandoned.push(self.endpoint);
        }
    }
}

impl State {
    pub(super) fn ticket(&self, endpoint: EndpointId) -> Ticket {
        Ticket {
            endpoint,
            abandoned: Some(Arc::clone(&self.abandoned)),
        }
    }

    /// Closes what was dropped on its way, as the kernel does with a descriptor.
    pub(super) fn close_abandoned(&mut self) {
        let abandoned = {
            let mut abandoned = self
                .abandoned
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *abandoned)
        };
        for endpoint in abandoned {
            self.close_endpoint(endpoint);
        }
    }
}
