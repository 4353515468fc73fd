//! `dino similar`: the patch under one pixel of the first photo is compared with every patch of all photos by the
//! cosine of their features, as pictures and as float32 `[rows, columns]`.

use std::path::Path;

use dino::analysis::similarity::{PatchPosition, best_match, cosines};
use dino::engine::{BackboneOutput, ReadyPhoto};
use dino::io::inputs::{CollectedInputs, PhotoDecoder, Source};
use dino::io::manifest::Ledger;
use dino::io::output::{
    Destination, LineStatus, LineSubject, OutputJob, PICTURE_EXTENSION, print_input_errors,
    put_all, put_source, write_npy, write_output, write_picture,
};
use dino::model::backbone::LayerRequest;
use dino::tasks::layer::{layer_tokens, resolve_block};
use dino::tasks::patch_map::PatchMapRenderer;
use dino::tasks::{check_pixel, memory_cost};
use dino::terminal::console::Console;
use dino::vision::render::ValueRange;
use dino::{Error, Result};
use serde_json::{Map, Value, json};

use crate::cli::{CosineRange, SimilarArgs};
use crate::commands::defaults;
use crate::commands::extract::{ExtractionRequest, LayerExtractor, PhotoJobs};
use crate::commands::layer_manifest::LayerManifest;
use crate::commands::model::{self, ModelReplicas};

/// Runs the command.
pub fn run(args: &SimilarArgs, console: &Console) -> Result<u8> {
    let mut collected =
        args.input
            .collect_all_shards(&[SUBJECT], (args.run.offline, args.output.json), console)?;
    let decoder = args.input.decoder(console);
    let max_bytes = decoder.options.max_memory;
    let first = first_photo(args, &mut collected).cloned();
    let first = first.and_then(|first| {
        check_point(args, &first, &decoder)?;
        Ok(first)
    });
    if let Err(error) = &first
        && args.output.json
    {
        print_input_errors(&[SUBJECT], error, console)?;
    }
    let first = first?;
    // The first photo, with which all are compared, is in every shard.
    let collected = args
        .input
        .keep_shard(collected, |index| index == 0, console)?;
    defaults::fetch_default_backbone(&args.run, console)?;
    let resolved = model::resolve(&args.run, console)?;
    let layer = LayerRequest {
        block: resolve_block(
            args.tokens.layer,
            resolved.model.config.depth,
            &resolved.model.name,
        )?,
        norm: !args.tokens.no_norm,
    };
    let query_stamp =
        Ledger::open(&args.output.options(args.input.shard()?)?)?.stamp_of(&first, max_bytes)?;
    let mut extensions = vec![PICTURE_EXTENSION];
    extensions.extend(args.raw.then_some("npy"));
    let place = first.absolute().display().to_string();
    let place = (Some(place), first.page().map(|page| page.number));
    let size = args.tokens.size.size.to_string();
    let manifest = LayerManifest {
        // Another point gives other files, so the point is part of the task's name.
        task: format!("similar-{}-{}", args.at.0, args.at.1),
        extensions: &extensions,
        siblings: &["npy"],
        resolved: &resolved,
        decoding: decoder.options,
        settings: json!({
            "asked": [json!(query_stamp.digest), json!(place)],
            "size": size,
            "block": layer.block,
            "norm": layer.norm,
        }),
        // Part of the record's digests: the names in this text must stay.
        style: format!("{:?} {}", args.look, describe_range(args.range)),
        parameters: json!({
            "size": size,
            "layer": layer.block,
            "norm": layer.norm,
        }),
    };
    let request = ExtractionRequest {
        subject: SUBJECT,
        digests: manifest.digests(resolved.model.fingerprint.as_deref())?,
        extensions: &extensions,
        output: &args.output,
        shard: args.input.shard()?,
        max_bytes,
    };
    let mut photos = PhotoJobs::plan(collected, request, console)?;
    let mut ran = Ok(());
    if !photos.pending().is_empty() {
        let model = model::load(&args.run, console)?;
        photos.update_for_model(manifest.digests(Some(&model.record.fingerprint))?);
        let run = SimilarityRun {
            args,
            console,
            layer,
            maps: PatchMapRenderer::new(args.look.look(), ""),
            query_photo: photos.plan.jobs[0].source.clone(),
            model: &model,
        };
        ran = run.run(&mut photos, decoder);
    }
    photos.finish(ran)
}

/// The task in JSON lines.
const SUBJECT: LineSubject = LineSubject {
    task: "similar",
    label: None,
};

/// The photo of `--at`: the first one of the first input.
///
/// # Errors
/// If that input is missing, or there is none.
fn first_photo<'a>(args: &SimilarArgs, collected: &'a mut CollectedInputs) -> Result<&'a Source> {
    let named = args.input.inputs.first().map(Path::new);
    let missing = collected.failures.iter().position(|failure| match named {
        Some(named) => failure.path == named,
        // The first line of a list.
        None => failure.sources_before == 0,
    });
    if let Some(missing) = missing {
        // Without it the others cannot be compared.
        return Err(collected.failures.swap_remove(missing).error);
    }
    collected
        .sources
        .first()
        .ok_or_else(|| Error::Usage("no input: name photos, folders or patterns".into()))
}

/// Refuses a point outside the first photo before any work is done.
fn check_point(args: &SimilarArgs, first: &Source, decoder: &PhotoDecoder) -> Result<()> {
    let size = decoder.size(first)?;
    check_pixel(args.at, size).map_err(|why| Error::file(first.path(), why))
}

