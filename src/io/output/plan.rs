//! The plan of all outputs of a run, made before any work is done: [`Source`]s and [`OutputOptions`] give an
//! [`OutputJob`] for each photo.
//!
//! Outputs mirror the input tree below the output folder as `<stem>.<kind>.<extension>`. Outputs that would collide
//! keep the extensions of their inputs and, if that is not enough, parent folders; names that are too long are
//! shortened with a hash. An input is never replaced, and existing outputs are kept unless `force` replaces them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::inputs::{Shard, Source};
use crate::io::output::job::{Destination, MASKS_EXTENSION, OutputJob, PICTURE_EXTENSION};
use crate::io::output::names;
use crate::io::output::picture::PictureFormat;
use crate::io::output::registry::{OutputKind, OutputRegistry};
use crate::io::output::shorten::shorten_name;
use crate::io::output::target::OutputTarget;
use crate::terminal::console::Console;

/// The options about outputs, as the command line gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputOptions {
    /// Where the outputs go.
    pub target: OutputTarget,
    /// Whether existing outputs are replaced, instead of their inputs being skipped.
    pub force: bool,
    /// Whether the manifest of the output folder is neither read nor written.
    pub no_manifest: bool,
    /// Whether photos are tried again that the manifest records as failed.
    pub retry_failed: bool,
    /// The part of the photos that this run processes; `None` for all.
    pub shard: Option<Shard>,
    /// Whether names of outputs always keep the extensions of inputs, as needed when later inputs are not known yet
    /// (`--watch`).
    pub full_names: bool,
}

/// The outputs of a run.
#[derive(Debug, Clone)]
pub struct OutputPlan {
    /// One job for each photo, in the order of the inputs.
    pub jobs: Vec<OutputJob>,
    /// All planned outputs, and the files that must not be replaced.
    pub outputs: OutputRegistry,
    /// The note about the first name that was shortened, and the number of such names.
    shortened: Option<(String, usize)>,
    /// The flag, with its value, by which an output goes to stdout.
    to_stdout: Option<String>,
}

/// Bytes of a name that are reserved for an extension, so that a photo's stem does not depend on which outputs are
/// requested.
const ROOM_FOR_EXTENSION: usize = 24;

impl OutputPlan {
    /// Plans the outputs of `sources`: for each photo, files of `kind` (such as `pca`) with these `extensions`.
    ///
    /// # Errors
    /// [`Error::Usage`] if several inputs would go to one file, an output would replace an input, or several outputs
    /// would go to stdout; [`Error::File`] if an output cannot be written.
    pub fn new(
        sources: Vec<Source>,
        options: &OutputOptions,
        kind: &str,
        extensions: &[&'static str],
    ) -> Result<Self> {
        if let (OutputTarget::File(..) | OutputTarget::Stdout, Some(shard)) =
            (&options.target, options.shard)
            && shard.is_part()
        {
            return Err(Error::Usage(format!(
                "--shard {shard}: each shard would write the same file; give a folder (-o DIR)"
            )));
        }
        let mut shortened: Option<(String, usize)> = None;
        let mut to_stdout = None;
        let mut keys: Option<Vec<PathBuf>> = None;
        let stems: Vec<PathBuf> = match &options.target {
            OutputTarget::Folder(folder) => {
                let kind = format!(".{kind}");
                let longest = extensions.iter().map(|extension| extension.len() + 1).max();
                let room = kind.len() + ROOM_FOR_EXTENSION.max(longest.unwrap_or(0));
                let stem = |name: PathBuf| {
                    let short = shorten_name(folder, &name, room)?;
                    if let Some(short) = &short {
                        let (name, short) = (name.display(), short.display());
                        let first = || {
                            format!(
                                "{name}: too long a name for what is appended to it; its files are called {short}{kind}"
                            )
                        };
                        shortened.get_or_insert_with(|| (first(), 0)).1 += 1;
                    }
                    Ok(append_to_name(folder.join(short.unwrap_or(name)), &kind))
                };
                let names = match options.full_names {
                    true => names::distinct_with_extensions(&sources)?,
                    false => names::distinct(&sources, folder)?,
                };
                keys = Some(names.clone());
                names.into_iter().map(stem).collect::<Result<_>>()?
            }
            OutputTarget::File(path, _) => {
                let flag = format!("-o {}", path.display());
                check_single_input(&sources, &flag)?;
                if PictureFormat::of(path).is_none() && extensions != [PICTURE_EXTENSION] {
                    return Err(one_picture_error(&flag, "a pipe or device"));
                }
                vec![path.with_extension("")]
            }
            OutputTarget::Stdout => {
                check_single_input(&sources, "-o -")?;
                if extensions != [PICTURE_EXTENSION] {
                    return Err(one_picture_error("-o -", "stdout"));
                }
                to_stdout = Some("-o -".to_owned());
                vec![PathBuf::new()]
            }
        };
        // Photos of one tar archive are adjacent.
        let mut files: Vec<&Path> = sources.iter().filter_map(Source::file).collect();
        files.dedup();
        let mut outputs = OutputRegistry::new(files);
        let mut place = |stem: &Path, extension: &'static str| -> Result<Destination> {
            let path = match &options.target {
                OutputTarget::Stdout => return outputs.add_flag("-o", Path::new("-"), true),
                OutputTarget::File(path, _) if extension == PICTURE_EXTENSION => path.clone(),
                _ => append_to_name(stem.to_owned(), &format!(".{extension}")),
            };
            let kind = match extension {
                MASKS_EXTENSION => OutputKind::Folder,
                _ => OutputKind::File,
            };
            outputs.add(&path, kind, options.force)
        };
        let format = match options.target {
            OutputTarget::File(_, format) => format,
            _ => PictureFormat::Png,
        };
        let listed = names::distinct_with_extensions(&sources)?;
        // Keys are for datasets; jobs with files need none.
        let keys = match keys.filter(|_| extensions.is_empty()) {
            Some(keys) => keys,
            None => vec![PathBuf::new(); sources.len()],
        };
        let jobs = sources
            .into_iter()
            .zip(listed)
            .zip(stems.into_iter().zip(keys));
        let jobs = jobs.map(|((source, name), (stem, key))| {
            let mut outputs = extensions
                .iter()
                .map(|&e| Ok((e, place(&stem, e)?)))
                .collect::<Result<Vec<_>>>()?;
            outputs.sort_by_key(|(extension, _)| *extension);
            Ok(OutputJob {
                source,
                name,
                key,
                format,
                outputs,
            })
        });
        Ok(OutputPlan {
            jobs: jobs.collect::<Result<_>>()?,
            outputs,
            shortened,
            to_stdout,
        })
    }

