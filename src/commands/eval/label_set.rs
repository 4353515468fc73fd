//! `--labels` and `--sets` of `dino eval segment`: what the ids of the masks mean.

use dino::learn::data::{SetLabels, Taxonomy, taxonomy};
use dino::model::head::{Class, Head};
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::EvalSegmentArgs;

/// What the ids of the masks mean: the set of `--labels`, else the head's own classes, in the colours of the data's
/// `classes.json` where that lists the same.
///
/// # Errors
/// If head or file know no such set, or the file has other classes than the head.
pub fn resolve_label_set(
    args: &EvalSegmentArgs,
    head: &Head,
    classes: &[Class],
    console: &Console,
) -> Result<SetLabels> {
    let own_classes = taxonomy::own_classes(&args.common.input.data);
    let Some(name) = &args.labels else {
        return Ok(match own_classes {
            // The data's own colours, in case its masks are in colours.
            Some(own) if has_same_names(&own, classes) => SetLabels::identity("data", &own),
            Some(own) => {
                warn_of_class_mismatch(args, head, &own, classes, console);
                SetLabels::identity("data", classes)
            }
            None => SetLabels::identity("data", classes),
        });
    };
    let meaning = find_label_set(args, head, classes, name)?;
    Ok(SetLabels {
        own_classes: own_classes.unwrap_or_default(),
        ..meaning
    })
}

fn has_same_names(own: &[Class], classes: &[Class]) -> bool {
    let names = |classes: &[Class]| -> Vec<String> {
        classes.iter().map(|class| class.name.clone()).collect()
    };
    names(own) == names(classes)
}

/// Warns of the first id that the data's class list and the head name differently.
fn warn_of_class_mismatch(
    args: &EvalSegmentArgs,
    head: &Head,
    own: &[Class],
    classes: &[Class],
    console: &Console,
) {
    let name = |classes: &[Class], id: usize| match classes.get(id) {
        Some(class) => format!("{:?}", class.name),
        None => "no class".to_owned(),
    };
    let ids = 0..own.len().max(classes.len());
    let mut ids = ids.filter(|&id| name(own, id) != name(classes, id));
    if let Some(id) = ids.next() {
        console.warn(format_args!(
            "{}: says that the id {id} is {}, but the head {} knows it as {}; masks are read as if they had the head's ids",
            args.common.input.data.join("classes.json").display(),
            name(own, id),
            head.meta.name,
            name(classes, id)
        ));
    }
}

/// The set called `name`, from the file of `--sets`, else from the head.
fn find_label_set(
    args: &EvalSegmentArgs,
    head: &Head,
    classes: &[Class],
    name: &String,
) -> Result<SetLabels> {
    if let Some(file) = &args.sets {
        let taxonomy = Taxonomy::read(file)?;
        if taxonomy
            .classes
            .iter()
            .map(|class| &class.name)
            .ne(classes.iter().map(|class| &class.name))
        {
            return Err(Error::file(
                file,
                format!("has other classes than the head {}", head.meta.name),
            ));
        }
        return taxonomy.set(name).cloned();
    }
    let sets = &head.meta.label_sets;
    match sets.iter().find(|set| set.name == *name) {
        Some(set) => Ok(SetLabels::from_head(set)),
        None if sets.is_empty() => Err(Error::Usage(format!(
            "--labels {name}: the head {} knows one set of ids, its own; leave the option out, or name a file with --sets",
            head.meta.name
        ))),
        None => {
            let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
            Err(Error::Usage(format!(
                "--labels {name}: the head {} does not know that set{}; it knows {}",
                head.meta.name,
                dino::terminal::suggest::did_you_mean(name, names.iter().copied()),
                names.join(", ")
            )))
        }
    }
}
