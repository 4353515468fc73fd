//! `dino track`: the ids of a mask are propagated through a clip by similar patches; films of colours and of ids come
//! out.

use std::path::Path;

use dino::analysis::tracking::{TrackerConfig, tracking_block};
use dino::io::inputs::has_video_extension;
use dino::io::output::{OutputOptions, OutputTarget};
use dino::learn::data::labels::read_mask;
use dino::model::backbone::LayerRequest;
use dino::tasks::Task;
use dino::tasks::layer::resolve_block;
use dino::tasks::track::{TrackStyle, TrackTask};
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::TrackArgs;
use crate::commands::clips::ClipPipeline;
use crate::commands::{defaults, model};

/// Runs the command.
pub fn run(args: &TrackArgs, console: &Console) -> Result<u8> {
    model::refuse_null(&args.run)?;
    let clip = Path::new(&args.clip);
    if !args.video.video && !has_video_extension(clip) {
        return Err(Error::Usage(format!(
            "{} is no clip by its name; --video takes animated pictures and folders of numbered frames as clips",
            clip.display()
        )));
    }
    if args.video.smooth.is_some_and(|keep| keep != 0.0) {
        return Err(Error::Usage(
            "--smooth: labels that are followed lean on the frames before by themselves; leave it out".into(),
        ));
    }
    let name = args.mask.display().to_string();
    let mut mask = read_mask(&args.mask)?;
    // As `dino segment --save ids` and most data sets have it; a mask of 0 and 255 alone has two ids.
    let is_void = |id: &u16| *id == 255;
    if mask.ids.iter().any(is_void) && mask.ids.iter().any(|id| !matches!(id, 0 | 255)) {
        console.note(format_args!(
            "{name}: 255 stands for no class beside other ids, and is not followed"
        ));
        mask.ids
            .iter_mut()
            .filter(|id| is_void(id))
            .for_each(|id| *id = 0);
    }
    defaults::fetch_default_backbone(&args.run, console)?;
    let resolved = model::resolve(&args.run, console)?;
    let config = resolved.model.config;
    let layer = LayerRequest {
        block: match args.layer {
            Some(layer) => resolve_block(layer, config.depth, &resolved.model.name)?,
            None => tracking_block(config.depth),
        },
        norm: true,
    };
    let recipe = TrackerConfig {
        context_frames: args.context as usize,
        radius: args.radius,
        top_k: args.matches as usize,
        temperature: args.temperature,
    };
    let look = TrackStyle {
        alpha: args.alpha,
        outline: args.outline,
        refine: !args.no_refine,
    };
    let set_up = || -> Result<Vec<Box<dyn Task>>> {
        let mask = (name.as_str(), mask.clone());
        let task = TrackTask::new(mask, (recipe, look), layer, args.size, config.patch_size)?;
        Ok(vec![Box::new(task)])
    };
    let options = OutputOptions {
        target: match &args.output {
            Some(output) => OutputTarget::parse(output)?,
            None => OutputTarget::default(),
        },
        force: args.force,
        ..OutputOptions::default()
    };
    let clips = ClipPipeline {
        video: &args.video,
        options: &options,
        json: args.json,
        decoder: args.photo.data_set_decoder(console),
        batch_size: args.run.batch_size,
        fingerprint: resolved.model.fingerprint.clone(),
        dtype: resolved.dtype.clone(),
        console,
    };
    let load = || {
        let model = model::load(&args.run, console)?;
        Ok((model.backbones, model.record))
    };
    clips.run(&[clip.to_owned()], set_up, load)
}