    /// Sends the output with this extension of the only job to `path`, or to stdout for `-`; it need not be one of
    /// those that were planned. An existing file is kept unless `force` replaces it.
    ///
    /// # Errors
    /// As [`OutputRegistry::add`]; [`Error::Usage`] if there are several jobs.
    pub fn redirect_output(
        &mut self,
        extension: &'static str,
        path: &Path,
        force: bool,
    ) -> Result<()> {
        let [job] = self.jobs.as_mut_slice() else {
            return Err(Error::Usage(format!(
                "{} has room for one photo, but there are {}; leave the name out",
                path.display(),
                self.jobs.len()
            )));
        };
        let destination = match path.as_os_str() == "-" {
            true => self.outputs.add_flag("-", path, true)?,
            false => self.outputs.add(path, OutputKind::File, force)?,
        };
        if destination == Destination::Stdout {
            self.to_stdout = Some(path.display().to_string());
        }
        job.outputs.retain(|(own, _)| *own != extension);
        job.outputs.push((extension, destination));
        job.outputs.sort_by_key(|(extension, _)| *extension);
        Ok(())
    }

    /// Marks an existing output of job `index` to be written again.
    ///
    /// # Errors
    /// [`Error::File`] names it if it cannot be replaced.
    pub fn replace_existing(&mut self, index: usize, extension: &'static str) -> Result<()> {
        let mut outputs = self.jobs[index].outputs.iter_mut();
        let output = outputs.find(|(own, _)| *own == extension);
        if let Some((_, output)) = output
            && let Destination::Existing(path) = output
        {
            self.outputs.check_replaceable(path)?;
            *output = Destination::File(std::mem::take(path));
        }
        Ok(())
    }

    /// Plans the output that a flag names, beside those of the photos.
    ///
    /// # Errors
    /// As [`OutputRegistry::add_flag`].
    pub fn add_flag(&mut self, flag: &str, path: &Path, force: bool) -> Result<()> {
        if self.outputs.add_flag(flag, path, force)? == Destination::Stdout {
            self.to_stdout = Some(format!("{flag} {}", path.display()));
        }
        Ok(())
    }

    /// Ends the planning: reserves stdout for the output that goes there, prints a note about shortened names, and
    /// drops the paths that were only needed for checks.
    ///
    /// # Errors
    /// [`Error::Usage`] if stdout is claimed by another output.
    pub fn finalise(&mut self, console: &Console) -> Result<()> {
        self.outputs.forget_paths();
        if let Some(flag) = &self.to_stdout {
            console.claim_stdout(flag)?;
        }
        match &self.shortened {
            Some((first, 1)) => console.note(first),
            Some((first, count)) => {
                console.note(format_args!("{first}; so it is with {} more", count - 1))
            }
            None => {}
        }
        Ok(())
    }
}

/// The error of `flag` whose destination takes a single picture.
fn one_picture_error(flag: &str, what: &str) -> Error {
    Error::Usage(format!(
        "{flag}: {what} takes one picture and nothing else; give a folder (-o DIR) for more"
    ))
}

