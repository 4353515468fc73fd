//! How many photos wait for a device.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many photos may be decoded, but not computed.
pub(super) struct Room {
    state: Mutex<RoomState>,
    changed: Condvar,
}

struct RoomState {
    /// With those that are taken.
    all: usize,
    free: usize,
    closed: bool,
}

impl Room {
    pub fn new(all: usize) -> Self {
        Room {
            state: Mutex::new(RoomState {
                all,
                free: all,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits for room for one more; false if none is to come any more.
    pub fn enter(&self) -> bool {
        let full = |state: &mut RoomState| state.free == 0 && !state.closed;
        let waited = self.changed.wait_while(self.lock(), full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let is_open = !state.closed;
        if is_open {
            state.free -= 1;
        }
        is_open
    }

    /// Makes room for as many as left it.
    pub fn leave(&self, count: usize) {
        self.lock().free += count;
        self.changed.notify_all();
    }

    /// Makes it one for `all`, if it was for less.
    pub fn widen(&self, all: usize) {
        let mut state = self.lock();
        let more = all.saturating_sub(state.all);
        state.all += more;
        state.free += more;
        self.changed.notify_all();
    }

    /// Lets nobody in any more, nor wait.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, RoomState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes a room when dropped, so that nobody waits there for what a fault keeps from coming.
pub(super) struct Closing<'r>(pub &'r Room);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_lets_in_what_it_is_for() {
        let room = Room::new(1);
        assert!(room.enter());
        room.widen(2);
        room.widen(1);
        assert!(room.enter());
        room.leave(1);
        assert!(room.enter());
        drop(Closing(&room));
        assert!(!room.enter());
    }
}
