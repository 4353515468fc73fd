//! `dino eval segment`: mIoU, accuracies, the confusion matrix and label changes of a segmentation head, from the
//! pixels of all photos together; mmsegmentation's mIoU is beside them in JSON.

use dino::engine::run_report::RunReport;
use dino::learn::data::{LabelKind, SetLabels};
use dino::learn::eval::{Confusion, LabelChanges, MaskEvaluator};
use dino::model::head::{Head, HeadTask};
use dino::system::files::write_atomic;
use dino::tasks::TaskOutput;
use dino::tasks::classes::printable_class_name;
use dino::tasks::segment::DEFAULT_REFINE;
use dino::terminal::console::Console;
use dino::vision::postprocess::refine;
use dino::vision::postprocess::segment::mean_with_mirrored;
use dino::vision::render::{Captions, Fonts, confusion_matrix, system_fonts};
use dino::{Error, Result};
use image::RgbImage;
use serde_json::{Map, Value, json};

use super::data;
use super::label_changes::LabelChangeRatio;
use super::label_set::resolve_label_set;
use super::paper_protocol::find_paper_protocol;
use super::predictions::{self, ScoredPhoto};
use super::report::{
    EvalReport, PhotoMetrics, WorstPhotos, check_outputs, resize_to_label, write_csv,
};
use crate::cli::EvalSegmentArgs;
use crate::commands::labels::{self, MaskInspection};

/// Colour of pixels without a class in pictures of labels.
const BLANK: [u8; 3] = [32, 32, 32];

