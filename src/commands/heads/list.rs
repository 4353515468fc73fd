//! `dino heads list`: the heads that are installed, then those that are published.

use dino::Result;
use dino::io::output::put_path;
use dino::model::head_zoo::official::{self, OfficialHead};
use dino::model::head_zoo::{HeadStore, LocatedHead, depth_anything, published};
use dino::terminal::console::Console;
use dino::terminal::printable::printable;
use serde_json::{Map, Value, json};

use super::describe::{describe_task, head_path};

/// Prints the tables of heads, or with `as_json` one object a head; returns the exit code, 1 if a file is damaged.
pub(super) fn list(heads: &HeadStore, as_json: bool, console: &Console) -> Result<u8> {
    let mut code = 0;
    let mut rows = vec![["NAME", "TASK", "BACKBONE", "PREDICTS", "WHERE"].map(str::to_owned)];
    let mut installed = Vec::new();
    for (name, found) in heads.list()? {
        let LocatedHead {
            head,
            location: place,
        } = match found {
            Ok(found) => found,
            Err(error) => {
                console.error(&error);
                code = 1;
                continue;
            }
        };
        if as_json {
            let mut object = Map::new();
            object.insert("name".into(), json!(name));
            put_path(&mut object, "where", Some(&head_path(&place)));
            object.insert("meta".into(), json!(head.meta));
            console.out(&Value::Object(object).to_string())?;
        }
        let place = head_path(&place).display().to_string();
        rows.push([
            name.clone(),
            head.meta.task_name().into(),
            printable(&head.meta.backbone).into_owned(),
            printable(&describe_task(&head.meta)).into_owned(),
            printable(&place).into_owned(),
        ]);
        installed.push(name);
    }
    if as_json {
        published::all()
            .filter(|head| !installed.contains(&head.name()))
            .try_for_each(|head| {
                let object = json!({"name": head.name(), "where": null, "meta": head.meta()});
                console.out(&object.to_string())
            })?;
        return Ok(code);
    }
    print_table(&rows, console)?;
    console.out("")?;
    console.out(
        "Published by Meta, with the paper's figures; `dino heads pull NAME --model MODEL` fetches one (* is installed):",
    )?;
    for (backbones, suffix) in [
        (official::PLAIN_BACKBONES, ""),
        (official::REGISTER_BACKBONES, "-reg"),
    ] {
        let mut rows = Vec::new();
        let title = |size: &str| format!("{size}{suffix}");
        rows.push([
            "NAME".into(),
            "TASK".into(),
            "FIGURE".into(),
            title("vits14"),
            title("vitb14"),
            title("vitl14"),
            title("vitg14"),
        ]);
        for (data, method) in official::GROUPS {
            let of = backbones.map(|backbone| OfficialHead {
                dataset: data,
                method,
                backbone,
            });
            // For backbones with registers only classifiers are published.
            if official::find(&of[0].name()).is_none() {
                continue;
            }
            let cells = of.map(|head| {
                let figure = head
                    .paper_metric()
                    .map_or("yes".to_owned(), |(_, value)| value.to_string());
                let mark = if installed.contains(&head.name()) {
                    "*"
                } else {
                    ""
                };
                format!("{figure}{mark}")
            });
            let [s, b, l, g] = cells;
            rows.push([
                of[0].group(),
                data.task().into(),
                of[0]
                    .paper_metric()
                    .map_or(String::new(), |(what, _)| what.into()),
                s,
                b,
                l,
                g,
            ]);
        }
        print_table(&rows, console)?;
    }
    console.out(
        "RMSE in metres (less is better), mIoU and top-1 in percent; nyu is for rooms, kitti for streets.",
    )?;
    console.out("")?;
    console.out(
        "Depth Anything V2, each with an encoder of its own; `dino heads pull NAME` fetches both (* is installed):",
    )?;
    let mut rows = vec![["NAME", "TASK", "TELLS", "LICENCE"].map(str::to_owned)];
    rows.extend(depth_anything::all().map(|head| {
        let mark = if installed.contains(&head.name()) {
            "*"
        } else {
            ""
        };
        let license = head.variant().map_or("", |variant| variant.license);
        [
            format!("{}{mark}", head.name()),
            "depth".into(),
            head.scene.description().into(),
            license.into(),
        ]
    }));
    print_table(&rows, console)?;
    Ok(code)
}

/// Prints rows with left-aligned columns.
fn print_table<const N: usize>(rows: &[[String; N]], console: &Console) -> Result<()> {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"));
        console.out(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
