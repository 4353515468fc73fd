//! `dino depth`: scores become a map of depths, drawn at once or (with `--range global`) in a second pass.
//!
//! [`files`] writes what was asked for of one photo, [`points`] its points as [`cloud`]'s cameras see them, and [`report`] says it in words and JSON.

mod cloud;
mod files;
mod names;
mod points;
mod report;

use std::path::Path;

use dino::batch::{Outcome, Report};
use dino::console::Console;
use dino::head::{Head, HeadMeta, Readout, Task};
use dino::heads::official::{Data, Official};
use dino::output::{CloudFormat, Job};
use dino::pca::Sampler;
use dino::postprocess::depth::{self, Decoder, Spread};
use dino::postprocess::rows::{Rows, Upsampled, Whole};
use dino::postprocess::{DepthMap, refine};
use dino::preprocess::Geometry;
use dino::render::Range;
use dino::spool::Spool;
use dino::stopwatch::Stopwatch;
use dino::{Error, Result};
use image::RgbImage;

use crate::cli::{DepthArgs, RangeRule};
use crate::commands::predict::{self, Draw, Prediction, Request, Which};

use files::{Files, Measured};
use names::extensions;

/// Values that one photo puts in to the range of all, so that large photos count little more than small ones.
const SAMPLES: usize = 1 << 16;

/// Photos whose greater part is nearer than this many metres are hardly of streets.
const INDOORS: f32 = 5.0;

/// Runs the command.
pub fn run(args: &DepthArgs, console: &Console) -> Result<u8> {
    let global = args.look.range == RangeRule::Global;
    let at = !args.numbers.at.is_empty();
    if at && !args.predict.output.json {
        console.claim_stdout("--at")?;
    }
    if args.numbers.depth_scale.is_some() && names::depth_scale(&args.numbers).is_none() {
        let why = "--depth-scale is for --save png16; the other formats hold metres";
        return Err(Error::Usage(why.into()));
    }
    let request = Request {
        task: "depth",
        kind: "depth",
        extensions: &extensions(args),
        elsewhere: args
            .cloud
            .format()
            .map(CloudFormat::extension)
            .zip(args.cloud.path()),
        which: match (at, global) {
            (true, _) => Which::All,
            (false, true) => Which::AllOrNone,
            (false, false) => Which::Missing,
        },
    };
    let mut drawer = Drawer {
        args,
        console,
        files: Files::new(args, console)?,
        maps: Spool::new("depth maps", "--range auto"),
        sampler: Sampler::default(),
        waiting: Vec::new(),
    };
    predict::run(&args.predict, &request, console, &mut drawer)
}

/// Draws photos, or keeps their maps until the range of all is known.
struct Drawer<'a> {
    args: &'a DepthArgs,
    console: &'a Console,
    files: Files<'a>,
    /// Depth, then deviation, of each photo that waits.
    maps: Spool,
    sampler: Sampler,
    waiting: Vec<Waiting>,
}

/// Whether borders are fitted to the photo if nothing is said about it.
pub const REFINE: bool = false;

/// A map at the photo's size.
struct Full<'m> {
    /// A few rows at a time; fitted to the photo's edges, they are there already.
    depth: Box<dyn Rows + 'm>,
    deviation: Option<Upsampled<'m>>,
}

impl<'m> Full<'m> {
    /// Of a `map` over the padded input, fitted to the edges of the photo where that is given; `buffer` holds it then.
    fn new(
        map: &'m DepthMap,
        geometry: &Geometry,
        photo: Option<&RgbImage>,
        buffer: &'m mut Vec<f32>,
    ) -> Result<Self> {
        let depth: Box<dyn Rows + 'm> = match photo {
            None => Box::new(map.depth_rows(geometry)),
            Some(photo) => {
                *buffer = refine::depth_with(&refine::DEPTH, map, geometry, photo)?;
                Box::new(Whole {
                    width: geometry.photo.0 as usize,
                    values: buffer,
                })
            }
        };
        Ok(Full {
            depth,
            deviation: map.deviation_rows(geometry),
        })
    }

    fn deviation(&self) -> Option<&dyn Rows> {
        self.deviation.as_ref().map(|rows| rows as &dyn Rows)
    }
}

