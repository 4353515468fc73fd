//! Options of inputs: which photos are read, and how they are decoded.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueHint};
use dino::Result;
use dino::io::inputs::{
    self, Background, CollectedInputs, ContrastStretch, DecodeOptions, Fetcher, InputRequest,
    PhotoDecoder, Separator, Shard, ShardRequest,
};
use dino::io::output::{LineSubject, print_input_errors};
use dino::system::environment::EnvVariables;
use dino::system::http::NetworkAccess;
use dino::system::memory;
use dino::terminal::console::Console;

use super::values::memory_size;

/// The photos to work on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Photos: files, folders, patterns such as 'a/*.jpg', tars of photos such as 'data-{000..099}.tar', http(s)
    /// addresses, or - for stdin
    #[arg(required_unless_present_any = ["files_from", "watch"], value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub inputs: Vec<OsString>,
    /// Take photos and folders from this list too, one a line, as they are written; - for stdin; may be given often
    ///
    /// Names are relative to the working directory and are no patterns. Results mirror their whole paths.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, action = clap::ArgAction::Append)]
    pub files_from: Vec<PathBuf>,
    /// Wait for photos in this folder, and take each new one once it stood still; Ctrl-C ends it
    ///
    /// What was made of photos is noted, so that those that were there before are taken once too. Results keep the endings
    /// of photos in their names (a.jpg.depth.png).
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["inputs", "files_from"])]
    pub watch: Option<PathBuf>,
    /// Names in the list end with NUL, as find -print0 writes them
    #[arg(short = '0', long, requires = "files_from")]
    pub null: bool,
    /// Search folders with all their subfolders
    #[arg(short, long)]
    pub recursive: bool,
    /// Refuse photos with more pixels than this
    #[arg(long, value_name = "MP", default_value = "200", value_parser = megapixels, allow_negative_numbers = true)]
    pub max_megapixels: f64,
    /// Take this page or frame of files that have several, counted from 1 [default: all of them, each as NAME.p001…]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub page: Option<u32>,
    /// Only one of N parts of the photos, for array jobs: K/N (K from 1 to N), auto, or auto/N
    ///
    /// Which part a photo is in follows from its path below the folder that is searched, whatever the machine and
    /// whatever else is there. auto takes the part from SLURM_ARRAY_TASK_ID and its _MIN and _COUNT, or from
    /// AWS_BATCH_JOB_ARRAY_INDEX and _SIZE. auto/N says how many parts there are, as it must for JOB_COMPLETION_INDEX
    /// (Kubernetes, from 0), and where only some tasks of an array run again: with --array=3,7 and auto/100 those are the
    /// parts 3 and 7 of 100.
    #[arg(long, value_name = "K/N")]
    pub shard: Option<ShardRequest>,
    /// Refuse photos at addresses that have more bytes than this, such as 256M
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = memory_size)]
    pub max_download: u64,
    /// Give up photos at addresses that have not arrived after so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub download_timeout: Duration,
    #[command(flatten)]
    pub photo: PhotoArgs,
}

/// How a photo's numbers become colours, and what it may take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Photos")]
pub struct PhotoArgs {
    /// Refuse photos that take more memory than this from their file to their pictures, such as 4G or 800M [default:
    /// four fifths of what is free]
    ///
    /// What a photo will take is known from its size before it is decoded (-v tells it); one that is over the limit
    /// fails, and the others go on. No more photos are decoded ahead than fit together.
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    pub max_memory: Option<u64>,
    /// How values are spread from black to white: none, minmax, or two percentiles such as 2,98 [default: as they are,
    /// unless more than 8 bits use little of their range or floats leave 0 to 1; those from percentile 0.5 to 99.5]
    #[arg(
        long,
        value_name = "HOW",
        default_value = "auto",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub stretch: ContrastStretch,
    /// The bands to see as red, green and blue, counted from 1, such as 4,3,2; one band is seen as grey [default: the
    /// first three]
    #[arg(long, value_name = "R,G,B", value_parser = inputs::parse_bands)]
    pub bands: Option<[u16; 3]>,
    /// Take numbers as sRGB whatever the file's colour profile says, as the published code does
    #[arg(long)]
    pub no_icc: bool,
    /// What is seen where a photo is transparent: mean (the network's mean colour), black, white, grey, R,G,B or
    /// #rrggbb
    #[arg(long, value_name = "COLOUR", default_value = "mean")]
    pub background: Background,
    /// See what lies under transparent parts, as the published code does
    #[arg(long, conflicts_with = "background")]
    pub drop_alpha: bool,
}

