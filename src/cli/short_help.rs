//! The short help: `-h` shows the options that most people want on one screen, `--help` shows all.

use clap::Command;

/// The commands with `--features`; a stored dataset names its photos, so that INPUT is not required.
const STORED_FEATURE_COMMANDS: [&str; 4] = ["depth", "segment", "pca", "run"];

/// By command, the ids of the options that `-h` shows.
const SHORT_HELP_OPTIONS: [(&str, &[&str]); 14] = [
    (
        "track",
        &[
            "clip", "mask", "output", "force", "json", "model", "device", "size", "context",
            "radius", "video", "start", "end",
        ],
    ),
    (
        "features",
        &[
            "inputs",
            "recursive",
            "output",
            "force",
            "json",
            "model",
            "what",
            "blocks",
            "head",
            "dtype",
            "pool",
            "at",
        ],
    ),
    (
        "run",
        &[
            "inputs",
            "recursive",
            "output",
            "force",
            "json",
            "model",
            "device",
            "depth",
            "segment",
            "pca",
            "clusters",
            "recipe",
            "set",
            "print_recipe",
        ],
    ),
    (
        "depth",
        &[
            "inputs",
            "recursive",
            "output",
            "force",
            "json",
            "model",
            "head",
            "range",
            "colormap",
            "side_by_side",
            "save",
            "at",
            "pointcloud",
        ],
    ),
    (
        "segment",
        &[
            "inputs",
            "recursive",
            "output",
            "force",
            "json",
            "model",
            "device",
            "head",
            "slide",
            "clusters",
            "classes",
            "outline",
            "mask_only",
            "save",
            "coco",
            "instances",
        ],
    ),
    (
        "classify",
        &[
            "inputs",
            "recursive",
            "json",
            "model",
            "device",
            "head",
            "top",
        ],
    ),
    (
        "pca",
        &[
            "inputs",
            "recursive",
            "output",
            "force",
            "json",
            "model",
            "device",
            "size",
            "layer",
            "fit",
            "foreground",
            "basis",
            "save_basis",
            "side_by_side",
            "overlay",
            "raw",
        ],
    ),
    (
        "attention",
        &[
            "inputs",
            "recursive",
            "output",
            "force",
            "json",
            "model",
            "device",
            "size",
            "layer",
            "heads",
            "side_by_side",
            "overlay",
            "raw",
        ],
    ),
    (
        "similar",
        &[
            "inputs",
            "recursive",
            "at",
            "output",
            "force",
            "json",
            "model",
            "device",
            "size",
            "layer",
            "side_by_side",
            "overlay",
            "raw",
        ],
    ),
    (
        "train depth",
        &[
            "data",
            "output",
            "force",
            "name",
            "model",
            "device",
            "depth_scale",
            "min_depth",
            "max_depth",
            "range",
            "bins",
            "epochs",
            "folds",
            "val_split",
            "best_by",
            "flip",
        ],
    ),
    (
        "train segment",
        &[
            "data",
            "output",
            "force",
            "name",
            "model",
            "device",
            "classes",
            "sets",
            "ignore",
            "epochs",
            "folds",
            "val_split",
            "best_by",
            "flip",
        ],
    ),
    (
        "eval depth",
        &[
            "data",
            "part",
            "head",
            "model",
            "device",
            "depth_scale",
            "min_depth",
            "max_depth",
            "crop",
            "align",
            "json",
            "output",
            "force",
        ],
    ),
    (
        "calibrate depth",
        &[
            "data",
            "part",
            "head",
            "model",
            "device",
            "depth_scale",
            "min_depth",
            "max_depth",
            "crop",
            "folds",
            "dry_run",
            "json",
            "force",
        ],
    ),
    (
        "eval segment",
        &[
            "data", "part", "head", "model", "device", "labels", "ignore", "json", "output",
            "force",
        ],
    ),
];

