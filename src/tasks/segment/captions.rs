//! The class names that the picture of labels shows.

use crate::error::Result;
use crate::model::head::Class;
use crate::tasks::recipe::LabelRecipe;
use crate::terminal::console::Console;
use crate::vision::render::{Captions, system_fonts};

/// The captions of the classes in the picture; classes that are not `kept` have none.
///
/// # Errors
/// Names a font file that cannot be read.
pub(super) fn build_captions(
    recipe: &LabelRecipe,
    classes: &[Class],
    kept: Option<&[bool]>,
    console: &Console,
) -> Result<Captions> {
    let writes = !recipe.no_legend || !recipe.no_names && !recipe.mask_only;
    let is_kept = |id: usize| kept.is_none_or(|kept| kept.get(id) == Some(&true));
    let names = classes
        .iter()
        .enumerate()
        .map(|(id, class)| match writes && is_kept(id) {
            true => class.name.as_str(),
            false => "",
        });
    system_fonts::build_captions(names, recipe.font.as_deref(), console.warnings())
}
