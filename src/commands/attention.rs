//! `dino attention`: the attention weights of the cls token in one block (as the figures of DINO, Caron et al. 2021),
//! as pictures and as float32 `[heads, rows, columns]`.

use dino::Result;
use dino::engine::ReadyPhoto;
use dino::io::output::{
    Destination, LineStatus, LineSubject, OutputJob, PICTURE_EXTENSION, PictureFormat, put_all,
    write_npy, write_output, write_picture,
};
use dino::model::backbone::{ClsAttention, LayerRequest};
use dino::model::input::Geometry;
use dino::tasks::layer::resolve_block;
use dino::tasks::memory_cost;
use dino::tasks::patch_map::PatchMapRenderer;
use dino::terminal::console::Console;
use dino::vision::render::{ValueRange, contact_sheet};
use image::RgbImage;
use image::imageops::thumbnail;
use serde_json::{Value, json};

use crate::cli::AttentionArgs;
use crate::commands::defaults;
use crate::commands::extract::{ExtractionRequest, LayerExtractor, PhotoJobs};
use crate::commands::layer_manifest::LayerManifest;
use crate::commands::model::{self, ModelReplicas};

/// The extension of the sheet of all heads.
const SHEET: &str = "heads.png";
/// Long side of a picture on the sheet, in pixels.
const TILE_SIZE: u32 = 480;

/// Runs the command.
pub fn run(args: &AttentionArgs, console: &Console) -> Result<u8> {
    defaults::fetch_default_backbone(&args.run, console)?;
    let resolved = model::resolve(&args.run, console)?;
    let block = resolve_block(
        args.layer,
        resolved.model.config.depth,
        &resolved.model.name,
    )?;
    let collected =
        args.input
            .collect_shard(&[SUBJECT], (args.run.offline, args.output.json), console)?;
    let mut extensions = vec![PICTURE_EXTENSION];
    extensions.extend(args.heads.then_some(SHEET));
    extensions.extend(args.raw.then_some("npy"));
    let decoder = args.input.decoder(console);
    let manifest = LayerManifest {
        task: "attention".into(),
        extensions: &extensions,
        siblings: &["npy", SHEET],
        resolved: &resolved,
        decoding: decoder.options,
        settings: json!({
            "size": args.size.size.to_string(),
            "block": block,
        }),
        // Part of the record's digests: the names in this text must stay.
        style: format!("{:?}", args.look),
        parameters: json!({
            "size": args.size.size.to_string(),
            "layer": block,
        }),
    };
    let request = ExtractionRequest {
        subject: SUBJECT,
        digests: manifest.digests(resolved.model.fingerprint.as_deref())?,
        extensions: &extensions,
        output: &args.output,
        shard: args.input.shard()?,
        max_bytes: decoder.options.max_memory,
    };
    let mut photos = PhotoJobs::plan(collected, request, console)?;
    let to_do = photos.pending();
    let mut ran = Ok(());
    if !to_do.is_empty() {
        let model = model::load(&args.run, console)?;
        photos.update_for_model(manifest.digests(Some(&model.record.fingerprint))?);
        let run = AttentionRun {
            args,
            block,
            maps: PatchMapRenderer::new(args.look.look(), "×"),
            model: &model,
        };
        let after = memory_cost::pixel_cost(run.maps.bytes_per_pixel());
        let extract = LayerExtractor {
            model: &model,
            layer: LayerRequest { block, norm: false },
            size: args.size.size,
            decoder,
            batch_size: args.run.batch_size,
            postprocess_bytes: &after,
        };
        let draw = |job: &OutputJob, ready: ReadyPhoto, attention, recorder: &Console| {
            run.write_outputs(job, ready, attention, recorder)
        };
        let done = extract.run_attention(&mut photos, &to_do, draw);
        ran = done.map(|done| done.iter().for_each(|()| photos.count_done()));
    }
    photos.finish(ran)
}

/// The task in JSON lines.
const SUBJECT: LineSubject = LineSubject {
    task: "attention",
    label: None,
};

/// What is the same for all photos of a run.
struct AttentionRun<'a> {
    args: &'a AttentionArgs,
    model: &'a ModelReplicas,
    block: usize,
    maps: PatchMapRenderer,
}

