//! A small cache from a key (such as a patch grid) to a computed value, shared by all threads that run a backbone.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::error::Result;

/// At most `capacity` values by their keys. A full cache is emptied before the next value goes in.
#[derive(Debug)]
pub(super) struct BoundedCache<K, V> {
    capacity: usize,
    values: Mutex<HashMap<K, V>>,
}

impl<K: Eq + Hash, V: Clone> BoundedCache<K, V> {
    /// An empty cache for up to `capacity` values.
    pub fn with_capacity(capacity: usize) -> Self {
        BoundedCache {
            capacity,
            values: Mutex::default(),
        }
    }

    /// The value of `key`, computed the first time. Other threads wait meanwhile, so that none computes it again.
    ///
    /// # Errors
    /// Those of `compute`; nothing is kept then.
    pub fn get_or_compute(&self, key: K, compute: impl FnOnce() -> Result<V>) -> Result<V> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = values.get(&key) {
            return Ok(known.clone());
        }
        let value = compute()?;
        if values.len() >= self.capacity {
            values.clear();
        }
        values.insert(key, value.clone());
        Ok(value)
    }
}
