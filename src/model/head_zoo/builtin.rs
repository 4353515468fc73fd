//! The heads inside the program: the files of `heads/`; `heads/README.md` has the commands that train them.

use crate::error::{Error, Result};
use crate::model::head::{Head, file};

/// Names and safetensors files.
const FILES: &[(&str, &[u8])] = &[
    (
        "everyday",
        include_bytes!("../../../heads/everyday.safetensors"),
    ),
    (
        "indoor",
        include_bytes!("../../../heads/indoor.safetensors"),
    ),
    (
        "objects",
        include_bytes!("../../../heads/objects.safetensors"),
    ),
    ("rooms", include_bytes!("../../../heads/rooms.safetensors")),
    (
        "street",
        include_bytes!("../../../heads/street.safetensors"),
    ),
];

/// Built-in heads that are preferred to others of their task, best first.
pub const RANKING: &[&str] = &["indoor", "everyday"];

/// All built-in heads; an error would be a defect of the build.
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
    fn every_builtin_head_reads_and_says_where_it_comes_from() {
        for (name, head) in all() {
            let meta = head.unwrap().meta;
            assert_eq!(meta.name, name);
            let training = meta.training.unwrap();
            assert!(training.command.starts_with("dino train "), "{name}");
            assert!(
                !training.data.is_empty() && !meta.metrics.is_empty(),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_ranked_is_there() {
        for name in RANKING {
            assert!(FILES.iter().any(|(other, _)| other == name), "{name}");
        }
    }
}
