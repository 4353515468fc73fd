//! `dino depth` with made-up heads on real photos with the real backbone.

mod clouds;
mod formats;
mod inference;
mod pictures;
mod refusals;

use std::path::Path;

use dino::model::head::global_token::GlobalToken;
use dino::model::head::linear::Dense;
use dino::model::head::{
    Bins, DepthReadout, Head, HeadMeta, HeadNetwork, HeadTask, LinearHead, RELATIVE_INVERSE_DEPTH,
    Spacing, file,
};
use dino::model::weights::Store;
use tempfile::{TempDir, tempdir};

use crate::made_up_heads::made_up_meta;
use crate::program::{Run, dino_with_model, store_with_focus};

/// The depth bins of [`depth_head`], in metres.
const BINS: Bins = Bins {
    spacing: Spacing::Log,
    min: 0.5,
    max: 100.0,
    count: 16,
};

/// The text chunk of a PNG with this keyword.
pub fn chunk(path: impl AsRef<Path>, keyword: &str) -> String {
    let file = std::fs::File::open(path).unwrap();
    let reader = png::Decoder::new(std::io::BufReader::new(file))
        .read_info()
        .unwrap();
    let mut chunks = reader.info().uncompressed_latin1_text.iter();
    let found = chunks.find(|chunk| chunk.keyword == keyword);
    found.unwrap_or_else(|| panic!("no {keyword}")).text.clone()
}

/// A linear head with these weights for the patch and cls tokens of the last block of `vits14-focus`.
fn head(task: HeadTask, weight: Vec<f32>, bias: Vec<f32>) -> Head {
    let record = Store::at(store_with_focus())
        .get("vits14-focus")
        .unwrap()
        .unwrap();
    Head {
        meta: HeadMeta {
            globals: vec![GlobalToken::Cls],
            ..made_up_meta(task, &record.name, &record.fingerprint)
        },
        network: HeadNetwork::Linear(LinearHead::new(
            None,
            Dense {
                inputs: 2 * 384,
                weight,
                bias,
            },
        )),
    }
}

/// A head for depth in metres with weights up to `scale / 2`; with 0 it gives the same depth for every patch.
pub fn depth_head(scale: f32) -> Head {
    // A linear congruential generator is random enough.
    let mut state = 1u32;
    let weight = (0..2 * 384 * BINS.count).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        scale * ((state >> 16) as f32 / 65_536.0 - 0.5)
    });
    let task = HeadTask::Depth {
        readout: DepthReadout::Bins {
            bins: BINS,
            upsample: 4,
        },
        unit: "m".into(),
    };
    let bias = (0..BINS.count).map(|i| i as f32 * 0.3 - 1.0);
    head(task, weight.collect(), bias.collect())
}

/// A head for relative inverse depth, with values from 0 to a few.
pub fn relative_head() -> Head {
    let mut state = 7u32;
    let weight = (0..2 * 384).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.3 * ((state >> 16) as f32 / 65_536.0 - 0.5)
    });
    let task = HeadTask::Depth {
        readout: DepthReadout::Inverse { farthest: 0.0 },
        unit: RELATIVE_INVERSE_DEPTH.into(),
    };
    head(task, weight.collect(), vec![2.0])
}

/// Writes a head to a file.
pub fn save(head: &Head, path: &Path) {
    std::fs::write(path, file::to_bytes(head).unwrap()).unwrap();
}

/// A temporary folder with [`depth_head`] as `head.safetensors`.
pub fn folder_with_head() -> TempDir {
    let folder = tempdir().unwrap();
    save(&depth_head(0.2), &folder.path().join("head.safetensors"));
    folder
}

/// Runs `dino depth` with `head.safetensors`.
fn depth(folder: &Path, args: &[&str]) -> Run {
    let head = ["depth", "--head", "head.safetensors"];
    dino_with_model(folder, &[&head, args].concat())
}
