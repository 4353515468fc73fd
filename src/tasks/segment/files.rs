//! The files of one photo: picture, ids, masks, COCO document, cutout, confidences.

use image::RgbImage;

use crate::error::Result;
use crate::io::output::coco::{Preamble, write_document};
use crate::io::output::{
    Destination, PICTURE_EXTENSION, PngPixels, label_map, write_output, write_picture, write_png,
};
use crate::system::files::{write_atomic, write_folder_atomic};
use crate::tasks::recipe::LabelFileFormat;
use crate::tasks::segment::annotation::AnnotatedPhoto;
use crate::tasks::segment::file_names::{CONFIDENCE_EXTENSION, extension, formats};
use crate::tasks::segment::photo_labels::PhotoLabels;
use crate::tasks::segment::renderer::LabelRenderer;
use crate::terminal::console::Console;
use crate::vision::postprocess::PixelBox;
use crate::vision::render::cutout::cut_out;
use crate::vision::render::segment::confidence_levels;

/// The class of everything else in data sets such as VOC, which cutouts leave out by default.
const BACKGROUND: &str = "background";

impl LabelRenderer {
    /// Writes the files that are asked for and missing; `picture` is `None` where its file exists.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub(super) fn write(
        &self,
        labelled: &PhotoLabels<'_>,
        picture: Option<&RgbImage>,
        annotated: Option<&AnnotatedPhoto>,
        console: &Console,
    ) -> Result<()> {
        let PhotoLabels { job, map, .. } = labelled;
        let announce = !self.context.json;
        let keys: Vec<String> = self
            .made_by
            .iter()
            .map(|(key, _)| format!("dino:{key}"))
            .collect();
        let values = self.made_by.iter().map(|(_, value)| value.clone());
        let notes: Vec<(&str, String)> = keys.iter().map(String::as_str).zip(values).collect();
        if let Some(picture) = picture {
            write_output(console, job.output(PICTURE_EXTENSION), announce, |writer| {
                write_picture(writer, job.format, picture, &notes)
            })?;
        }
        for format in formats(&self.recipe) {
            let destination = job.output(extension(format));
            match format {
                LabelFileFormat::Ids => write_output(console, destination, announce, |writer| {
                    label_map::write_ids_png(writer, map, &self.classes)
                })?,
                LabelFileFormat::Npy => write_output(console, destination, announce, |writer| {
                    label_map::write_ids_npy(writer, map, self.classes.len())
                })?,
                LabelFileFormat::Masks => self.write_masks(labelled, console)?,
                LabelFileFormat::Coco => {
                    let Some(AnnotatedPhoto { image, annotations }) = annotated else {
                        continue;
                    };
                    let preamble = Preamble {
                        classes: &self.classes,
                        description: &self.coco.description(),
                    };
                    write_output(console, destination, announce, |writer| {
                        write_document(writer, preamble, image, annotations)
                    })?;
                }
                LabelFileFormat::Cutout => self.write_cutout(labelled, &notes, console)?,
                LabelFileFormat::Ffv1 => {}
            }
        }
        if self.recipe.confidence {
            let size = (map.width as u32, map.height as u32);
            write_output(
                console,
                job.output(CONFIDENCE_EXTENSION),
                announce,
                |writer| {
                    write_png(
                        writer,
                        size,
                        PngPixels::Gray8(&confidence_levels(map)),
                        &notes,
                    )
                },
            )?;
        }
        Ok(())
    }

    /// Writes a folder with a black and white PNG for each class in the photo.
    fn write_masks(&self, labelled: &PhotoLabels<'_>, console: &Console) -> Result<()> {
        let PhotoLabels {
            job, map, areas, ..
        } = labelled;
        let Destination::File(path) = job.output(extension(LabelFileFormat::Masks)) else {
            return Ok(());
        };
        let stems = label_map::file_stems(&self.classes);
        write_folder_atomic(path, |folder| {
            areas.iter().try_for_each(|area| {
                let name = format!("{}.png", stems[usize::from(area.id)]);
                write_atomic(&folder.join(name), |writer| {
                    label_map::write_mask(writer, map, area.id, &self.classes)
                })
            })
        })?;
        match self.context.json {
            true => Ok(()),
            false => console.out_path(path),
        }
    }

    /// The classes that a cutout shows, one flag a class.
    pub(super) fn cutout_classes(&self) -> Vec<bool> {
        let shown = |name: &str| !name.eq_ignore_ascii_case(BACKGROUND);
        match &self.class_mask {
            Some(kept) => kept.clone(),
            None => self.classes.iter().map(|c| shown(&c.name)).collect(),
        }
    }

    /// Writes the cutout: the photo as RGBA, transparent outside the classes of [`Self::cutout_classes`]. An empty one
    /// and one of the whole photo give a warning.
    fn write_cutout(
        &self,
        labelled: &PhotoLabels<'_>,
        notes: &[(&str, String)],
        console: &Console,
    ) -> Result<()> {
        let PhotoLabels { job, map, .. } = labelled;
        let destination = job.output(extension(LabelFileFormat::Cutout));
        if matches!(destination, Destination::Existing(_)) {
            return Ok(());
        }
        let crop = self.recipe.crop;
        let warnings = console.warnings();
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
            return self.write_cutout_file(labelled, &kept, whole, notes, console);
        };
        let all = |id: &u16| kept.get(usize::from(*id)) == Some(&true);
        if self.class_mask.is_none() && map.ids.iter().all(all) {
            warnings.add(
                "nothing cut out",
                &job.source.name(),
                "all of it has a class, so its cutout is the whole photo; --classes says what to keep",
            );
        }
        self.write_cutout_file(
            labelled,
            &kept,
            if crop { shown } else { whole },
            notes,
            console,
        )
    }

    /// Writes the part of the cutout within `bounds`.
    fn write_cutout_file(
        &self,
        labelled: &PhotoLabels<'_>,
        kept: &[bool],
        bounds: PixelBox,
        notes: &[(&str, String)],
        console: &Console,
    ) -> Result<()> {
        let PhotoLabels {
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
        let picture = cut_out(photo, opacity, map, kept, bounds);
        let [x, y, width, height] = bounds.xywh();
        let mut notes = notes.to_vec();
        notes.push(("dino:box", format!("{x},{y},{width},{height}")));
        let destination = job.output(extension(LabelFileFormat::Cutout));
        let announce = !self.context.json;
        write_output(console, destination, announce, |writer| {
            write_png(
                writer,
                picture.dimensions(),
                PngPixels::Rgba8(&picture),
                &notes,
            )
        })
    }
}
