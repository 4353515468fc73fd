//! Metadata for the heads that tests make up, as the base of `HeadMeta { .., ..made_up_meta(..) }`.

use dino::model::head::{HeadInput, HeadMeta, HeadTask};
use dino::model::input::Unpad;

/// Metadata of a linear head on the normalised last block of a ViT-S, for photos of 112 pixels.
pub fn made_up_meta(task: HeadTask, backbone: &str, fingerprint: &str) -> HeadMeta {
    HeadMeta {
        format: 1,
        name: "made-up".into(),
        task,
        backbone: backbone.into(),
        fingerprint: fingerprint.into(),
        blocks: vec![11],
        norm: true,
        context: Vec::new(),
        globals: Vec::new(),
        input: HeadInput {
            size: "112".into(),
            padding: "center".into(),
            coarse: None,
            crop: None,
        },
        protocol: None,
        unpad: Unpad::Crop,
        origin: None,
        label_sets: Vec::new(),
        calibration: None,
        training: None,
        metrics: Vec::new(),
    }
}