impl PhotoArgs {
    /// The decoder with these options; `max_pixels` per photo, and one `page` of files that have several.
    pub fn decoder(&self, max_pixels: u64, page: Option<u32>, console: &Console) -> PhotoDecoder {
        PhotoDecoder {
            options: DecodeOptions {
                max_pixels,
                max_memory: self.max_memory(),
                stretch: self.stretch,
                bands: self.bands,
                page,
                icc: !self.no_icc,
                background: match self.drop_alpha {
                    true => Background::Ignored,
                    false => self.background,
                },
            },
            warnings: console.warnings().clone(),
        }
    }

    /// Bytes that photos in memory may take together.
    pub fn max_memory(&self) -> u64 {
        self.max_memory.unwrap_or_else(memory::default_limit)
    }

    /// As [`PhotoArgs::decoder`], for the photos of labelled data sets.
    pub fn data_set_decoder(&self, console: &Console) -> PhotoDecoder {
        self.decoder(DecodeOptions::default().max_pixels, None, console)
    }
}

impl InputArgs {
    /// Finds the photos of the inputs; with `offline`, photos at addresses fail.
    pub fn collect(&self, offline: bool) -> Result<CollectedInputs> {
        self.collect_inputs(&self.inputs, offline)
    }

    /// As [`InputArgs::collect`], for these `inputs` instead.
    pub fn collect_inputs(&self, inputs: &[OsString], offline: bool) -> Result<CollectedInputs> {
        if self.watch.is_some() {
            return Err(dino::Error::Usage(
                "--watch works with depth, segment, pca, features and run; give INPUT here".into(),
            ));
        }
        let access = NetworkAccess::from_offline_flag(offline)?;
        let fetcher = Fetcher::new(access, self.max_download, self.download_timeout)?;
        inputs::collect(&InputRequest {
            fetcher: Some(Arc::new(fetcher)),
            inputs,
            lists: &self.files_from,
            separator: match self.null {
                true => Separator::Nul,
                false => Separator::Line,
            },
            recursive: self.recursive,
            page: self.page,
            max_bytes: self.photo.max_memory(),
        })
    }

    /// As [`InputArgs::collect`], reduced to the shard; with `json`, inputs without any photo are printed as JSON lines too.
    pub fn collect_shard(
        &self,
        subjects: &[LineSubject],
        (offline, json): (bool, bool),
        console: &Console,
    ) -> Result<CollectedInputs> {
        let collected = self.collect_all_shards(subjects, (offline, json), console)?;
        self.keep_shard(collected, |_| false, console)
    }

    /// As [`InputArgs::collect_shard`], with the photos of all shards.
    pub fn collect_all_shards(
        &self,
        subjects: &[LineSubject],
        (offline, json): (bool, bool),
        console: &Console,
    ) -> Result<CollectedInputs> {
        let collected = self.collect(offline);
        if let Err(error) = &collected
            && json
        {
            print_input_errors(subjects, error, console)?;
        }
        collected
    }

    /// Reduces the photos to those of `--shard`, and those whose index is in `always`.
    pub fn keep_shard(
        &self,
        mut collected: CollectedInputs,
        always: impl Fn(usize) -> bool,
        console: &Console,
    ) -> Result<CollectedInputs> {
        let Some(request) = self.shard else {
            return Ok(collected);
        };
        let (shard, note) = request.resolve(&EnvVariables::from_process())?;
        note.into_iter().for_each(|note| console.note(note));
        let of = shard.retain_sources(&mut collected, always);
        console.note(format_args!(
            "{} of {of} photos are in shard {shard}",
            collected.sources.len()
        ));
        Ok(collected)
    }

    /// The shard of `--shard`, resolved by the environment where it says `auto`.
    ///
    /// # Errors
    /// If the variables of a scheduler are missing or malformed.
    pub fn shard(&self) -> Result<Option<Shard>> {
        let resolve = |request: ShardRequest| request.resolve(&EnvVariables::from_process());
        Ok(self.shard.map(resolve).transpose()?.map(|(shard, _)| shard))
    }

    /// The decoder with the options of inputs and photos.
    pub fn decoder(&self, console: &Console) -> PhotoDecoder {
        let max_pixels = (self.max_megapixels * 1e6) as u64;
        self.photo.decoder(max_pixels, self.page, console)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.1..=86_400.0).contains(&value) => Ok(Duration::from_secs_f64(value)),
        _ => Err("expected seconds between 0.1 and 86400, such as 60".into()),
    }
}

fn megapixels(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e6 => Ok(value),
        _ => Err("expected a number of megapixels above 0, such as 200".into()),
    }
}
