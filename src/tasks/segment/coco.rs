//! COCO documents: of each photo (`--save coco`), and of all photos of a run (`--coco FILE`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::io::output::coco::{
    Annotation, FileName, Image, ImageIds, Preamble, RunDocument, Shape, Subjects, annotations,
    file_names,
};
use crate::io::output::{Destination, Job, Plan};
use crate::model::head::Class;
use crate::system::files::{Place, write_atomic};
use crate::terminal::console::Console;
use crate::{Error, Result};

use crate::tasks::recipe::{LabelFormat, LabelRecipe};
use crate::tasks::segment::names::extension;
use crate::tasks::segment::painter::Labelled;
use crate::tasks::segment::report::REGION_RULE;
use crate::tasks::{Context, Document};

/// What is written in COCO's JSON during a run.
pub struct CocoFiles {
    recipe: LabelRecipe,
    /// Whether the path of the run's document is told.
    announces: bool,
    ids: ImageIds,
    run: Option<RunFile>,
}

/// The file of `--coco`.
struct RunFile {
    path: PathBuf,
    /// There already, and to be kept.
    kept: bool,
    /// Whether it is a file, whose name is printed when it is written.
    is_file: bool,
    progress: Mutex<Progress>,
}

/// How far it is.
#[derive(Default)]
struct Progress {
    document: RunDocument,
    /// Photos that were labelled though it is kept, and are missing in it.
    missed: usize,
}

/// One photo's part.
pub struct Annotated {
    /// Its entry.
    pub image: Image,
    /// All that is in it.
    pub annotations: Vec<Annotation>,
}

impl CocoFiles {
    /// Refuses a `--coco` that cannot be written.
    pub fn new(recipe: &LabelRecipe, context: &Context) -> Result<Self> {
        let run = recipe.coco.as_deref();
        Ok(CocoFiles {
            recipe: recipe.clone(),
            announces: !context.json && !context.to_stdout,
            ids: ImageIds::default(),
            run: run
                .map(|path| RunFile::new(path, context.force))
                .transpose()?,
        })
    }

    /// Gives the photos their ids, and refuses what could not be done.
    pub fn begin(&mut self, plan: &mut Plan, console: &Console) -> Result<()> {
        self.ids = ImageIds::of(plan.jobs.iter().map(|job| job.name.as_path()));
        let Some(run) = &self.run else {
            return Ok(());
        };
        plan.add_flag("--coco", &run.path, true)?;
        if run.kept {
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

    /// Whether photos are labelled whose own files are all there.
    pub fn wants_all(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.kept)
    }

    /// The document of the run.
    pub fn document(&self) -> Option<Document> {
        let run = self.run.as_ref().filter(|run| run.is_file)?;
        Some(Document {
            path: run.path.clone(),
            extension: extension(LabelFormat::Coco),
            is_kept: run.kept,
        })
    }

    /// The annotations of a photo, if any document is asked for.
    pub fn annotate(&self, labelled: &Labelled<'_>) -> Result<Option<Annotated>> {
        let files = &self.recipe;
        if !self.wants_all() && !files.save.contains(&LabelFormat::Coco) {
            return Ok(None);
        }
        let Labelled { job, map, .. } = labelled;
        let image = Image {
            id: self.ids.id(&job.name),
            name: job.name.as_path().into(),
            width: map.width,
            height: map.height,
        };
        let subjects = match &labelled.regions {
            Some(regions) => Subjects::Regions(regions),
            None => Subjects::Classes(&labelled.areas),
        };
        let shape = match files.coco_polygons {
            true => Shape::Polygons,
            false => Shape::Rle,
        };
        let annotations = annotations(&image, map, subjects, shape)
            .map_err(|why| Error::file(job.source.path(), why))?;
        Ok(Some(Annotated { image, annotations }))
    }

    /// Adds a photo to the run's document.
    pub fn add(&self, annotated: Option<Annotated>) -> Result<()> {
        match (&self.run, annotated) {
            (Some(run), _) if run.kept => {
                run.progress().missed += 1;
                Ok(())
            }
            (Some(run), Some(Annotated { image, annotations })) => {
                run.progress().document.push(&image, &annotations)
            }
            _ => Ok(()),
        }
    }

    /// Writes the run's document. One that was kept must not lack photos that have their files now.
    pub fn conclude(&self, classes: &[Class], console: &Console) -> Result<()> {
        let description = self.description();
        let Some(run) = &self.run else {
            return Ok(());
        };
        let mut progress = run.progress();
        if progress.missed > 0 {
            return Err(Error::file(
                &run.path,
                format!(
                    "was there already and is kept, but lacks {} photos that were labelled only now; --force labels all anew \
                     for it",
                    progress.missed
                ),
            ));
        }
        if run.kept {
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

    /// What annotations are, in the words of a document.
    pub fn description(&self) -> String {
        let least = self.recipe.min_region;
        match self.recipe.regions {
            true if least.takes_all() => format!("annotations are {REGION_RULE}"),
            true => {
                format!("annotations are {REGION_RULE}; those smaller than {least} are left out")
            }
            false => "one annotation a class that is in a photo".to_owned(),
        }
    }
}

impl RunFile {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new(path: &Path, force: bool) -> Result<Self> {
        if path.as_os_str().is_empty() {
            let why = "--coco: the name is empty; give a file, or '-' for stdout";
            return Err(Error::Usage(why.into()));
        }
        let place = Place::of_flag(path)?;
        Ok(RunFile {
            path: path.to_owned(),
            kept: matches!(place, Place::File(_)) && !force,
            is_file: matches!(place, Place::File(_) | Place::Vacant(_)),
            progress: Mutex::default(),
        })
    }

    /// Refuses to keep a document that is not of these photos: of those that have all their own files. The others, such as
    /// photos that could not be read, are tried again. Returns how many they are.
    fn check_content(&self, plan: &Plan) -> Result<usize> {
        let (name, all) = (self.path.display(), plan.jobs.len());
        let instead = "--force replaces it and them; or give the document another name";
        let there: BTreeSet<FileName> = file_names(&self.path)
            .map_err(|error| Error::Usage(format!("--coco {error}; {instead}")))?
            .into_iter()
            .collect();
        let names = |jobs: &mut dyn Iterator<Item = &Job>| -> BTreeSet<FileName> {
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
