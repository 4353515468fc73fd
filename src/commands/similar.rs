//! `dino similar`: where photos look like one point of the first of them.

use std::path::Path;

use dino::backbone::LayerRequest;
use dino::batch::{Outcome, Report};
use dino::console::Console;
use dino::engine::{Ready, Seen};
use dino::inputs::{Collected, Source};
use dino::output::{
    Destination, Job, PICTURE, Plan, deliver, put_all, put_path, put_source, write_npy,
    write_picture,
};
use dino::render::Range;
use dino::similarity::{Patch, best, cosines};
use dino::{Error, Result};
use serde_json::{Map, Value, json};

use crate::cli::{CosineRange, SimilarArgs};
use crate::commands::extract::Extract;
use crate::commands::model::{self, Model};
use dino::tasks::check_pixel;
use dino::tasks::costs;
use dino::tasks::layer::{block_of, tokens};
use dino::tasks::patch_map::PatchMaps;

/// Runs the command.
pub fn run(args: &SimilarArgs, console: &Console) -> Result<u8> {
    let mut collected = args.input.collect()?;
    let first = first_photo(args, &mut collected)?;
    check_point(args, first, console)?;
    let mut extensions = vec![PICTURE];
    extensions.extend(args.raw.then_some("npy"));
    let options = args.output.options()?;
    // Another point has other files: it is another question.
    let kind = format!("similar-{}-{}", args.at.0, args.at.1);
    let plan = Plan::new(collected.sources, &options, &kind, &extensions)?;
    args.output.settle(&plan, console)?;
    let mut report = Report::of_search(collected.failures, collected.summary, args.output.json);
    let (done, to_do): (Vec<&Job>, Vec<&Job>) = plan.jobs.iter().partition(|job| job.is_done());
    done.iter().for_each(|_| report.count(Outcome::Skipped));
    if let Some(first) = plan.jobs.first().filter(|_| !to_do.is_empty()) {
        let model = model::load(&args.run, console)?;
        let run = Run {
            args,
            console,
            layer: LayerRequest {
                block: block_of(
                    args.layer,
                    model.backbone().config().depth,
                    &model.record.name,
                )?,
                norm: !args.no_norm,
            },
            maps: PatchMaps::new(args.look.look(), ""),
            asked: first,
            model: &model,
        };
        let done = run.all(&to_do, &mut report);
        report.told(console, done)?;
    }
    report.finish(console);
    Ok(report.exit_code())
}

/// The photo that `--at` is about: the first of the first input, which must not be missing.
fn first_photo<'a>(args: &SimilarArgs, collected: &'a mut Collected) -> Result<&'a Source> {
    let named = args.input.inputs.first().map(Path::new);
    let missing = named.and_then(|named| {
        let name = named.display().to_string();
        let mut failures = collected.failures.iter();
        failures.position(|(failed, _)| *failed == name)
    });
    if let Some(missing) = missing {
        // The others have nothing to be compared with.
        return Err(collected.failures.swap_remove(missing).1);
    }
    collected
        .sources
        .first()
        .ok_or_else(|| Error::Usage("no input: name photos, folders or patterns".into()))
}

/// Refuses a point outside of the photo before any work is done.
fn check_point(args: &SimilarArgs, first: &Source, console: &Console) -> Result<()> {
    let size = args.input.decoder(console).size(first)?;
    check_pixel(args.at, size).map_err(|why| Error::file(first.path(), why))
}

/// What stays the same over a run.
struct Run<'a> {
    args: &'a SimilarArgs,
    console: &'a Console,
    model: &'a Model,
    layer: LayerRequest,
    maps: PatchMaps,
    /// The photo that has the point.
    asked: &'a Job,
}

/// What is looked for.
struct Query {
    patch: Patch,
    /// `[D]`.
    token: Vec<f32>,
}

