//! Bounds how many photos wait, decoded, for a device.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Counting semaphore for photos that are decoded but not computed; it can grow, and be closed.
pub(super) struct QueueSlots {
    state: Mutex<QueueSlotsState>,
    changed: Condvar,
}

struct QueueSlotsState {
    /// All slots, those in use included.
    capacity: usize,
    free: usize,
    closed: bool,
}

impl QueueSlots {
    /// A semaphore with `capacity` free slots.
    pub fn new(capacity: usize) -> Self {
        QueueSlots {
            state: Mutex::new(QueueSlotsState {
                capacity,
                free: capacity,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Takes a slot, waiting until one is free; false once closed.
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

    /// Gives `count` slots back.
    pub fn release(&self, count: usize) {
        self.lock().free += count;
        self.changed.notify_all();
    }

    /// Raises the capacity to `capacity`; it never shrinks.
    pub fn grow_to(&self, capacity: usize) {
        let mut state = self.lock();
        let more = capacity.saturating_sub(state.capacity);
        state.capacity += more;
        state.free += more;
        self.changed.notify_all();
    }

    /// Ends all waiting: every [`QueueSlots::acquire`] returns false from now on.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, QueueSlotsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the slots when dropped, so that the feeder does not wait forever if the dispatcher ends or panics.
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
    fn slots_are_limited_and_grow_until_closed() {
        let slots = QueueSlots::new(1);
        assert!(slots.acquire());
        slots.grow_to(2);
        slots.grow_to(1);
        assert!(slots.acquire());
        slots.release(1);
        assert!(slots.acquire());
        drop(CloseOnDrop(&slots));
        assert!(!slots.acquire());
    }
}