/// Refuses more than one input for `flag`.
fn check_single_input(sources: &[Source], flag: &str) -> Result<()> {
    match sources.len() {
        0 | 1 => Ok(()),
        n => Err(Error::Usage(format!(
            "{flag} has room for one photo, but there are {n}; give a folder (-o DIR)"
        ))),
    }
}

/// Appends `tail` to a file's name, which keeps its own extension.
fn append_to_name(path: PathBuf, tail: &str) -> PathBuf {
    let mut text = OsString::from(path);
    text.push(tail);
    text.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with (empty) files, and the sources that they are.
    fn sources(names: &[&str]) -> (tempfile::TempDir, Vec<Source>) {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
        paths.iter().for_each(|path| fs::write(path, "").unwrap());
        (folder, paths.into_iter().map(Source::from_path).collect())
    }

    fn options(target: OutputTarget, force: bool) -> OutputOptions {
        OutputOptions {
            target,
            force,
            ..OutputOptions::default()
        }
    }

    #[test]
    fn outputs_are_named_after_the_input_and_the_kind() {
        let (_folder, sources) = sources(&["a.jpg", "b.c.png"]);
        let plan =
            OutputPlan::new(sources, &OutputOptions::default(), "pca", &["png", "npy"]).unwrap();
        let file = |path: &str| Destination::File(path.into());
        assert_eq!(*plan.jobs[0].output("png"), file("dino-out/a.pca.png"));
        assert_eq!(*plan.jobs[0].output("npy"), file("dino-out/a.pca.npy"));
        assert_eq!(*plan.jobs[1].output("png"), file("dino-out/b.c.pca.png"));
        assert_eq!(plan.jobs[0].format, PictureFormat::Png);
    }

    #[test]
    fn what_exists_is_kept_unless_forced() {
        let (folder, sources) = sources(&["a.jpg"]);
        let picture = folder.path().join("a.pca.png");
        fs::write(&picture, "").unwrap();
        let plan = |extensions: &[&'static str], force| {
            let options = options(OutputTarget::Folder(folder.path().into()), force);
            OutputPlan::new(sources.clone(), &options, "pca", extensions)
                .unwrap()
                .jobs
                .remove(0)
        };
        assert!(plan(&["png"], false).is_done());
        assert_eq!(
            *plan(&["png"], false).output("png"),
            Destination::Existing(picture.clone())
        );
        let with_more = plan(&["png", "npy"], false);
        assert!(!with_more.is_done() && matches!(with_more.output("npy"), Destination::File(_)));
        assert_eq!(
            *plan(&["png"], true).output("png"),
            Destination::File(picture)
        );
    }

    #[test]
    fn an_input_is_never_replaced() {
        let (folder, sources) = sources(&["a.jpg", "a.pca.png"]);
        for force in [false, true] {
            let options = options(OutputTarget::Folder(folder.path().join(".")), force);
            let error = OutputPlan::new(sources.clone(), &options, "pca", &["png"]).unwrap_err();
            assert!(
                error.to_string().contains("a.pca.png is an input"),
                "{error}"
            );
        }
        let own = options(
            OutputTarget::File(folder.path().join("a.jpg"), PictureFormat::Jpeg),
            true,
        );
        assert!(OutputPlan::new(sources[..1].to_vec(), &own, "pca", &["png"]).is_err());
    }

    #[test]
    fn a_file_and_stdout_take_one_photo() {
        let (_folder, sources) = sources(&["a.jpg", "b.jpg"]);
        for target in [
            OutputTarget::File("x.png".into(), PictureFormat::Png),
            OutputTarget::Stdout,
        ] {
            let options = options(target, false);
            let error = OutputPlan::new(sources.clone(), &options, "pca", &["png"])
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("there are 2") && error.contains("-o DIR"),
                "{error}"
            );
            OutputPlan::new(sources[..1].to_vec(), &options, "pca", &["png"]).unwrap();
        }
        let stdout = options(OutputTarget::Stdout, false);
        assert!(OutputPlan::new(sources[..1].to_vec(), &stdout, "pca", &["png", "npy"]).is_err());
    }

    #[test]
    fn a_files_sidecars_lie_beside_it() {
        let (_folder, sources) = sources(&["a.jpg"]);
        let options = options(
            OutputTarget::File("out/x.webp".into(), PictureFormat::WebP),
            false,
        );
        let plan = OutputPlan::new(sources, &options, "pca", &["png", "npy"]).unwrap();
        assert_eq!(
            *plan.jobs[0].output("png"),
            Destination::File("out/x.webp".into())
        );
        assert_eq!(
            *plan.jobs[0].output("npy"),
            Destination::File("out/x.npy".into())
        );
        assert_eq!(plan.jobs[0].format, PictureFormat::WebP);
    }
}
