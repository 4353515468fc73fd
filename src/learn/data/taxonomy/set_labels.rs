//! What the ids of one data set's masks mean in terms of a head's classes, and masks read with that meaning.

use std::path::Path;

use super::class_list::describe_ids;
use crate::error::{Error, Result};
use crate::learn::data::labels::{Mask, MaskReader};
use crate::model::head::meta::{Class, LabelSet};
use crate::terminal::warnings::Warnings;

/// The id of pixels without a class where every id of the set counts; class lists end before it.
const NO_IGNORED_ID: u16 = u16::MAX;

/// White in masks of 8 and of 16 bits.
pub(in crate::learn::data) const WHITES: [u16; 2] = [u8::MAX as u16, u16::MAX];

/// The meaning of the ids of one data set, in terms of the classes of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLabels {
    /// Name of the data set.
    pub name: String,
    /// Path of its data, where the taxonomy names it.
    pub data: Option<String>,
    /// By id, the classes that it may stand for; empty for ids that are neither learnt from nor evaluated.
    pub allowed: Vec<Vec<u16>>,
    /// The id that stands for every class that the set does not name (`rest`), where there is one.
    pub background: Option<u16>,
    /// Whether an id beyond `allowed` is an error; else such pixels do not count.
    pub is_closed: bool,
    /// The data set's own class list, by id, for masks in the colours of its classes; empty where it is not known.
    pub own_classes: Vec<Class>,
    /// The number that is read as the id 1: white in masks of two classes that are black and white.
    pub white: Option<u16>,
}

impl SetLabels {
    /// A data set whose ids are the indices of the classes.
    pub fn identity(name: &str, classes: &[Class]) -> Self {
        SetLabels {
            name: name.to_owned(),
            data: None,
            allowed: (0..classes.len() as u16).map(|id| vec![id]).collect(),
            background: None,
            is_closed: true,
            own_classes: classes.to_vec(),
            white: None,
        }
    }

    /// The form that is stored in the metadata of a head.
    pub fn to_head(&self) -> LabelSet {
        LabelSet {
            name: self.name.clone(),
            allowed: self.allowed.clone(),
            background: self.background,
        }
    }

    /// From the metadata of a head, which does not know the data set's own classes.
    pub fn from_head(set: &LabelSet) -> Self {
        SetLabels {
            name: set.name.clone(),
            data: None,
            allowed: set.allowed.clone(),
            background: set.background,
            is_closed: false,
            own_classes: Vec::new(),
            white: None,
        }
    }

    /// The name of an id: that of its first class, `background`, or empty where it has no class.
    pub fn name_of(&self, id: u16, classes: &[Class]) -> String {
        if self.background == Some(id) {
            return "background".to_owned();
        }
        let first = self.allowed[usize::from(id)].first();
        first.map_or_else(String::new, |&class| {
            classes[usize::from(class)].name.clone()
        })
    }

    /// Reads a mask, whatever ids it has; probable mistakes are reported to `warnings`.
    ///
    /// # Errors
    /// As [`MaskReader::read`].
    pub fn read_ids(&self, path: &Path, ignore: Option<u16>, warnings: &Warnings) -> Result<Mask> {
        let reader = MaskReader {
            classes: &self.own_classes,
            id_count: self.is_closed.then_some(self.allowed.len()),
            ignore: ignore.unwrap_or(NO_IGNORED_ID),
            warnings,
        };
        let mut mask = reader.read(path)?;
        if let Some(white) = self.white {
            // White of 16 bits and of 8 bits are the same class.
            let is_white = |id: u16| id == white || WHITES.contains(&id);
            mask.ids
                .iter_mut()
                .filter(|id| is_white(**id))
                .for_each(|id| *id = 1);
        }
        Ok(mask)
    }

    /// Reads a mask and, where the list of classes is closed, checks that it has its ids; probable mistakes are
    /// reported to `warnings`.
    ///
    /// # Errors
    /// As [`MaskReader::read`]; also where the list is closed and the mask has an id beyond it.
    pub fn read_mask(&self, path: &Path, ignore: Option<u16>, warnings: &Warnings) -> Result<Mask> {
        let mask = self.read_ids(path, ignore, warnings)?;
        let beyond = |&id: &u16| Some(id) != ignore && usize::from(id) >= self.allowed.len();
        match mask.ids.iter().copied().find(beyond) {
            Some(id) if self.is_closed => {
                let ignored = ignore.map_or("none".to_owned(), |id| id.to_string());
                Err(Error::file(
                    path,
                    format!(
                        "has the class id {id}, but {}, and {ignored} is ignored; --classes and --ignore say otherwise",
                        describe_ids(self.allowed.len())
                    ),
                ))
            }
            _ => Ok(mask),
        }
    }

    /// Whether an id has classes, so that its pixels are learnt from and evaluated.
    pub fn is_known(&self, id: u16) -> bool {
        self.allowed
            .get(usize::from(id))
            .is_some_and(|allowed| !allowed.is_empty())
    }

    /// By class (of `classes`), the id of this set that a prediction of it counts as: the first id that may be this
    /// class; none where the set has no id for it.
    pub fn id_of_class(&self, classes: usize) -> Vec<Option<u16>> {
        let mut ids = vec![None; classes];
        for (id, allowed) in self.allowed.iter().enumerate().rev() {
            // In reverse order, so that the first of several ids stays.
            for &class in allowed {
                ids[usize::from(class)] = Some(id as u16);
            }
        }
        ids
    }
}
