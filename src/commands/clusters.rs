//! `dino segment --clusters` and `--codebook`: parts without a head.

use dino::backbone::LayerRequest;
use dino::batch::{Outcome, Report};
use dino::cluster::file::{CodebookInfo, from_bytes, to_bytes};
use dino::cluster::{ClusterCount, Codebook, Fitted, fit};
use dino::console::Console;
use dino::head::Class;
use dino::output::{Destination, Job, Plan, deliver};
use dino::pca::TokenSpool;
use dino::pipeline::Extracted;
use dino::preprocess::{Geometry, SizeRule};
use dino::render::palette;
use dino::stopwatch::Stopwatch;
use dino::{Error, Result, interrupt};
use image::RgbImage;

use crate::cli::{SegmentArgs, Tta};
use crate::commands::costs;
use crate::commands::extract::{Extract, tokens};
use crate::commands::model::{self, Model};
use crate::commands::predict::Draw;
use crate::commands::segment::{Painter, bytes_per_pixel, extensions};

/// What the backbone sees without `--size`.
const SIZE: SizeRule = SizeRule::ShortSide(518);

/// Runs the command.
pub fn run(args: &SegmentArgs, console: &Console) -> Result<u8> {
    check_wishes(args)?;
    let mut painter = Painter::new(args, console)?;
    let collected = args.predict.input.collect()?;
    let mut plan = Plan::new(
        collected.sources,
        &args.predict.output.options()?,
        "clusters",
        &extensions(args),
    )?;
    model::protect(&mut plan.outputs, painter.reads())?;
    if let Some(path) = &args.clusters.save_codebook {
        plan.add_flag("--save-codebook", path, args.predict.output.force)?;
    }
    painter.begin(&mut plan)?;
    args.predict.output.settle(&plan, console)?;
    let mut report = Report::of_search(
        collected.failures,
        collected.summary,
        args.predict.output.json,
    );
    let wants_all = painter.wants_all();
    let (done, to_do): (Vec<&Job>, Vec<&Job>) = plan
        .jobs
        .iter()
        .partition(|job| job.is_done() && !wants_all);
    let nothing_to_do = to_do.is_empty() && args.clusters.save_codebook.is_none();
    if nothing_to_do {
        done.iter().for_each(|_| report.count(Outcome::Skipped));
    } else {
        let model = model::load(&args.predict.run, console)?;
        // The last block, as its final norm leaves it.
        let layer = LayerRequest {
            block: model.backbone.config().depth - 1,
            norm: true,
        };
        let saved = read(args, &model)?;
        let layer = saved.as_ref().map_or(layer, |(layer, _)| *layer);
        let run = Run {
            args,
            console,
            model,
            layer,
        };
        match saved {
            Some((_, codebook)) => {
                done.iter().for_each(|_| report.count(Outcome::Skipped));
                let done = run.one_by_one(&to_do, &mut report, &codebook, &mut painter);
                report.told(console, done)?;
            }
            // Photos whose pictures are there take part in the fit, so that a run that is taken up again gives the
            // clusters that it would have given at once.
            None => {
                let all: Vec<&Job> = plan.jobs.iter().collect();
                let done = run.together(&all, &mut report, &mut painter);
                report.told(console, done)?;
            }
        }
    }
    report.finish(console);
    if !nothing_to_do {
        painter.conclude()?;
    }
    Ok(report.exit_code())
}

/// What stays the same over a run.
struct Run<'a> {
    args: &'a SegmentArgs,
    console: &'a Console,
    model: Model,
    layer: LayerRequest,
}

/// A photo between its features and its picture.
struct Item<'a> {
    job: &'a Job,
    /// Kept where it is the only one; of many, each is decoded again.
    photo: Option<RgbImage>,
    geometry: Geometry,
    watch: Stopwatch,
}