impl Run<'_> {
    /// The first photo, then the others.
    fn all(&self, to_do: &[&Job], report: &mut Report) -> Result<()> {
        let (args, console) = (self.args, self.console);
        let after = costs::per_pixel(self.maps.bytes_per_pixel());
        let extract = Extract {
            model: self.model,
            layer: self.layer,
            size: args.size,
            decoder: args.input.decoder(console),
            batch_size: args.run.batch_size,
            after: &after,
        };
        let (x, y) = args.at;
        console.note(format_args!(
            "looking for what is at {x},{y} in {}",
            self.asked.source.name()
        ));
        let mut query = None;
        let asked = |job: &Job, ready: Ready, seen: Seen, words: &Console| {
            let own = self.query(&ready, &seen)?;
            let is_drawn = !job.is_done();
            if is_drawn {
                self.draw(job, ready, &seen, &own, words)?;
            }
            Ok((own, is_drawn))
        };
        extract.run(
            &[self.asked],
            console,
            report,
            asked,
            |report, (own, is_drawn)| {
                if is_drawn {
                    report.count(Outcome::Done);
                }
                query = Some(own);
            },
        )?;
        // Without it there is nothing to look for, and why is in the report.
        let Some(query) = query else { return Ok(()) };
        let others: Vec<&Job> = to_do
            .iter()
            .copied()
            .filter(|job| job.source != self.asked.source)
            .collect();
        let draw = |job: &Job, ready: Ready, seen: Seen, words: &Console| {
            self.draw(job, ready, &seen, &query, words)
        };
        extract.run(&others, console, report, draw, |report, ()| {
            report.count(Outcome::Done);
        })
    }

    /// The token of the patch under the point.
    fn query(&self, ready: &Ready, seen: &Seen) -> Result<Query> {
        let geometry = &ready.geometry()?;
        let (tokens, dim) = (
            tokens(&seen.features, self.layer)?,
            self.model.backbone().config().dim,
        );
        let patch = Patch::under(self.args.at, geometry);
        let token =
            patch.and_then(|patch| tokens.chunks_exact(dim).nth(patch.index(geometry.grid())));
        match patch.zip(token) {
            Some((patch, token)) => Ok(Query {
                patch,
                token: token.to_vec(),
            }),
            None => Err(Error::file(
                self.asked.source.path(),
                "has become smaller since --at was checked",
            )),
        }
    }

    /// Writes what was asked for of one photo.
    fn draw(
        &self,
        job: &Job,
        ready: Ready,
        seen: &Seen,
        query: &Query,
        words: &Console,
    ) -> Result<()> {
        let tokens = tokens(&seen.features, self.layer)?;
        let geometry = ready.geometry()?;
        let Ready {
            photo,
            mut watch,
            permit: _permit,
            ..
        } = ready;
        let grid = geometry.grid();
        let found = watch.time("compare", || cosines(&query.token, &tokens));
        let Some((patch, cosine)) = best(&found, grid) else {
            return Err(Error::file(job.source.path(), "has no patches"));
        };
        let is_asked = job.source == self.asked.source;
        let pixel = patch.pixel(&geometry);
        let range = match self.args.range {
            CosineRange::Auto => Range::of(&found),
            CosineRange::Fixed(range) => range,
        };
        let announce = !self.args.output.json;
        let (x, y) = self.args.at;
        let text = [
            ("dino:model", self.model.record.name.clone()),
            ("dino:layer", self.layer.block.to_string()),
            (
                "dino:content",
                format!(
                    "cosine with what is at {x},{y} in {}",
                    self.asked.source.name()
                ),
            ),
        ];
        if !matches!(job.output(PICTURE), Destination::Kept(_)) {
            let marked = if is_asked { self.args.at } else { pixel };
            let picture = watch.time("render", || {
                self.maps
                    .picture(&found, &geometry, range, &photo, Some(marked))
            })?;
            watch.time("write", || {
                deliver(words, job.output(PICTURE), announce, |writer| {
                    write_picture(writer, job.format, &picture, &text)
                })
            })?;
        }
        if self.args.raw {
            let shape = [grid.rows, grid.cols];
            watch.time("write", || {
                deliver(words, job.output("npy"), announce, |writer| {
                    write_npy(writer, &shape, &found)
                })
            })?;
        }
        let name = job.source.name();
        words.detail(format_args!(
            "{name}: best match at {},{}, cosine {cosine:.3}; {watch}",
            pixel.0, pixel.1
        ));
        if !self.args.output.json {
            return Ok(());
        }
        let mut object = Map::new();
        put_source(&mut object, "input", &job.source);
        put_path(&mut object, "picture", job.output(PICTURE).path());
        let raw = self.args.raw.then(|| job.output("npy").path()).flatten();
        put_path(&mut object, "raw", raw);
        let mut query_object = Map::new();
        put_source(&mut query_object, "input", &self.asked.source);
        query_object.insert("x".into(), json!(x));
        query_object.insert("y".into(), json!(y));
        query_object.insert("patch".into(), json!([query.patch.row, query.patch.column]));
        let facts = json!({
            "model": self.model.record.name,
            "layer": self.layer.block,
            "norm": self.layer.norm,
            "photo_size": [geometry.photo.0, geometry.photo.1],
            "input_size": [geometry.padded.0, geometry.padded.1],
            "grid": [grid.rows, grid.cols],
            "query": query_object,
            "best": {"x": pixel.0, "y": pixel.1, "patch": [patch.row, patch.column], "cosine": cosine},
            "range": [range.low, range.high],
            "seconds": watch,
        });
        put_all(&mut object, facts);
        words.out(&Value::Object(object).to_string())
    }
}
