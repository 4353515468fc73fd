//! `dino pca`: fit components to patch tokens, then draw them.

use dino::backbone::LayerRequest;
use dino::batch::{Outcome, Report};
use dino::console::Console;
use dino::output::{
    Job, PICTURE, Plan, deliver, put_all, put_path, put_source, write_npy, write_picture,
};
use dino::pca::{Basis, FitOptions, Projected, Projection, TokenSpool, fit};
use dino::pipeline::Extracted;
use dino::preprocess::Geometry;
use dino::render::{self, overlay, side_by_side};
use dino::stopwatch::Stopwatch;
use dino::{Error, Result};
use image::RgbImage;
use serde_json::{Map, Value, json};

use crate::cli::{Fit, PcaArgs};
use crate::commands::basis;
use crate::commands::costs::{self, ENCODER};
use crate::commands::extract::{Extract, block_of, tokens};
use crate::commands::model::{self, Model};

/// Runs the command.
pub fn run(args: &PcaArgs, console: &Console) -> Result<u8> {
    let collected = args.input.collect()?;
    let extensions: &[&'static str] = if args.look.raw {
        &[PICTURE, "npy"]
    } else {
        &[PICTURE]
    };
    let mut plan = Plan::new(
        collected.sources,
        &args.output.options()?,
        "pca",
        extensions,
    )?;
    basis::check_target(args, &mut plan)?;
    args.output.settle(&plan, console)?;
    let mut report = Report::of_search(collected.failures, collected.summary, args.output.json);
    let (done, to_do): (Vec<&Job>, Vec<&Job>) = plan.jobs.iter().partition(|job| job.is_done());
    if to_do.is_empty() && args.fit.save_basis.is_none() {
        done.iter().for_each(|_| report.count(Outcome::Skipped));
    } else {
        let model = model::load(&args.run, console)?;
        let mut layer = layer(args, &model)?;
        let saved = basis::read(args, &model)?;
        if let Some((of, _)) = saved {
            layer = of;
        }
        let run = Run {
            args,
            console,
            model,
            layer,
        };
        if saved.is_some() || args.fit.fit == Fit::Each {
            done.iter().for_each(|_| report.count(Outcome::Skipped));
            let done = run.one_by_one(&to_do, &mut report, saved.map(|(_, projection)| projection));
            report.told(console, done)?;
        } else {
            // Photos whose pictures are there take part in the fit, so that a run that is taken up again gives
            // the colours that it would have given at once.
            let done = run.together(&plan.jobs.iter().collect::<Vec<_>>(), &mut report);
            report.told(console, done)?;
        }
    }
    report.finish(console);
    Ok(report.exit_code())
}

/// What stays the same over a run.
struct Run<'a> {
    args: &'a PcaArgs,
    console: &'a Console,
    model: Model,
    layer: LayerRequest,
}

/// A photo between its features and its picture.
struct Item<'a> {
    job: &'a Job,
    /// Only where the picture shows it.
    photo: Option<RgbImage>,
    geometry: Geometry,
    watch: Stopwatch,
}

