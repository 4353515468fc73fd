//! The files of one photo.

use crate::error::Result;
use crate::io::output::coco::{Preamble, write_document};
use crate::io::output::{Destination, PICTURE, Pixels, deliver, ids, write_picture, write_png};
use crate::system::files::{write_atomic, write_folder_atomic};
use crate::terminal::console::Console;
use crate::vision::postprocess::PixelBox;
use crate::vision::render::cutout::cutout;
use crate::vision::render::segment::confidence;
use image::RgbImage;

use crate::tasks::recipe::LabelFormat;
use crate::tasks::segment::coco::Annotated;
use crate::tasks::segment::names::{CONFIDENCE, extension, formats};
use crate::tasks::segment::painter::{LabelPainter, Labelled};

/// The class that stands for what is of no class, in data sets as VOC.
const BACKGROUND: &str = "background";

impl LabelPainter {
    /// Writes what was asked for and is not there. Without a `picture` it is there.
    pub(super) fn write(
        &self,
        labelled: &Labelled<'_>,
        picture: Option<&RgbImage>,
        annotated: Option<&Annotated>,
        words: &Console,
    ) -> Result<()> {
        let Labelled { job, map, .. } = labelled;
        let announce = !self.context.json;
        let keys: Vec<String> = self
            .made_by
            .iter()
            .map(|(key, _)| format!("dino:{key}"))
            .collect();
        let values = self.made_by.iter().map(|(_, value)| value.clone());
        let notes: Vec<(&str, String)> = keys.iter().map(String::as_str).zip(values).collect();
        if let Some(picture) = picture {
            deliver(words, job.output(PICTURE), announce, |writer| {
                write_picture(writer, job.format, picture, &notes)
            })?;
        }
        for format in formats(&self.recipe) {
            let destination = job.output(extension(format));
            match format {
                LabelFormat::Ids => deliver(words, destination, announce, |writer| {
                    ids::write_ids_png(writer, map, &self.classes)
                })?,
                LabelFormat::Npy => deliver(words, destination, announce, |writer| {
                    ids::write_ids_npy(writer, map, self.classes.len())
                })?,
                LabelFormat::Masks => self.write_masks(labelled, words)?,
                LabelFormat::Coco => {
                    let Some(Annotated { image, annotations }) = annotated else {
                        continue;
                    };
                    let preamble = Preamble {
                        classes: &self.classes,
                        description: &self.coco.description(),
                    };
                    deliver(words, destination, announce, |writer| {
                        write_document(writer, preamble, image, annotations)
                    })?;
                }
                LabelFormat::Cutout => self.write_cutout(labelled, &notes, words)?,
                LabelFormat::Ffv1 => {}
            }
        }
        if self.recipe.confidence {
            let size = (map.width as u32, map.height as u32);
            deliver(words, job.output(CONFIDENCE), announce, |writer| {
                write_png(writer, size, Pixels::Gray8(&confidence(map)), &notes)
            })?;
        }
        Ok(())
    }

    /// A folder with a mask for each class that is there.
    fn write_masks(&self, labelled: &Labelled<'_>, words: &Console) -> Result<()> {
        let Labelled {
            job, map, areas, ..
        } = labelled;
        let Destination::File(path) = job.output(extension(LabelFormat::Masks)) else {
            return Ok(());
        };
        let stems = ids::file_stems(&self.classes);
        write_folder_atomic(path, |folder| {
            areas.iter().try_for_each(|area| {
                let name = format!("{}.png", stems[usize::from(area.id)]);
                write_atomic(&folder.join(name), |writer| {
                    ids::write_mask(writer, map, area.id, &self.classes)
                })
            })
        })?;
        match self.context.json {
            true => Ok(()),
            false => words.out_path(path),
        }
    }

    /// The classes that a cutout shows, one flag a class.
    pub(super) fn cutout_classes(&self) -> Vec<bool> {
        let shown = |name: &str| !name.eq_ignore_ascii_case(BACKGROUND);
        match &self.kept {
            Some(kept) => kept.clone(),
            None => self.classes.iter().map(|c| shown(&c.name)).collect(),
        }
    }

    /// The photo where it is of the classes that are shown; what is not as it may be meant is said.
    fn write_cutout(
        &self,
        labelled: &Labelled<'_>,
        notes: &[(&str, String)],
        words: &Console,
    ) -> Result<()> {
        let Labelled { job, map, .. } = labelled;
        let destination = job.output(extension(LabelFormat::Cutout));
        if matches!(destination, Destination::Kept(_)) {
            return Ok(());
        }
        let crop = self.recipe.crop;
        let warnings = words.warnings();
        let kept = self.cutout_classes();
        let whole = PixelBox {
            x: 0,
            y: 0,
            width: map.width,
            height: map.height,
        };
        let Some(shown) = labelled.cutout_box else {
            let classes = match self.recipe.classes.is_empty() {
                true => "any class but background".to_owned(),
                false => self.recipe.classes.join(", "),
            };
            let uncropped = if crop { " and not cropped" } else { "" };
            warnings.add(
                "empty cutout",
                &job.source.name(),
                format_args!(
                    "nothing of {classes} in it, so its cutout is transparent all over{uncropped}"
                ),
            );
            return self.write_cut(labelled, &kept, whole, notes, words);
        };
        let all = |id: &u16| kept.get(usize::from(*id)) == Some(&true);
        if self.kept.is_none() && map.ids.iter().all(all) {
            warnings.add(
                "nothing cut out",
                &job.source.name(),
                "all of it has a class, so its cutout is the whole photo; --classes says what to keep",
            );
        }
        self.write_cut(
            labelled,
            &kept,
            if crop { shown } else { whole },
            notes,
            words,
        )
    }

    fn write_cut(
        &self,
        labelled: &Labelled<'_>,
        kept: &[bool],
        bounds: PixelBox,
        notes: &[(&str, String)],
        words: &Console,
    ) -> Result<()> {
        let Labelled {
            job,
            photo,
            stamp,
            map,
            ..
        } = labelled;
        let decoder = &self.context.decoder;
        let opacity = self.context.opacity(&job.source, *stamp)?;
        let behind = decoder.options.background.colour();
        let opacity = opacity.as_ref().map(|opacity| (opacity, behind));
        let picture = cutout(photo, opacity, map, kept, bounds);
        let [x, y, width, height] = bounds.xywh();
        let mut notes = notes.to_vec();
        notes.push(("dino:box", format!("{x},{y},{width},{height}")));
        let destination = job.output(extension(LabelFormat::Cutout));
        let announce = !self.context.json;
        deliver(words, destination, announce, |writer| {
            write_png(
                writer,
                picture.dimensions(),
                Pixels::Rgba8(&picture),
                &notes,
            )
        })
    }
}
