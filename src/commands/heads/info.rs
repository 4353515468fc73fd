//! `dino heads info`: the metadata of one head.

use std::ffi::OsStr;

use dino::Result;
use dino::io::output::put_path;
use dino::model::head::{HeadNetwork, HeadTask, LinearHead};
use dino::model::head_zoo::HeadStore;
use dino::tasks::classes::printable_class_name;
use dino::terminal::console::Console;
use dino::terminal::printable::printable;
use serde_json::{Map, Value, json};

use super::describe::{
    describe_coarse_scale, describe_context, describe_globals, describe_task, head_path,
};

/// Prints the metadata of a head, its calibration included, as lines or as one JSON object.
pub(super) fn info(
    heads: &HeadStore,
    name: &OsStr,
    as_json: bool,
    console: &Console,
) -> Result<()> {
    let found = &heads.get(name)?;
    let calibration = heads.calibration(found, &mut |why| console.warn(why))?;
    let meta = &found.head.meta;
    if as_json {
        let mut object = Map::new();
        put_path(&mut object, "where", Some(&head_path(&found.location)));
        object.insert("meta".into(), json!(meta));
        object.insert("calibration".into(), json!(calibration));
        return console.out(&Value::Object(object).to_string());
    }
    let layer = format!(
        "blocks {:?}{}{}{}{}",
        meta.blocks,
        if meta.norm { ", final norm" } else { "" },
        describe_context(&meta.context),
        describe_globals(&meta.globals),
        match &found.head.network {
            HeadNetwork::Linear(LinearHead {
                hidden: Some(hidden),
                ..
            }) => format!(", hidden layer of {}", hidden.bias.len()),
            HeadNetwork::Linear(_) => String::new(),
            HeadNetwork::Dpt(_) => ", convolutions (DPT)".into(),
        },
    );
    let mut rows = vec![
        ("name", meta.name.clone()),
        ("task", meta.task_name().into()),
        ("predicts", describe_task(meta)),
        ("where", head_path(&found.location).display().to_string()),
        (
            "backbone",
            format!(
                "{} ({})",
                meta.backbone,
                match meta.fingerprint.as_str() {
                    "" => "any weights of that shape and name",
                    weights => weights.get(..12).unwrap_or(weights),
                }
            ),
        ),
        ("reads", layer),
        (
            "input",
            format!(
                "size {}, {} padding{}",
                meta.input.size,
                meta.input.padding,
                meta.input
                    .coarse
                    .map_or(String::new(), describe_coarse_scale)
            ),
        ),
    ];
    if let Some(protocol) = meta.protocol {
        rows.push(("protocol", protocol.name().into()));
    }
    if let HeadTask::Segment { classes } = &meta.task {
        let names = classes.iter().enumerate();
        let names: Vec<_> = names
            .map(|(id, class)| printable_class_name(id, &class.name))
            .collect();
        rows.push(("classes", names.join(", ")));
    }
    if let Some(origin) = &meta.origin {
        rows.extend([
            ("from", origin.source.clone()),
            ("licence", origin.license.clone()),
            ("data", origin.data.clone()),
        ]);
    }
    if let Some(calibration) = &meta.calibration {
        rows.push((
            "spread",
            format!(
                "times {}: {:.1} % of pixels within one standard deviation, {:.1} % within two ({})",
                calibration.scale,
                100.0 * calibration.coverage,
                100.0 * calibration.coverage_2,
                calibration.data
            ),
        ));
    }
    if let Some(calibration) = &calibration {
        rows.push(("fitted", calibration.summary()));
    }
    if let Some(training) = &meta.training {
        rows.extend(training.data.iter().map(|data| ("data", data.clone())));
        rows.push(("command", training.command.clone()));
        rows.push(("seed", training.seed.to_string()));
    }
    rows.extend(meta.metrics.iter().map(|m| {
        (
            "measured",
            format!("{} {:.4} on {}", m.name, m.value, m.data),
        )
    }));
    rows.iter()
        .try_for_each(|(label, value)| console.out(&format!("{label:10}{}", printable(value))))
}