impl Run<'_> {
    /// One fit for all photos: a first pass computes tokens, the fit reads them back, a second pass draws.
    fn together(&self, jobs: &[&Job], report: &mut Report) -> Result<()> {
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
            // The only photo need not be decoded twice; of many, none is kept.
            let photo = (self.wants_photo() && jobs.len() == 1).then_some(photo);
            items.push(Item {
                job,
                photo,
                geometry,
                watch,
            });
            Ok(())
        })?;
        if items.is_empty() {
            return Ok(());
        }
        let mut watch = Stopwatch::default();
        let projection = watch.time("fit", || fit(&mut spool, &self.fit_options()))?;
        self.console
            .detail(format_args!("{} photos: {watch}", items.len()));
        basis::save(
            self.args,
            &self.model,
            self.layer,
            &projection,
            self.console,
        )?;
        let name = |(_, item): &(usize, Item<'_>)| item.job.source.name();
        let outcomes = report.pass(
            self.console,
            items.into_iter().enumerate(),
            name,
            |(index, mut item)| {
                if item.job.is_done() {
                    return Ok(Outcome::Skipped);
                }
                if self.wants_photo() && item.photo.is_none() {
                    let decoder = self.args.input.decoder(self.console);
                    item.photo = Some(decoder.decode(&item.job.source)?.rgb);
                }
                self.draw(item, &projection, &spool.read(index)?.1)
            },
        )?;
        outcomes
            .into_iter()
            .for_each(|outcome| report.count(outcome));
        Ok(())
    }

    /// Every photo by itself, with the `saved` fit or one of its own.
    fn one_by_one(
        &self,
        jobs: &[&Job],
        report: &mut Report,
        saved: Option<Projection>,
    ) -> Result<()> {
        let dim = self.model.backbone.config().dim;
        self.extract(jobs, report, |report, job, mut extracted| {
            let tokens = tokens(&extracted)?;
            let own;
            let projection = match &saved {
                Some(projection) => projection,
                None => {
                    let mut spool = TokenSpool::new(dim);
                    spool.push(extracted.features.grid, &tokens)?;
                    own = extracted
                        .watch
                        .time("fit", || fit(&mut spool, &self.fit_options()))?;
                    basis::save(self.args, &self.model, self.layer, &own, self.console)?;
                    &own
                }
            };
            let Extracted {
                photo,
                geometry,
                watch,
                ..
            } = extracted;
            let photo = self.wants_photo().then_some(photo);
            report.count(self.draw(
                Item {
                    job,
                    photo,
                    geometry,
                    watch,
                },
                projection,
                &tokens,
            )?);
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
        let (input, run) = (&self.args.input, &self.args.run);
        let beside = if self.args.look.side_by_side { 6 } else { 0 };
        let after = costs::per_pixel(3 + beside + ENCODER);
        let extract = Extract {
            model: &self.model,
            layer: self.layer,
            size: self.args.size,
            decoder: input.decoder(self.console),
            batch_size: run.batch_size.get(),
            after: &after,
        };
        extract.run(jobs, self.console, report, each)
    }

    /// Projects, renders and writes one photo.
    fn draw(&self, item: Item<'_>, projection: &Projection, tokens: &[f32]) -> Result<Outcome> {
        let Item {
            job,
            photo,
            geometry,
            mut watch,
        } = item;
        let projected = watch.time("project", || projection.project(tokens))?;
        let picture = watch.time("render", || {
            self.picture(&projected, projection, &geometry, photo.as_ref())
        })?;
        let announce = !self.args.output.json;
        let text = [
            ("dino:model", self.model.record.name.clone()),
            ("dino:layer", self.layer.block.to_string()),
        ];
        watch.time("write", || {
            deliver(self.console, job.output(PICTURE), announce, |writer| {
                write_picture(writer, job.format, &picture, &text)
            })?;
            if self.args.look.raw {
                let grid = geometry.grid();
                let shape = [grid.rows, grid.cols, projection.shown.len()];
                deliver(self.console, job.output("npy"), announce, |writer| {
                    write_npy(writer, &shape, &projected.scores)
                })?;
            }
            Ok::<_, Error>(())
        })?;
        self.console
            .detail(format_args!("{}: {watch}", job.source.name()));
        if self.args.output.json {
            self.print_json(job, &geometry, &projected, projection, &watch)?;
        }
        Ok(Outcome::Done)
    }

    fn picture(
        &self,
        projected: &Projected,
        projection: &Projection,
        geometry: &Geometry,
        photo: Option<&RgbImage>,
    ) -> Result<RgbImage> {
        let upscale = self.args.look.upscale.into();
        let picture = render::pca::picture(projected, &projection.ranges, geometry, upscale)?;
        match (photo, self.args.look.overlay) {
            (Some(photo), Some(alpha)) => Ok(overlay(photo, picture, alpha)),
            (Some(photo), None) => side_by_side(photo, &picture),
            (None, _) => Ok(picture),
        }
    }

    /// One JSON object a photo.
    fn print_json(
        &self,
        job: &Job,
        geometry: &Geometry,
        projected: &Projected,
        projection: &Projection,
        watch: &Stopwatch,
    ) -> Result<()> {
        let grid = geometry.grid();
        let foreground = projected.foreground.iter().filter(|is| **is).count();
        let of_shown = |values: &[f64]| {
            projection
                .shown
                .iter()
                .map(|&index| values[index])
                .collect::<Vec<_>>()
        };
        let Basis { variances, .. } = &projection.basis;
        let mut object = Map::new();
        put_source(&mut object, "input", &job.source);
        put_path(&mut object, "picture", job.output(PICTURE).path());
        let raw = self.args.look.raw.then(|| job.output("npy").path());
        put_path(&mut object, "raw", raw.flatten());
        let facts = json!({
            "model": self.model.record.name,
            "layer": self.layer.block,
            "norm": self.layer.norm,
            "photo_size": [geometry.photo.0, geometry.photo.1],
            "input_size": [geometry.padded.0, geometry.padded.1],
            "grid": [grid.rows, grid.cols],
            "components": projection.shown.iter().map(|index| index + 1).collect::<Vec<_>>(),
            "variance": of_shown(variances),
            "explained_variance_ratio": of_shown(&projection.basis.explained_variance_ratio()),
            "ranges": projection.ranges,
            "whiten": projection.whiten,
            "foreground_share": foreground as f64 / projected.foreground.len() as f64,
            "seconds": watch,
        });
        put_all(&mut object, facts);
        self.console.out(&Value::Object(object).to_string())
    }

    fn wants_photo(&self) -> bool {
        self.args.look.side_by_side || self.args.look.overlay.is_some()
    }

    fn fit_options(&self) -> FitOptions {
        FitOptions {
            shown: self.args.fit.components.clone(),
            whiten: self.args.fit.whiten,
            foreground: self.args.fit.foreground,
        }
    }
}

/// The layer that `--layer` and `--no-norm` name.
fn layer(args: &PcaArgs, model: &Model) -> Result<LayerRequest> {
    Ok(LayerRequest {
        block: block_of(args.layer, model)?,
        norm: !args.no_norm,
    })
}
