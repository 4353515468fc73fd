//! Ids of masks that this program wrote, by the class names in their metadata.

use super::colors;
use super::mask::MaskReader;
use super::raster::{LabelRaster, RasterContent};
use crate::io::output::MASK_CLASSES_KEY;

impl MaskReader<'_> {
    /// Ids from the white on black mask of one class (`dino segment --save masks`), which is enough for two classes.
    pub(super) fn ids_from_class_mask(
        &self,
        values: &[i64],
        class: &str,
    ) -> Result<Vec<u16>, String> {
        let position = self.classes.iter().position(|own| own.name == class);
        let (white, black) = match (self.classes.len(), position) {
            (2, Some(0)) => (0, 1),
            (2, _) => (1, 0),
            _ => {
                return Err(format!(
                    "is the black and white mask that dino wrote of the class {class:?} alone; `dino segment --save ids` \
                     writes all classes in one"
                ));
            }
        };
        Ok(values
            .iter()
            .map(|&value| if value > 0 { white } else { black })
            .collect())
    }

    /// Maps ids that this program wrote for classes in another order to the ids of this list, by the names.
    pub(super) fn remap_classes(
        &self,
        raster: &LabelRaster,
        ids: Vec<u16>,
        name: &str,
    ) -> Result<Vec<u16>, String> {
        let names: Option<Vec<String>> = raster
            .note(MASK_CLASSES_KEY)
            .and_then(|text| serde_json::from_str(text).ok());
        let own = self.classes.iter().map(|class| class.name.as_str());
        let Some(names) = names.filter(|names| {
            !self.classes.is_empty() && own.clone().ne(names.iter().map(String::as_str))
        }) else {
            return Ok(ids);
        };
        // Where the colours of the palette counted, ids are those of this list already.
        let by_color = matches!(&raster.content, RasterContent::Indexed { indices, .. }
            if indices.iter().zip(&ids).any(|(&index, &id)| u16::from(index) != id));
        if by_color {
            return Ok(ids);
        }
        let here: Vec<Option<u16>> = names
            .iter()
            .map(|name| own.clone().position(|own| own == name).map(|id| id as u16))
            .collect();
        // Pixels without a class have the largest number, beyond all names.
        let none = |id: u16| id == self.ignore || usize::from(id) >= names.len();
        let used = colors::distinct(ids.iter().copied().filter(|&id| !none(id)));
        let translated = |id: u16| here.get(usize::from(id)).copied().flatten();
        if let Some(&missing) = used.iter().find(|&&id| translated(id).is_none()) {
            let missing = names.get(usize::from(missing));
            return Err(format!(
                "was written by dino for other classes: {:?} is not in the list",
                missing.map_or("an id without a name", String::as_str)
            ));
        }
        if used.iter().any(|&id| translated(id) != Some(id)) {
            self.warnings.add(
                "ids of another list of classes",
                name,
                "says that it has the classes in another order than the list; they were matched by their names",
            );
        }
        let id = |id: u16| match none(id) {
            true => self.ignore,
            false => translated(id).unwrap_or(self.ignore),
        };
        Ok(ids.into_iter().map(id).collect())
    }
}