impl AttentionRun<'_> {
    /// Writes the requested outputs of one photo.
    fn write_outputs(
        &self,
        job: &OutputJob,
        ready: ReadyPhoto,
        attention: ClsAttention,
        recorder: &Console,
    ) -> Result<()> {
        let geometry = ready.geometry()?;
        let ReadyPhoto {
            photo,
            mut timings,
            permit: _permit,
            ..
        } = ready;
        let announce = !self.args.output.json;
        let even = attention.uniform_weight();
        let mean = scale_by_even_share(&attention.mean(), even);
        let range = ValueRange::from_zero(&mean);
        let text = [
            ("dino:model", self.model.record.name.clone()),
            ("dino:layer", self.block.to_string()),
            (
                "dino:content",
                "attention of the cls token, in even shares".to_owned(),
            ),
        ];
        let write = |extension: &str, format, picture: &RgbImage| {
            write_output(recorder, job.output(extension), announce, |writer| {
                write_picture(writer, format, picture, &text)
            })
        };
        if !matches!(job.output(PICTURE_EXTENSION), Destination::Existing(_)) {
            let picture = timings.time("render", || {
                self.maps.render(&mean, &geometry, range, &photo, None)
            })?;
            timings.time("write", || write(PICTURE_EXTENSION, job.format, &picture))?;
        }
        if self.args.heads && !matches!(job.output(SHEET), Destination::Existing(_)) {
            let sheet = timings.time("render", || {
                self.render_sheet(&attention, &mean, &geometry, &photo)
            })?;
            timings.time("write", || write(SHEET, PictureFormat::Png, &sheet))?;
        }
        if self.args.raw {
            let shape = [attention.heads, attention.grid.rows, attention.grid.cols];
            let weights: Vec<f32> = (0..attention.heads)
                .flat_map(|head| attention.patches(head))
                .copied()
                .collect();
            timings.time("write", || {
                write_output(recorder, job.output("npy"), announce, |writer| {
                    write_npy(writer, &shape, &weights)
                })
            })?;
        }
        recorder.detail(format_args!("{}: {timings}", job.source.name()));
        recorder.record_fact("seconds", timings.seconds());
        if !self.args.output.json {
            return Ok(());
        }
        let grid = attention.grid;
        let mut object = SUBJECT.job_line(LineStatus::Done, job);
        let facts = json!({
            "model": self.model.record.name,
            "layer": self.block,
            "photo_size": [geometry.photo.0, geometry.photo.1],
            "input_size": [geometry.padded.0, geometry.padded.1],
            "grid": [grid.rows, grid.cols],
            "even_share": even,
            "range": [range.low, range.high],
            "heads": (0..attention.heads).map(|head| head_shares(&attention, head)).collect::<Vec<_>>(),
            "seconds": timings,
        });
        put_all(&mut object, facts);
        recorder.out(&Value::Object(object).to_string())
    }

    /// The photo, the mean and every head, small and side by side.
    fn render_sheet(
        &self,
        attention: &ClsAttention,
        mean: &[f32],
        geometry: &Geometry,
        photo: &RgbImage,
    ) -> Result<RgbImage> {
        let geometry = shrink_geometry(geometry);
        let photo = match geometry.photo == photo.dimensions() {
            true => photo.clone(),
            false => thumbnail(photo, geometry.photo.0, geometry.photo.1),
        };
        let tile = |name: String, map: &[f32]| {
            let range = ValueRange::from_zero(map);
            let decimals = if range.high < 10.0 { 1 } else { 0 };
            let name = format!("{name}: to ×{:.decimals$}", range.high);
            Ok::<_, dino::Error>((
                name,
                self.maps.render_colors(map, &geometry, range, &photo)?,
            ))
        };
        let mut tiles = vec![
            ("photo".to_owned(), photo.clone()),
            tile("mean".to_owned(), mean)?,
        ];
        for head in 0..attention.heads {
            let map = scale_by_even_share(attention.patches(head), attention.uniform_weight());
            tiles.push(tile(format!("head {head}"), &map)?);
        }
        contact_sheet(&tiles)
    }
}

/// Weights as multiples of the even share, 1 / number of tokens.
fn scale_by_even_share(weights: &[f32], even: f32) -> Vec<f32> {
    weights.iter().map(|weight| weight / even).collect()
}

/// The same layout of a photo whose long side is at most [`TILE_SIZE`] pixels.
fn shrink_geometry(geometry: &Geometry) -> Geometry {
    let (width, height) = geometry.photo;
    let scale = (f64::from(TILE_SIZE) / f64::from(width.max(height))).min(1.0);
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    Geometry {
        photo: (side(width), side(height)),
        ..*geometry
    }
}

/// The shares of a head's attention on the cls token, the registers and the patches; they sum to 1.
fn head_shares(attention: &ClsAttention, head: usize) -> Value {
    // A sum of nothing would be -0.
    let sum = |weights: &[f32]| weights.iter().fold(0.0, |sum, &w| sum + f64::from(w));
    let (cls, registers) = attention.specials(head).split_at(1);
    json!({"cls": sum(cls), "registers": sum(registers), "patches": sum(attention.patches(head))})
}
