//! How many photos wait for a device.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many photos may be decoded, but not computed.
pub(super) struct QueueSlots {
    state: Mutex<QueueSlotsState>,
    changed: Condvar,
}

struct QueueSlotsState {
    /// With those that are taken.
    capacity: usize,
    free: usize,
    closed: bool,
}

impl QueueSlots {
    pub fn new(all: usize) -> Self {
        QueueSlots {
            state: Mutex::new(QueueSlotsState {
                capacity: all,
                free: all,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits for room for one more; false if none is to come any more.
    pub fn acquire(&self) -> bool {
        let full = |state: &mut QueueSlotsState| state.free == 0 && !state.closed;
        let waited = self.changed.wait_while(self.lock(), full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let is_open = !state.closed;
        if is_open {
            state.free -= 1;
        }
        is_open
    }

    /// Makes room for as many as left it.
    pub fn release(&self, count: usize) {
        self.lock().free += count;
        self.changed.notify_all();
    }

    /// Makes it one for `all`, if it was for less.
    pub fn grow_to(&self, all: usize) {
        let mut state = self.lock();
        let more = all.saturating_sub(state.capacity);
        state.capacity += more;
        state.free += more;
        self.changed.notify_all();
    }

    /// Lets nobody in any more, nor wait.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, QueueSlotsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes a room when dropped, so that nobody waits there for what a fault keeps from coming.
pub(super) struct CloseOnDrop<'r>(pub &'r QueueSlots);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_lets_in_what_it_is_for() {
        let room = QueueSlots::new(1);
        assert!(room.acquire());
        room.grow_to(2);
        room.grow_to(1);
        assert!(room.acquire());
        room.release(1);
        assert!(room.acquire());
        drop(CloseOnDrop(&room));
        assert!(!room.acquire());
    }
}
