//! Options of outputs: where results go, what becomes of those that are there, and the font of text in pictures.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, ValueHint};
use dino::Result;
use dino::io::inputs::Shard;
use dino::io::output::{OutputOptions, OutputPlan, OutputTarget};
use dino::terminal::console::{BINARY_TO_TERMINAL, Console};

/// What becomes of a fit to all photos when there are more of them.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub struct RefitArgs {
    /// Give photos that are new in a folder the fit of those that were there, instead of fitting all of them again
    ///
    /// PCA, --clusters K and --range global draw all photos of a run by one fit to them. When photos came or went since,
    /// all are fitted and drawn again; with this, the new ones alone are drawn, by the old fit.
    #[arg(long, conflicts_with = "force")]
    pub keep_fit: bool,
}

/// Where results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// A folder, a picture file (.png, .jpg, .webp; for one photo), or - for stdout [default: dino-out]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub output: Option<OsString>,
    /// Replace outputs that are there already instead of skipping their photos
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object a photo instead of the written paths
    #[arg(long)]
    pub json: bool,
    /// Try photos again that failed before, though neither they nor what decides whether they can be read has changed
    ///
    /// Damaged files, files that are no images and photos with too many pixels are noted, and reported again without being
    /// read. Failures that may have passed, such as a full disk, are tried again in any case.
    #[arg(long)]
    pub retry_failed: bool,
    /// Keep no record (manifest.jsonl) in the output folder, and read none
    ///
    /// Then nothing tells what the files that are there were made of: any of them ends the run unless --force replaces
    /// it. Later runs with a record take what is made now for files that dino did not make.
    #[arg(long, conflicts_with = "retry_failed")]
    pub no_manifest: bool,
    /// Put what is made of the photos of a tar into a tar with the same keys: data-000.tar gives data-000.depth.tar
    ///
    /// Files lie beside each other until all photos of their tar are done, so that a run that was stopped is taken up.
    /// Where a photo failed, the tar has the others, and their files stay for the next run.
    #[arg(long)]
    pub tar: bool,
}

impl OutputArgs {
    /// The output options, for the photos of a `shard`.
    ///
    /// # Errors
    /// [`dino::Error::Usage`] for `-o -` beside `--json`, and for a picture to a terminal.
    pub fn options(&self, shard: Option<Shard>) -> Result<OutputOptions> {
        let target = self
            .output
            .as_deref()
            .map(OutputTarget::parse)
            .transpose()?
            .unwrap_or_default();
        if target == OutputTarget::Stdout && self.json {
            let why = "-o - and --json both want stdout; send the picture to a file";
            return Err(dino::Error::Usage(why.into()));
        }
        if target == OutputTarget::Stdout && io::stdout().is_terminal() {
            return Err(dino::Error::Usage(BINARY_TO_TERMINAL.into()));
        }
        Ok(OutputOptions {
            target,
            force: self.force,
            no_manifest: self.no_manifest,
            retry_failed: self.retry_failed,
            shard,
            full_names: false,
        })
    }

    /// Reserves stdout for JSON or the output that goes there, and notes which names were shortened.
    pub fn reserve_stdout(&self, plan: &mut OutputPlan, console: &Console) -> Result<()> {
        if self.json {
            console.claim_stdout("--json")?;
        }
        plan.finalise(console)
    }
}

/// How text in pictures looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Picture")]
pub struct TextArgs {
    /// A font (TTF, OTF, TTC) for text in the picture; what it lacks is drawn in the built-in font, else in the
    /// system's
    ///
    /// Latin, Greek and Cyrillic letters are built in. For all others the system's fonts are searched, or in their
    /// place those in the folder that $DINO_FONTS names. Names that no font can draw give way to the ids of their
    /// classes, with a warning.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub font: Option<PathBuf>,
}