/// A photo between the passes.
struct Waiting {
    job: Job,
    geometry: Geometry,
    /// Of its map.
    size: (usize, usize),
    meta: HeadMeta,
    watch: Stopwatch,
}

impl Draw for Drawer<'_> {
    fn bytes_per_pixel(&self) -> u64 {
        let refined = match self.args.predict.head.refines(REFINE) {
            true => 4,
            false => 0,
        };
        refined + self.files.bytes_per_pixel()
    }

    fn reads(&self) -> Vec<Option<&'_ Path>> {
        vec![self.args.text.font.as_deref()]
    }

    fn pixels(&self) -> Vec<(u32, u32)> {
        self.args.numbers.at.clone()
    }

    fn accept(&self, head: &Head) -> Result<()> {
        match readout_of(&head.meta)? {
            Readout::Direct { .. } if self.args.numbers.uncertainty => Err(Error::Usage(format!(
                "--uncertainty: the head {} gives depths alone; heads with bins know how sure they are",
                head.meta.name
            ))),
            _ => {
                if self.args.numbers.uncertainty && head.meta.calibration.is_none() {
                    self.console.note(format_args!(
                        "--uncertainty: the head {} was not calibrated, so this is the plain spread over its bins, which may \
                         be far wider than its errors",
                        head.meta.name
                    ));
                }
                self.files.prepare_scale(&head.meta)
            }
        }
    }

    fn draw(&mut self, prediction: Prediction<'_>) -> Result<Option<Outcome>> {
        let meta = &prediction.head.meta;
        let mut watch = prediction.watch.clone();
        let spread = match self.files.wants_deviation() {
            true => spread_of(meta),
            false => Spread::Unread,
        };
        let map = watch.time("read out", || read_out(&prediction, spread))?;
        let refines = self.args.predict.head.refines(REFINE);
        let photo = refines.then_some(prediction.photo);
        let mut buffer = Vec::new();
        let full = watch.time("upsample", || {
            Full::new(&map, prediction.geometry, photo, &mut buffer)
        })?;
        self.doubt(meta, &*full.depth, &prediction.job.source.name());
        let range = match self.args.look.range {
            RangeRule::Global => {
                self.keep(&prediction, &map, &*full.depth, watch)?;
                return Ok(None);
            }
            RangeRule::Auto => watch.time("range", || Range::of_rows(&*full.depth)),
            RangeRule::Fixed(range) => range,
            RangeRule::Head => {
                let (min, max) = readout_of(meta)?.range();
                Range::new(min as f32, max as f32)
            }
        };
        self.files
            .write(Measured {
                job: prediction.job,
                photo: Some(prediction.photo),
                geometry: prediction.geometry,
                depth: &*full.depth,
                deviation: full.deviation(),
                range,
                meta,
                watch,
            })
            .map(Some)
    }

    fn finish(&mut self, report: &mut Report) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let range = Range::of_sampled(std::mem::take(&mut self.sampler));
        let waiting = std::mem::take(&mut self.waiting);
        let (maps, files) = (&mut self.maps, &self.files);
        let outcomes = report.pass(
            self.console,
            waiting.into_iter().enumerate(),
            |(_, one)| one.job.source.name(),
            |(index, mut one)| {
                if files.has_nothing_to_do(&one.job) {
                    return Ok(Outcome::Skipped);
                }
                let (width, height) = one.size;
                let mut depth = maps.read(index)?;
                let deviation = depth.split_off(width * height);
                let map = DepthMap {
                    width,
                    height,
                    depth,
                    deviation,
                };
                let decoder = self.args.predict.input.decoder(self.console);
                let refines = self.args.predict.head.refines(REFINE);
                let photo = match files.wants_photo() || refines {
                    true => Some(
                        one.watch
                            .time("decode", || decoder.decode(&one.job.source))?,
                    ),
                    false => None,
                };
                let guide = photo.as_ref().filter(|_| refines).map(|photo| &photo.rgb);
                let mut buffer = Vec::new();
                let full = one.watch.time("upsample", || {
                    Full::new(&map, &one.geometry, guide, &mut buffer)
                })?;
                files.write(Measured {
                    job: &one.job,
                    photo: photo.as_ref().map(|photo| &photo.rgb),
                    geometry: &one.geometry,
                    depth: &*full.depth,
                    deviation: full.deviation(),
                    range,
                    meta: &one.meta,
                    watch: one.watch,
                })
            },
        )?;
        outcomes
            .into_iter()
            .for_each(|outcome| report.count(outcome));
        Ok(())
    }
}