/// What is the same for all photos of a run.
struct SimilarityRun<'a> {
    args: &'a SimilarArgs,
    console: &'a Console,
    model: &'a ModelReplicas,
    layer: LayerRequest,
    maps: PatchMapRenderer,
    /// The photo that has the point.
    query_photo: Source,
}

/// The patch under `--at`.
struct PatchQuery {
    /// Its row and column in the first photo's grid.
    patch: PatchPosition,
    /// Its feature vector, `[dim]`.
    token: Vec<f32>,
}

impl SimilarityRun<'_> {
    /// Runs over the first photo, then the others.
    fn run(&self, photos: &mut PhotoJobs<'_>, decoder: PhotoDecoder) -> Result<()> {
        let (args, console) = (self.args, self.console);
        let after = memory_cost::pixel_cost(self.maps.bytes_per_pixel());
        let extract = LayerExtractor {
            model: self.model,
            layer: self.layer,
            size: args.tokens.size.size,
            decoder,
            batch_size: args.run.batch_size,
            postprocess_bytes: &after,
        };
        let (x, y) = args.at;
        console.note(format_args!(
            "looking for what is at {x},{y} in {}",
            self.query_photo.name()
        ));
        let to_do = photos.pending();
        let is_drawn = to_do.first() == Some(&0);
        let draw_first =
            |job: &OutputJob, ready: ReadyPhoto, output: BackboneOutput, recorder: &Console| {
                let own = self.extract_query(&ready, &output)?;
                if is_drawn {
                    self.write_outputs(job, ready, &output, &own, recorder)?;
                }
                Ok(own)
            };
        let query = extract.run(photos, &[0], draw_first)?.into_iter().next();
        // The first photo failed, which is reported already.
        let Some(query) = query else { return Ok(()) };
        if is_drawn {
            photos.count_done();
        }
        let others: Vec<usize> = to_do.into_iter().filter(|&index| index != 0).collect();
        let draw =
            |job: &OutputJob, ready: ReadyPhoto, output: BackboneOutput, recorder: &Console| {
                self.write_outputs(job, ready, &output, &query, recorder)
            };
        let done = extract.run(photos, &others, draw)?;
        done.iter().for_each(|()| photos.count_done());
        Ok(())
    }

    /// The feature of the patch under the point.
    fn extract_query(&self, ready: &ReadyPhoto, output: &BackboneOutput) -> Result<PatchQuery> {
        let geometry = &ready.geometry()?;
        let (tokens, dim) = (
            layer_tokens(&output.features, self.layer)?,
            self.model.backbone().config().dim,
        );
        let patch = PatchPosition::at_pixel(self.args.at, geometry);
        let token =
            patch.and_then(|patch| tokens.chunks_exact(dim).nth(patch.index(geometry.grid())));
        match patch.zip(token) {
            Some((patch, token)) => Ok(PatchQuery {
                patch,
                token: token.to_vec(),
            }),
            None => Err(Error::file(
                self.query_photo.path(),
                "has become smaller since --at was checked",
            )),
        }
    }

    /// Writes the requested outputs of one photo.
    fn write_outputs(
        &self,
        job: &OutputJob,
        ready: ReadyPhoto,
        output: &BackboneOutput,
        query: &PatchQuery,
        recorder: &Console,
    ) -> Result<()> {
        let tokens = layer_tokens(&output.features, self.layer)?;
        let geometry = ready.geometry()?;
        let ReadyPhoto {
            photo,
            mut timings,
            permit: _permit,
            ..
        } = ready;
        let grid = geometry.grid();
        let similarity = timings.time("compare", || cosines(&query.token, &tokens));
        let Some((patch, cosine)) = best_match(&similarity, grid) else {
            return Err(Error::file(job.source.path(), "has no patches"));
        };
        let is_asked = job.source == self.query_photo;
        let pixel = patch.nearest_pixel(&geometry);
        let range = match self.args.range {
            CosineRange::Auto => ValueRange::of(&similarity),
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
                    self.query_photo.name()
                ),
            ),
        ];
        if !matches!(job.output(PICTURE_EXTENSION), Destination::Existing(_)) {
            let marked = if is_asked { self.args.at } else { pixel };
            let picture = timings.time("render", || {
                self.maps
                    .render(&similarity, &geometry, range, &photo, Some(marked))
            })?;
            timings.time("write", || {
                write_output(
                    recorder,
                    job.output(PICTURE_EXTENSION),
                    announce,
                    |writer| write_picture(writer, job.format, &picture, &text),
                )
            })?;
        }
        if self.args.raw {
            let shape = [grid.rows, grid.cols];
            timings.time("write", || {
                write_output(recorder, job.output("npy"), announce, |writer| {
                    write_npy(writer, &shape, &similarity)
                })
            })?;
        }
        let name = job.source.name();
        recorder.detail(format_args!(
            "{name}: best match at {},{}, cosine {cosine:.3}; {timings}",
            pixel.0, pixel.1
        ));
        recorder.record_fact("seconds", timings.seconds());
        if !self.args.output.json {
            return Ok(());
        }
        let mut object = SUBJECT.job_line(LineStatus::Done, job);
        let mut query_object = Map::new();
        put_source(&mut query_object, "input", &self.query_photo);
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
            "seconds": timings,
        });
        put_all(&mut object, facts);
        recorder.out(&Value::Object(object).to_string())
    }
}

/// The range of colours as text for digests in manifests. It must never change, whatever the types are called: else all
/// earlier outputs would count as out of date.
fn describe_range(range: CosineRange) -> String {
    match range {
        CosineRange::Auto => "Auto".into(),
        CosineRange::Fixed(ValueRange { low, high }) => {
            format!("Fixed(Range {{ low: {low:?}, high: {high:?} }})")
        }
    }
}
