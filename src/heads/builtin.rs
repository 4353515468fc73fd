//! The heads inside the program: the files of `heads/`, which `heads/README.md` says how to train again.

use crate::error::{Error, Result};
use crate::head::{Head, file};

/// Name and bytes.
const FILES: &[(&str, &[u8])] = &[];

/// Heads that are taken before others for their task, best first.
pub const RANKING: &[&str] = &["indoor-mlp", "indoor", "everyday"];

/// All of them.
pub fn all() -> impl Iterator<Item = (&'static str, Result<Head>)> {
    FILES.iter().map(|(name, bytes)| {
        let head = file::from_bytes(bytes)
            .map_err(|why| Error::Model(format!("the built-in head {name} {why}")));
        (*name, head)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_head_reads_and_carries_its_name() {
        for (name, head) in all() {
            assert_eq!(head.unwrap().meta.name, name);
        }
    }
}