impl Run<'_> {
    /// Clusters of all photos: a first pass computes tokens, the fit samples them, a second pass draws.
    fn together(
        &self,
        jobs: &[&Job],
        report: &mut Report,
        painter: &mut Painter<'_>,
    ) -> Result<()> {
        let Some(count) = self.args.clusters.clusters else {
            return Ok(());
        };
        let mut spool = TokenSpool::new(self.model.backbone.config().dim);
        let mut items = Vec::new();
        self.extract(jobs, report, |_, job, extracted| {
            spool.push(extracted.features.grid, &tokens(&extracted)?)?;
            let Extracted {
                geometry,
                watch,
                photo,
                ..
            } = extracted;
            items.push(Item {
                job,
                photo: (jobs.len() == 1).then_some(photo),
                geometry,
                watch,
            });
            Ok(())
        })?;
        if items.is_empty() {
            return Ok(());
        }
        let mut watch = Stopwatch::default();
        let progress = match count {
            ClusterCount::Auto => Some(self.console.progress(2, "numbers of clusters")),
            ClusterCount::Exactly(_) => None,
        };
        let tick = |done: usize, all: usize| {
            if let Some(progress) = &progress {
                progress.set_total(all as u64);
                progress.set(done as u64);
            }
            interrupt::check()
        };
        let fitted = watch.time("fit", || fit(&mut spool, count, &tick))?;
        drop(progress);
        self.explain(&fitted);
        self.console
            .detail(format_args!("{} photos: {watch}", items.len()));
        self.save(&fitted.codebook)?;
        self.name_clusters(painter, &fitted.codebook)?;
        let wants_all = painter.wants_all();
        let decoder = self.args.predict.input.decoder(self.console);
        let name = |(_, item): &(usize, Item<'_>)| item.job.source.name();
        let outcomes = report.pass(
            self.console,
            items.into_iter().enumerate(),
            name,
            |(index, item)| {
                if item.job.is_done() && !wants_all {
                    return Ok(Outcome::Skipped);
                }
                let photo = match item.photo {
                    Some(photo) => photo,
                    None => decoder.decode(&item.job.source)?.rgb,
                };
                let (grid, tokens) = spool.read(index)?;
                let scores = fitted.codebook.scores(&tokens, grid);
                painter.label(item.job, &photo, &item.geometry, &scores, item.watch)
            },
        )?;
        outcomes
            .into_iter()
            .for_each(|outcome| report.count(outcome));
        Ok(())
    }

    /// Every photo by itself, with clusters that are there.
    fn one_by_one(
        &self,
        jobs: &[&Job],
        report: &mut Report,
        codebook: &Codebook,
        painter: &mut Painter<'_>,
    ) -> Result<()> {
        self.name_clusters(painter, codebook)?;
        self.extract(jobs, report, |report, job, extracted| {
            let scores = codebook.scores(&tokens(&extracted)?, extracted.features.grid);
            let Extracted {
                photo,
                geometry,
                watch,
                ..
            } = extracted;
            report.count(painter.label(job, &photo, &geometry, &scores, watch)?);
            Ok(())
        })
    }

    /// Runs the backbone over all jobs; what fails is recorded, and the rest goes on.
    fn extract<'j>(
        &self,
        jobs: &[&'j Job],
        report: &mut Report,
        each: impl FnMut(&mut Report, &'j Job, Extracted) -> Result<()>,
    ) -> Result<()> {
        let args = &self.args.predict;
        let after = costs::per_pixel(bytes_per_pixel(self.args));
        let extract = Extract {
            model: &self.model,
            layer: self.layer,
            size: args.head.size.unwrap_or(SIZE),
            decoder: args.input.decoder(self.console),
            batch_size: args.run.batch_size.get(),
            after: &after,
        };
        extract.run(jobs, self.console, report, each)
    }

    /// Tells the painter what the clusters are called: their numbers, from 1.
    fn name_clusters(&self, painter: &mut Painter<'_>, codebook: &Codebook) -> Result<()> {
        let colors = palette::distinct(codebook.k);
        let classes: Vec<Class> = (1..)
            .zip(colors)
            .map(|(number, color): (usize, _)| Class {
                name: number.to_string(),
                color,
            })
            .collect();
        let of = format!("a codebook of {} clusters", codebook.k);
        let made_by = vec![
            ("model", self.model.record.name.clone()),
            ("clusters", codebook.k.to_string()),
        ];
        painter.name_labels(classes, &of, made_by)
    }

    /// Says what `auto` came to.
    fn explain(&self, fitted: &Fitted) {
        for (k, silhouette) in &fitted.silhouettes {
            self.console
                .detail(format_args!("{k} clusters: silhouette {silhouette:.3}"));
        }
        if !fitted.silhouettes.is_empty() {
            self.console
                .note(format_args!("{} clusters", fitted.codebook.k));
        }
    }

    /// Writes the file of `--save-codebook`, if that is asked for.
    fn save(&self, codebook: &Codebook) -> Result<()> {
        let Some(path) = &self.args.clusters.save_codebook else {
            return Ok(());
        };
        let info = CodebookInfo {
            format: 1,
            model: self.model.record.name.clone(),
            fingerprint: self.model.record.fingerprint.clone(),
            block: self.layer.block,
            norm: self.layer.norm,
        };
        let bytes = to_bytes(&info, codebook)?;
        let destination = Destination::of_flag(path)?;
        deliver(self.console, &destination, true, |writer| {
            writer.write_all(&bytes)
        })
    }
}

/// Refuses before any work what could not be done.
fn check_wishes(args: &SegmentArgs) -> Result<()> {
    let wants_head = [
        ("--tta flip", args.predict.head.tta == Tta::Flip),
        ("--slide", args.predict.slide),
    ];
    if let Some((flag, _)) = wants_head.iter().find(|(_, given)| *given) {
        return Err(Error::Usage(format!(
            "{flag} works with a head; leave it out with --clusters and --codebook"
        )));
    }
    Ok(())
}

/// Reads the file of `--codebook`, which must have been fitted with the same weights.
fn read(args: &SegmentArgs, model: &Model) -> Result<Option<(LayerRequest, Codebook)>> {
    let Some(path) = &args.clusters.codebook else {
        return Ok(None);
    };
    let bytes = dino::pipe::read_whole(path)?;
    let (info, codebook) = from_bytes(&bytes).map_err(|why| Error::file(path, why))?;
    if info.fingerprint != model.record.fingerprint {
        return Err(Error::file(
            path,
            format!(
                "was fitted with {}, whose features have other directions than those of {}; use --model {}",
                info.model, model.record.name, info.model
            ),
        ));
    }
    let config = model.backbone.config();
    if info.block >= config.depth || codebook.dim() != config.dim {
        return Err(Error::file(
            path,
            "does not fit the model that it names; make it again with --save-codebook",
        ));
    }
    let layer = LayerRequest {
        block: info.block,
        norm: info.norm,
    };
    Ok(Some((layer, codebook)))
}