/// Runs the command.
pub fn run(args: &EvalSegmentArgs, console: &Console) -> Result<u8> {
    let common = &args.common;
    let input_args = &common.input;
    let head = predictions::select_head(input_args, "segment")?.head;
    let HeadTask::Segment { classes } = &head.meta.task else {
        return Err(Error::Model(format!(
            "the head {} is not for segmentation",
            head.meta.name
        )));
    };
    let paper = find_paper_protocol(input_args, &head)?;
    let label_set = match &paper {
        // The ids of the head's data set, whatever --labels says.
        Some(_) => head.meta.label_sets.first().map(SetLabels::from_head),
        None => None,
    };
    let mut label_set = match label_set {
        Some(label_set) => label_set,
        None => resolve_label_set(args, &head, classes, console)?,
    };
    let ignored = args.ignore.ignored_id();
    let ignore = ignored.id;
    let names: Vec<String> = (0..label_set.allowed.len() as u16)
        .map(|id| label_set.name_of(id, classes))
        .collect();
    // Only a report has pictures with names; whether fonts can draw them is checked before the long work.
    let captions = match common.output {
        Some(_) => system_fonts::build_captions(
            names.iter().map(String::as_str),
            args.text.font.as_deref(),
            console.warnings(),
        )?,
        None => Captions::new([], Fonts::built_in()),
    };
    let data = data::open_data(input_args, LabelKind::Masks, console)?;
    let read = data.input_paths(input_args).chain(args.sets.as_deref());
    check_outputs(common, LabelKind::Masks, read, console)?;
    let mut inspection = MaskInspection::of(&data.name, data.pairs.iter(), &label_set, ignored);
    inspection.check(&mut label_set, classes, ignored, console)?;
    let label_set = label_set;
    let evaluator = MaskEvaluator::new(&label_set, classes.len(), ignore);
    let alignment = labels::label_alignment(&input_args.shape, console);
    let mut report = RunReport::default();
    let mut confusion = Confusion::new(label_set.allowed.len());
    let mut all_changes = Vec::new();
    let mut files = Vec::new();
    let mut worst = WorstPhotos::new(common.output.is_some());
    predictions::for_each_photo(
        input_args,
        &head,
        &data.pairs,
        None,
        &mut report,
        console,
        |sample| {
            let mask = label_set.read_mask(&sample.pair.label, ignore, console.warnings())?;
            let shape = predictions::photo_shape(&sample, None)?;
            let mask = alignment.align_mask(mask, &sample.pair.label, shape)?;
            let ScoredPhoto {
                photo,
                geometry,
                output,
                ..
            } = sample.scored;
            let mut own = Confusion::new(label_set.allowed.len());
            let map = match output {
                TaskOutput::Tokens(..) | TaskOutput::Features(_) => {
                    return Err(Error::Model("tokens where labels are wanted".into()));
                }
                TaskOutput::Labels(map) => evaluator.count_map(&mut own, &mask, &map),
                TaskOutput::Scores {
                    scores, mirrored, ..
                } => {
                    let scores = match &mirrored {
                        Some(mirrored) => mean_with_mirrored(&scores, mirrored),
                        None => scores,
                    };
                    match input_args.head.refine().unwrap_or(DEFAULT_REFINE) {
                        true => {
                            let map = refine::refine_labels(&scores, &geometry, &photo)?;
                            evaluator.count_map(&mut own, &mask, &map)
                        }
                        false => evaluator.count(&mut own, &mask, &scores, &geometry, 1)?,
                    }
                }
            };
            if own.total() == 0 {
                return Err(Error::file(
                    &sample.pair.label,
                    "has no pixel of a known class",
                ));
            }
            let size = (mask.width, mask.height);
            worst.offer(-own.pixel_accuracy(), &sample.pair.photo, || {
                let color = |class: Option<&u16>| {
                    class.map_or(BLANK, |&class| classes[usize::from(class)].color)
                };
                let label = mask.ids.iter().map(|&id| {
                    let known = Some(id) != ignore && label_set.background != Some(id);
                    let allowed = label_set.allowed.get(usize::from(id)).filter(|_| known);
                    color(allowed.and_then(|allowed| allowed.first()))
                });
                Ok(vec![
                    resize_to_label(&photo, size),
                    image_from_colors(label, size),
                    image_from_colors(map.ids.iter().map(|id| color(Some(id))), size),
                ])
            })?;
            let changes = LabelChanges::of(&evaluator, &mask, &map);
            files.push(PhotoMetrics {
                photo: sample.pair.photo.clone(),
                metrics: vec![
                    ("pixel_accuracy", own.pixel_accuracy()),
                    ("miou", own.mean_iou()),
                    ("mean_accuracy", own.mean_accuracy()),
                    ("changes_predicted", changes.predicted as f64),
                    ("changes_labelled", changes.labelled as f64),
                    ("label_changes", changes.ratio().unwrap_or(f64::NAN)),
                ],
            });
            all_changes.push(changes);
            confusion.merge(&own);
            Ok(())
        },
    )?;
    if !files.is_empty() {
        let changes_ratio = LabelChangeRatio::of(&all_changes);
        let mut figures = collect_metrics(&head, &label_set, &confusion, &names, files.len());
        changes_ratio.add_to_report(&mut figures);
        let mut lines = format_lines(&confusion, &changes_ratio, &names);
        if let Some(paper) = &paper {
            let ignored = ignore.map_or("none".to_owned(), |id| id.to_string());
            let how = format!("the ids of {}, {ignored} not judged", label_set.name);
            paper.add_to_report(&how, &mut figures, &mut lines);
        }
        let eval_report = EvalReport {
            metrics: figures,
            lines,
            files,
            worst,
        };
        eval_report.write(common, console)?;
        if let Some(folder) = &common.output {
            let rows = (0..confusion.ids()).map(|id| {
                let counts = confusion.row(id).iter().map(u64::to_string);
                [names[id].clone()].into_iter().chain(counts).collect()
            });
            let last = ["no id of the set".to_owned()];
            let header = ["label \\ predicted".to_owned()];
            let header = header.into_iter().chain(names.iter().cloned()).chain(last);
            let path = folder.join("confusion.csv");
            write_csv(&path, header.collect(), rows)?;
            console.out_path(&path)?;
            let path = folder.join("confusion.png");
            let picture =
                confusion_matrix::draw_confusion_matrix(&captions, &normalise_rows(&confusion));
            write_atomic(&path, |writer| {
                dino::io::output::write_picture(
                    writer,
                    dino::io::output::PictureFormat::Png,
                    &picture,
                    &[],
                )
            })?;
            console.out_path(&path)?;
        }
    }
    report.print_summary(console);
    Ok(report.exit_code())
}

