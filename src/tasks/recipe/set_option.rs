//! `TASK.OPTION=VALUE` (`dino run --set`): one option of all tasks of a kind.

use toml::{Table, Value};

use super::Recipe;

/// Options whose values are lists, separated by commas.
const LIST_OPTIONS: [&str; 5] = ["save", "classes", "components", "what", "blocks"];

impl Recipe {
    /// Sets an option of all tasks of a kind, such as `depth.range=global`.
    ///
    /// # Errors
    /// A message about `text`, whose value is unknown or out of range, or whose task is not in the recipe.
    pub fn set_option(&mut self, text: &str) -> Result<(), String> {
        let expected = "expected TASK.OPTION=VALUE, such as depth.range=global";
        let (path, value) = text.split_once('=').ok_or(expected)?;
        let (task, option) = path.split_once('.').ok_or(expected)?;
        let mut table = Table::try_from(&*self).map_err(|error| error.to_string())?;
        let tasks = match table.get_mut(task) {
            Some(Value::Array(tasks)) => tasks,
            _ => {
                return Err(format!(
                    "there is no task `{task}` in this run; expected {TASK_NAMES}"
                ));
            }
        };
        let (option, value) = recipe_option(option, value);
        for task in tasks {
            if let Value::Table(task) = task {
                task.insert(option.clone(), value.clone());
            }
        }
        *self = table
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        self.check()
    }
}

const TASK_NAMES: &str = "depth, segment, clusters, pca or features, which is asked for too";

/// The recipe's name and value of an option of the commands, where they differ from the option's.
fn recipe_option(option: &str, value: &str) -> (String, Value) {
    let flag = |name: &str, is: bool| (name.to_owned(), Value::Boolean(is));
    match (option, value) {
        ("tta", "flip" | "none") => flag("flip", value == "flip"),
        ("fit", "each" | "all") => flag("fit-each", value == "each"),
        ("instances", "regions") => flag("regions", true),
        ("no-refine", "true" | "false") => flag("refine", value == "false"),
        ("slide", "true") => ("slide".to_owned(), Value::Float(DEFAULT_STRIDE)),
        ("stride", _) => ("slide".to_owned(), parse_value("slide", value)),
        ("pointcloud", "ply" | "glb") => {
            let format = Table::from_iter([("format".to_owned(), Value::String(value.to_owned()))]);
            ("pointcloud".to_owned(), Value::Table(format))
        }
        _ => (option.to_owned(), parse_value(option, value)),
    }
}

/// The stride of windows without a value, as a share of their side.
const DEFAULT_STRIDE: f64 = 0.667;

/// `value` as a TOML value, else as text; a list for [`LIST_OPTIONS`].
fn parse_value(option: &str, value: &str) -> Value {
    let literal = |text: &str| {
        let parsed = format!("value = {text}").parse::<Table>().ok();
        let parsed = parsed.and_then(|mut table| table.remove("value"));
        parsed.unwrap_or_else(|| Value::String(text.to_owned()))
    };
    match LIST_OPTIONS.contains(&option) && !value.starts_with('[') {
        true => Value::Array(value.split(',').map(|part| literal(part.trim())).collect()),
        false => literal(value),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tasks::recipe::{DepthFileFormat, DepthRecipe, PcaRecipe, RangeRule};

    #[test]
    fn options_are_set_for_all_tasks_of_a_kind() {
        let mut recipe = Recipe {
            depth: vec![DepthRecipe::default(); 2],
            pca: vec![PcaRecipe::default()],
            ..Recipe::default()
        };
        for text in [
            "depth.range=global",
            "depth.save=npy,png16",
            "depth.overlay=0.5",
            "depth.size=518",
            "pca.components=2,3",
            "pca.foreground=-0.5",
            "depth.tta=flip",
            "depth.slide=true",
            "depth.no-refine=true",
            "depth.pointcloud=glb",
            "pca.fit=each",
        ] {
            recipe
                .set_option(text)
                .unwrap_or_else(|why| panic!("{text}: {why}"));
        }
        for depth in &recipe.depth {
            assert_eq!(depth.range, RangeRule::Global);
            assert_eq!(depth.save, [DepthFileFormat::Npy, DepthFileFormat::Png16]);
            assert_eq!(
                (depth.overlay, depth.head.size),
                (Some(0.5), "518".parse().ok())
            );
        }
        assert_eq!(recipe.pca[0].components, [2, 3]);
        let head = &recipe.depth[0].head;
        assert_eq!(
            (head.flip, head.slide, head.refine),
            (true, Some(0.667), Some(false))
        );
        assert!(recipe.depth[0].pointcloud.is_some() && recipe.pca[0].fit_each);
    }

    #[test]
    fn what_cannot_be_set_is_said() {
        let recipe = Recipe {
            depth: vec![DepthRecipe::default()],
            ..Recipe::default()
        };
        for (text, why) in [
            ("depth.range", "TASK.OPTION=VALUE"),
            ("range=global", "TASK.OPTION=VALUE"),
            ("segment.outline=true", "no task `segment`"),
            ("depth.rnage=global", "rnage"),
            ("depth.range=far", "expected auto, global"),
            ("depth.overlay=7", "0 to 1"),
            ("depth.save=jpg", "jpg"),
        ] {
            let error = recipe.clone().set_option(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