impl Drawer<'_> {
    /// Says where a head for streets seems to look at a room.
    fn doubt(&self, meta: &HeadMeta, depth: &dyn Rows, name: &str) {
        let of_streets = Official::of(meta).is_some_and(|head| head.data == Data::Kitti);
        let is_near = || {
            let (mut near, mut all) = (0usize, 0usize);
            depth.for_each(|metres| {
                near += usize::from(metres < INDOORS);
                all += 1;
            });
            2 * near > all
        };
        if of_streets && is_near() {
            self.console.warn(format_args!(
                "{name}: most of it is nearer than {INDOORS} m, so it may be indoors; {} was trained on streets, and nyu \
                 heads are for rooms",
                meta.name
            ));
        }
    }

    /// Keeps a photo's map, before upsampling, for the second pass.
    fn keep(
        &mut self,
        prediction: &Prediction<'_>,
        map: &DepthMap,
        full: &dyn Rows,
        watch: Stopwatch,
    ) -> Result<()> {
        // An odd stride does not keep to the same few columns of photos whose width is a power of two.
        let (width, height) = full.size();
        let stride = (width * height).div_ceil(SAMPLES) | 1;
        full.for_each_nth(stride, |value| self.sampler.push(value));
        self.maps
            .push(&[map.depth.as_slice(), &map.deviation].concat())?;
        self.waiting.push(Waiting {
            job: prediction.job.clone(),
            geometry: *prediction.geometry,
            size: (map.width, map.height),
            meta: prediction.head.meta.clone(),
            watch,
        });
        Ok(())
    }
}

/// What a head's spread over its bins says: the deviation that it was calibrated for, else the spread itself.
pub fn spread_of(meta: &HeadMeta) -> Spread {
    meta.calibration
        .as_ref()
        .map_or(Spread::Plain, |calibration| {
            Spread::Scaled(calibration.scale as f32)
        })
}

/// The depths that the scores stand for, over the padded input.
fn read_out(prediction: &Prediction<'_>, spread: Spread) -> Result<DepthMap> {
    let decoder = Decoder::new(readout_of(&prediction.head.meta)?, spread);
    let (scores, mirrored) = prediction.scores()?;
    let map = depth::read_out_photo(scores, mirrored, prediction.geometry, &decoder);
    match map.is_finite() {
        true => Ok(map),
        false => Err(not_finite(&prediction.head.meta)),
    }
}

/// Refuses a pixel of `--at` that a photo of (width, height) does not have.
///
/// # Errors
/// A part of a sentence about the photo.
pub fn check_pixel((x, y): (u32, u32), (width, height): (u32, u32)) -> Result<(), String> {
    match x < width && y < height {
        true => Ok(()),
        false => Err(format!(
            "--at {x},{y} lies outside of the photo, which is {width} x {height} pixels (counted from 0,0)"
        )),
    }
}

/// Why depths that are no numbers are not shown.
pub fn not_finite(meta: &HeadMeta) -> Error {
    Error::Model(format!(
        "the head {} gave depths that are not finite: its weights are damaged or far too large; fetch or train it anew",
        meta.name
    ))
}

/// What the numbers of a head for depth mean.
pub fn readout_of(meta: &HeadMeta) -> Result<&Readout> {
    match &meta.task {
        Task::Depth { readout, .. } => Ok(readout),
        _ => Err(Error::Model(format!(
            "the head {} is not for depth; `dino heads list` names those that are",
            meta.name
        ))),
    }
}
