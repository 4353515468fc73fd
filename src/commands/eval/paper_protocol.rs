//! `--protocol paper`: the rules under which a published head's metric was measured.

use dino::model::head::{Head, Protocol};
use dino::model::head_zoo::official::{OfficialDataset, OfficialHead};
use dino::tasks::recipe;
use dino::{Error, Result};
use serde_json::{Map, Value, json};

use crate::cli::{EvalInputArgs, ProtocolChoice};

/// A published head and the protocol of its metric in the paper.
pub struct PaperProtocol {
    head: OfficialHead,
    protocol: Protocol,
}

/// The paper's protocol for `head`, with `--protocol paper`.
///
/// # Errors
/// [`Error::Usage`] if the head was not published with a metric.
pub fn find_paper_protocol(args: &EvalInputArgs, head: &Head) -> Result<Option<PaperProtocol>> {
    if args.head.protocol != Some(ProtocolChoice::Paper) {
        return Ok(None);
    }
    let official = OfficialHead::of(&head.meta).ok_or_else(|| {
        Error::Usage(format!(
            "--protocol paper: the head {} was not published with a figure; name the protocol and the crop yourself",
            head.meta.name
        ))
    })?;
    let task = head.meta.task_name();
    let protocol = recipe::ProtocolRule::Paper.resolve(head.meta.protocol, task);
    Ok(protocol.map(|protocol| PaperProtocol {
        head: official,
        protocol,
    }))
}

impl PaperProtocol {
    /// Adds the paper's metric and the protocol (`how`, in words) to the metrics and lines of a report.
    pub fn add_to_report(
        &self,
        how: &str,
        figures: &mut Map<String, Value>,
        lines: &mut Vec<String>,
    ) {
        let protocol = self.protocol.name();
        figures.insert("protocol".into(), json!(protocol));
        figures.insert("measured_as".into(), json!(how));
        lines.push(format!("protocol         {protocol}; {how}"));
        if let Some((what, value)) = self.head.paper_metric() {
            figures.insert("paper".into(), json!({what.to_lowercase(): value}));
            lines.push(format!("paper            {what} {value}"));
        }
    }

    /// Whether the head is for KITTI, whose photos are cropped to the benchmark's size.
    pub fn is_kitti(&self) -> bool {
        self.head.dataset == OfficialDataset::Kitti
    }
}