const ENVIRONMENT: &str = "\
Environment:
  DINO_HOME           folder of models, heads and cached features
  DINO_MODEL          the backbone where --model names none
  DINO_WEIGHTS        official: Meta's weights or a failure, in place of
                      the best that can be had; focus: vits14-focus and
                      the heads inside the program, whatever is there
  DINO_HEAD_DEPTH     the head where --head names none; likewise
                      DINO_HEAD_SEGMENT and DINO_HEAD_CLASSIFY
  DINO_CUDA           0 keeps dino from running its GPU build, dino-cuda,
                      where that and an NVIDIA driver are there
  DINO_SIMD           avx512, avx2, neon or none: the vector instructions
                      of the backbone in place of the processor's best,
                      for benchmarks and bug reports
  DINO_FFMPEG         the ffmpeg for video, or its folder, in place of
                      that on the path
  DINO_FONTS          folder of fonts, in place of the system's
  DINO_FFMPEG         the ffmpeg that reads and writes clips, or the
                      folder that it and ffprobe are in
  DINO_HEADS_URL      a mirror of the host of published heads
  DINO_HTTP_TIMEOUT   seconds until a silent server is given up;
                      HF_HUB_DOWNLOAD_TIMEOUT too
  HF_TOKEN            for models that need it; HF_TOKEN_PATH and
                      HF_HUB_DISABLE_IMPLICIT_TOKEN too
  HF_ENDPOINT         a mirror of the Hugging Face hub
  HF_HOME             where other programs have cached models;
                      HF_HUB_CACHE and XDG_CACHE_HOME too
  HF_HUB_OFFLINE      1 forbids every download, as --offline does;
                      TRANSFORMERS_OFFLINE too
  HTTPS_PROXY         a proxy, by curl's rules; HTTP_PROXY, ALL_PROXY
                      and NO_PROXY too, in small letters as well
  SLURM_ARRAY_TASK_ID with --shard auto, which part of the photos; its
                      _MIN, _MAX, _COUNT and _STEP too, and
                      JOB_COMPLETION_INDEX or AWS_BATCH_JOB_ARRAY_INDEX
                      and AWS_BATCH_JOB_ARRAY_SIZE
  RAYON_NUM_THREADS   threads where --threads names none
  TMPDIR              folder for temporary files
  NO_COLOR            no colours in messages

Exit code:
  0    all good
  1    something failed: an input, a model, a file, a download
  2    the command line is at fault, and nothing was done
  130  interrupted";

/// The command line with all but the usual options left to `--help`, and the environment variables at the end of that.
pub fn shorten(command: Command) -> Command {
    let mut command = command.mut_arg("threads", |arg| arg.hide_short_help(true));
    for (name, common) in SHORT_HELP_OPTIONS {
        command = mut_nested_subcommand(command, name, &|leaf| {
            hide_uncommon_options(leaf, name, common)
        });
    }
    for name in STORED_FEATURE_COMMANDS {
        command = command.mut_subcommand(name, |sub| {
            sub.mut_arg("inputs", |arg| arg.required_unless_present("features"))
        });
    }
    let examples = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    command.after_long_help(format!("{examples}\n\n{ENVIRONMENT}"))
}

/// Changes the subcommand at a path of names such as `train depth`.
fn mut_nested_subcommand(
    command: Command,
    path: &str,
    change: &dyn Fn(Command) -> Command,
) -> Command {
    match path.split_once(' ') {
        Some((first, rest)) => {
            command.mut_subcommand(first, |sub| mut_nested_subcommand(sub, rest, change))
        }
        None => command.mut_subcommand(path, change),
    }
}

/// Hides all but the `common` options from the short help.
fn hide_uncommon_options(command: Command, name: &str, common: &[&str]) -> Command {
    let is_common = |id: &str| common.contains(&id);
    let others = command
        .get_arguments()
        .filter(|arg| !is_common(arg.get_id().as_str()))
        .count();
    let examples = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    command
        .mut_args(|arg| match is_common(arg.get_id().as_str()) {
            true => arg,
            false => arg.hide_short_help(true),
        })
        .after_help(format!(
            "{examples}\n\n{others} more options: dino {name} --help"
        ))
        .after_long_help(examples)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::command_line::full_command;

    fn leaf(command: &Command, path: &str) -> Command {
        let find = |command: &Command, name| command.find_subcommand(name).unwrap().clone();
        path.split(' ')
            .fold(command.clone(), |command, name| find(&command, name))
    }

    #[test]
    fn short_help_fits_a_screen_and_long_help_has_all() {
        let mut command = full_command();
        command.build();
        for (name, common) in SHORT_HELP_OPTIONS {
            let mut leaf = leaf(&command, name);
            for id in common {
                assert!(
                    leaf.get_arguments().any(|arg| arg.get_id() == id),
                    "{name}: {id}"
                );
            }
            let short = leaf.render_help().to_string();
            assert!(
                short.lines().count() <= 60,
                "{name}: {} lines",
                short.lines().count()
            );
            assert!(short.contains("Example") && short.contains("more options: dino"));
            let long = leaf.render_long_help().to_string();
            for arg in leaf.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let is_there = arg
                    .get_long()
                    .is_none_or(|long_name| long.contains(&format!("--{long_name}")));
                assert!(is_there, "{name}: {}", arg.get_id());
            }
        }
    }

    #[test]
    fn variables_are_in_the_help() {
        let long = full_command().render_long_help().to_string();
        for name in [
            "DINO_HOME",
            "DINO_MODEL",
            "DINO_CUDA",
            "DINO_SIMD",
            "DINO_FFMPEG",
            "DINO_WEIGHTS",
            "HF_TOKEN",
            "HTTPS_PROXY",
            "TMPDIR",
            "NO_COLOR",
        ] {
            assert!(long.contains(name), "{name}");
        }
        assert!(
            !full_command()
                .render_help()
                .to_string()
                .contains("DINO_HOME")
        );
    }
}