/// The metrics for JSON.
fn collect_metrics(
    head: &Head,
    label_set: &SetLabels,
    confusion: &Confusion,
    names: &[String],
    images: usize,
) -> Map<String, Value> {
    let per_class: Vec<Value> = confusion
        .per_id()
        .iter()
        .enumerate()
        .filter(|(id, _)| label_set.is_known(*id as u16))
        .map(|(id, one)| {
            json!({"id": id, "name": names[id], "iou": one.iou, "accuracy": one.recall, "images": one.images})
        })
        .collect();
    let mut figures = Map::new();
    let mut put = |key: &str, value: Value| figures.insert(key.to_owned(), value);
    put("task", json!("segment"));
    put("head", json!(head.meta.name));
    put("labels", json!(label_set.name));
    put("images", json!(images));
    put("pixels", json!(confusion.total()));
    put("miou", json!(confusion.mean_iou()));
    put(
        "miou_rule",
        json!(format!(
            "mean over the {} ids that the labels have, of the pixels of all images",
            confusion.labelled_ids()
        )),
    );
    put("miou_mmseg", json!(confusion.mean_iou_of_present()));
    put(
        "miou_mmseg_rule",
        json!(
            "mean over the ids that labels or predictions have (mmsegmentation's nanmean): an id that is predicted, but \
               never labelled, counts as 0"
        ),
    );
    put("pixel_accuracy", json!(confusion.pixel_accuracy()));
    put("mean_accuracy", json!(confusion.mean_accuracy()));
    put("per_class", json!(per_class));
    figures
}

/// The metrics as lines of text, with a table of the classes that occur.
fn format_lines(
    confusion: &Confusion,
    changes_ratio: &LabelChangeRatio,
    names: &[String],
) -> Vec<String> {
    let mut lines = vec![
        format!("miou             {:.4}", confusion.mean_iou()),
        format!("pixel_accuracy   {:.4}", confusion.pixel_accuracy()),
        format!("mean_accuracy    {:.4}", confusion.mean_accuracy()),
        format!(
            "label_changes    {} (1: as often as in the labels)",
            changes_ratio
                .mean
                .map_or("-".to_owned(), |mean| format!("{mean:.2}"))
        ),
        String::new(),
        "   iou  accuracy  images  class".to_owned(),
    ];
    let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    for (id, (one, name)) in confusion.per_id().iter().zip(names).enumerate() {
        if one.images > 0 || one.iou.is_some() {
            lines.push(format!(
                "{:>6}  {:>8}  {:>6}  {}",
                share(one.iou),
                share(one.recall),
                one.images,
                printable_class_name(id, name)
            ));
        }
    }
    lines
}

/// The confusion matrix `[label, predicted]` with each row divided by its sum; 0..1.
fn normalise_rows(confusion: &Confusion) -> Vec<f32> {
    (0..confusion.ids())
        .flat_map(|id| {
            let row = confusion.row(id);
            let all = row.iter().sum::<u64>().max(1) as f32;
            row[..confusion.ids()]
                .iter()
                .map(move |&count| count as f32 / all)
        })
        .collect()
}

/// A picture from one colour per pixel, row by row.
fn image_from_colors(
    colors: impl Iterator<Item = [u8; 3]>,
    (width, height): (usize, usize),
) -> RgbImage {
    let bytes: Vec<u8> = colors.flatten().collect();
    // There are three bytes for every pixel.
    RgbImage::from_raw(width as u32, height as u32, bytes).unwrap_or_default()
}
