//! COCO documents: of each photo (`--save coco`), and of all photos of a run (`--coco FILE`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::io::output::coco::{
    AnnotationSubjects, CocoFileName, CocoImage, ImageIds, MaskEncoding, Preamble, RunDocument,
    annotate_photo, file_names,
};
use crate::io::output::{Destination, OutputJob, OutputPlan};
use crate::model::head::Class;
use crate::system::files::{ResolvedPath, write_atomic};
use crate::tasks::recipe::{LabelFileFormat, LabelRecipe};
use crate::tasks::segment::annotation::AnnotatedPhoto;
use crate::tasks::segment::file_names::extension;
use crate::tasks::segment::photo_labels::{PhotoLabels, REGION_RULE};
use crate::tasks::{DocumentFile, TaskContext};
use crate::terminal::console::Console;

/// Writes the COCO documents of a run.
pub struct CocoWriter {
    recipe: LabelRecipe,
    /// Whether the path of the run's document is printed.
    announces: bool,
    ids: ImageIds,
    run: Option<CocoRunFile>,
}

/// The file of `--coco`.
struct CocoRunFile {
    path: PathBuf,
    /// Whether the file exists and is not replaced.
    is_kept: bool,
    /// Whether the path is a regular file, whose path is printed once it is written.
    is_file: bool,
    progress: Mutex<CocoProgress>,
}

/// The document so far.
#[derive(Default)]
struct CocoProgress {
    document: RunDocument,
    /// Photos that were labelled now and are missing in a kept document.
    missed_photos: usize,
}

impl CocoWriter {
    /// A writer for `recipe`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a `--coco` that cannot be written.
    pub fn new(recipe: &LabelRecipe, context: &TaskContext) -> Result<Self> {
        let run = recipe.coco.as_deref();
        Ok(CocoWriter {
            recipe: recipe.clone(),
            announces: !context.json && !context.to_stdout,
            ids: ImageIds::default(),
            run: run
                .map(|path| CocoRunFile::new(path, context.force))
                .transpose()?,
        })
    }

    /// Assigns the photos' ids and plans the run's document.
    ///
    /// # Errors
    /// [`Error::Usage`] for a kept document that is about other photos.
    pub fn prepare_plan(&mut self, plan: &mut OutputPlan, console: &Console) -> Result<()> {
        self.ids = ImageIds::of(plan.jobs.iter().map(|job| job.name.as_path()));
        let Some(run) = &self.run else {
            return Ok(());
        };
        plan.add_flag("--coco", &run.path, true)?;
        if run.is_kept {
            let missing = run.check_content(plan)?;
            if missing > 0 {
                console.warn(format_args!(
                    "--coco {}: is there already and is kept; {missing} of {} photos are not in it and have no files yet, and \
                     --force is needed for those that can be labelled now",
                    run.path.display(),
                    plan.jobs.len()
                ));
            }
            return Ok(());
        }
        let done = plan.jobs.iter().filter(|job| job.is_done()).count();
        if done > 0 {
            console.note(format_args!(
                "{done} of {} photos have their files, and are labelled again for {}",
                plan.jobs.len(),
                run.path.display()
            ));
        }
        Ok(())
    }

    /// Whether photos with complete files are labelled again, for the run's document.
    pub fn needs_all_photos(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.is_kept)
    }

    /// The run's document, if it is a file.
    pub fn document(&self) -> Option<DocumentFile> {
        let run = self.run.as_ref().filter(|run| run.is_file)?;
        Some(DocumentFile {
            path: run.path.clone(),
            extension: extension(LabelFileFormat::Coco),
            is_kept: run.is_kept,
        })
    }

    /// The annotations of a photo, if any document is written.
    ///
    /// # Errors
    /// Names the photo if its masks cannot be encoded.
    pub fn annotate(&self, labelled: &PhotoLabels<'_>) -> Result<Option<AnnotatedPhoto>> {
        let files = &self.recipe;
        if !self.needs_all_photos() && !files.save.contains(&LabelFileFormat::Coco) {
            return Ok(None);
        }
        let PhotoLabels { job, map, .. } = labelled;
        let image = CocoImage {
            id: self.ids.id(&job.name),
            name: job.name.as_path().into(),
            width: map.width,
            height: map.height,
        };
        let subjects = match &labelled.regions {
            Some(regions) => AnnotationSubjects::Regions(regions),
            None => AnnotationSubjects::Classes(&labelled.areas),
        };
        let shape = match files.coco_polygons {
            true => MaskEncoding::Polygons,
            false => MaskEncoding::Rle,
        };
        let annotations = annotate_photo(&image, map, subjects, shape)
            .map_err(|why| Error::file(job.source.path(), why))?;
        Ok(Some(AnnotatedPhoto { image, annotations }))
    }

    /// Adds a photo to the run's document.
    ///
    /// # Errors
    /// If the document cannot take it.
    pub fn add(&self, annotated: Option<AnnotatedPhoto>) -> Result<()> {
        match (&self.run, annotated) {
            (Some(run), _) if run.is_kept => {
                run.progress().missed_photos += 1;
                Ok(())
            }
            (Some(run), Some(AnnotatedPhoto { image, annotations })) => {
                run.progress().document.push(&image, &annotations)
            }
            _ => Ok(()),
        }
    }

    /// Writes the run's document. A kept document must not lack photos that were labelled now.
    ///
    /// # Errors
    /// Names the document.
    pub fn write_document(&self, classes: &[Class], console: &Console) -> Result<()> {
        let description = self.description();
        let Some(run) = &self.run else {
            return Ok(());
        };
        let mut progress = run.progress();
        if progress.missed_photos > 0 {
            return Err(Error::file(
                &run.path,
                format!(
                    "was there already and is kept, but lacks {} photos that were labelled only now; --force labels all anew \
                     for it",
                    progress.missed_photos
                ),
            ));
        }
        if run.is_kept {
            return Ok(());
        }
        if progress.document.is_empty() {
            console.note(format_args!(
                "{}: not written, for no photo was labelled",
                run.path.display()
            ));
            return Ok(());
        }
        let preamble = Preamble {
            classes,
            description: &description,
        };
        if Destination::of_flag(&run.path)? == Destination::Stdout {
            let mut text = Vec::new();
            progress
                .document
                .write(&mut text, preamble)
                .map_err(|error| Error::io("<stdout>", &error))?;
            return console.out_text(&text);
        }
        write_atomic(&run.path, |writer| {
            progress.document.write(writer, preamble)
        })?;
        match self.announces && run.is_file {
            true => console.out_path(&run.path),
            false => Ok(()),
        }
    }

    /// What an annotation is, as a document describes it.
    pub fn description(&self) -> String {
        let least = self.recipe.min_region;
        match self.recipe.regions {
            true if least.keeps_all() => format!("annotations are {REGION_RULE}"),
            true => {
                format!("annotations are {REGION_RULE}; those smaller than {least} are left out")
            }
            false => "one annotation a class that is in a photo".to_owned(),
        }
    }
}

impl CocoRunFile {
    fn progress(&self) -> MutexGuard<'_, CocoProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new(path: &Path, force: bool) -> Result<Self> {
        if path.as_os_str().is_empty() {
            let why = "--coco: the name is empty; give a file, or '-' for stdout";
            return Err(Error::Usage(why.into()));
        }
        let place = ResolvedPath::resolve_flag(path)?;
        Ok(CocoRunFile {
            path: path.to_owned(),
            is_kept: matches!(place, ResolvedPath::File(_)) && !force,
            is_file: matches!(place, ResolvedPath::File(_) | ResolvedPath::Vacant(_)),
            progress: Mutex::default(),
        })
    }

    /// Refuses a kept document that is about other photos than those with complete files. Returns the number of the
    /// other photos, such as unreadable ones, which are tried again.
    ///
    /// # Errors
    /// [`Error::Usage`] with the numbers of photos that differ.
    fn check_content(&self, plan: &OutputPlan) -> Result<usize> {
        let (name, all) = (self.path.display(), plan.jobs.len());
        let instead = "--force replaces it and them; or give the document another name";
        let there: BTreeSet<CocoFileName> = file_names(&self.path)
            .map_err(|error| Error::Usage(format!("--coco {error}; {instead}")))?
            .into_iter()
            .collect();
        let names = |jobs: &mut dyn Iterator<Item = &OutputJob>| -> BTreeSet<CocoFileName> {
            jobs.map(|job| job.name.as_path().into()).collect()
        };
        let done = names(&mut plan.jobs.iter().filter(|job| job.is_done()));
        if there == done {
            return Ok(all - done.len());
        }
        if done.len() < all {
            return Err(Error::Usage(format!(
                "--coco {name}: is there already, but the files of {} of {all} photos are not; {instead}",
                all - done.len()
            )));
        }
        let wanted = done;
        Err(Error::Usage(format!(
            "--coco {name}: is there already, and is not about these photos: {} of {all} are not in it, and {} others are; {instead}",
            wanted.difference(&there).count(),
            there.difference(&wanted).count(),
        )))
    }
}
