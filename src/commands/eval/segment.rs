//! `dino eval segment`.

use dino::engine::run_report::RunReport;
use dino::learn::data::{LabelKind, SetLabels, Taxonomy, taxonomy};
use dino::learn::eval::{Confusion, LabelChanges, MaskEvaluator};
use dino::model::head::{Class, Head, HeadTask};
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

use super::report::{
    EvalReport, PhotoMetrics, WorstPhotos, check_outputs, resize_to_label, write_csv,
};
use crate::cli::{EvalSegmentArgs, IgnoreChoice};
use crate::commands::labels::MaskInspection;

/// What has no class, in the pictures of labels.
const BLANK: [u8; 3] = [32, 32, 32];

/// Runs the command.
pub fn run(args: &EvalSegmentArgs, console: &Console) -> Result<u8> {
    let common = &args.common;
    let asked = &common.input;
    let head = super::select_head(asked, "segment")?.head;
    let HeadTask::Segment { classes } = &head.meta.task else {
        return Err(Error::Model(format!(
            "the head {} is not for segmentation",
            head.meta.name
        )));
    };
    let paper = super::find_paper_protocol(asked, &head)?;
    let meaning = match &paper {
        // The data set's own ids, whatever is asked for.
        Some(_) => head.meta.label_sets.first().map(SetLabels::from_head),
        None => None,
    };
    let mut meaning = match meaning {
        Some(meaning) => meaning,
        None => resolve_label_set(args, &head, classes, console)?,
    };
    let ignored = IgnoreChoice::or_default(args.ignore);
    let ignore = ignored.id;
    let names: Vec<String> = (0..meaning.allowed.len() as u16)
        .map(|id| meaning.name_of(id, classes))
        .collect();
    // Only a report has pictures with names; that they can be drawn is seen to before the long work.
    let captions = match common.output {
        Some(_) => system_fonts::build_captions(
            names.iter().map(String::as_str),
            args.text.font.as_deref(),
            console.warnings(),
        )?,
        None => Captions::new([], Fonts::built_in()),
    };
    let data = super::open_data(asked, LabelKind::Masks, console)?;
    let read = data.input_paths(asked).chain(args.sets.as_deref());
    check_outputs(common, LabelKind::Masks, read, console)?;
    let mut seen = MaskInspection::of(&data.name, data.pairs.iter(), &meaning, ignored);
    seen.check(&mut meaning, classes, ignored, console)?;
    let meaning = meaning;
    let judge = MaskEvaluator::new(&meaning, classes.len(), ignore);
    let fitting = super::fitting(asked, console);
    let mut report = RunReport::default();
    let mut confusion = Confusion::new(meaning.allowed.len());
    let mut all_changes = Vec::new();
    let mut files = Vec::new();
    let mut worst = WorstPhotos::new(common.output.is_some());
    super::for_each_photo(
        asked,
        &head,
        &data.pairs,
        None,
        &mut report,
        console,
        |judged| {
            let mask = meaning.read_mask(&judged.pair.label, ignore, console.warnings())?;
            let shape = super::photo_shape(&judged, None)?;
            let mask = fitting.align_mask(mask, &judged.pair.label, shape)?;
            let super::ScoredPhoto {
                photo,
                geometry,
                output: found,
                ..
            } = judged.scored;
            let mut own = Confusion::new(meaning.allowed.len());
            let map = match found {
                TaskOutput::Tokens(..) | TaskOutput::Features(_) => {
                    return Err(Error::Model("tokens where labels are wanted".into()));
                }
                TaskOutput::Labels(map) => judge.count_map(&mut own, &mask, &map),
                TaskOutput::Scores {
                    scores, mirrored, ..
                } => {
                    let scores = match &mirrored {
                        Some(mirrored) => mean_with_mirrored(&scores, mirrored),
                        None => scores,
                    };
                    match asked.head.refine().unwrap_or(DEFAULT_REFINE) {
                        true => {
                            let map = refine::refine_labels(&scores, &geometry, &photo)?;
                            judge.count_map(&mut own, &mask, &map)
                        }
                        false => judge.count(&mut own, &mask, &scores, &geometry, 1)?,
                    }
                }
            };
            if own.total() == 0 {
                return Err(Error::file(
                    &judged.pair.label,
                    "has no pixel of a known class",
                ));
            }
            let size = (mask.width, mask.height);
            worst.offer(-own.pixel_accuracy(), &judged.pair.photo, || {
                let color = |class: Option<&u16>| {
                    class.map_or(BLANK, |&class| classes[usize::from(class)].color)
                };
                let label = mask.ids.iter().map(|&id| {
                    let known = Some(id) != ignore && meaning.background != Some(id);
                    let allowed = meaning.allowed.get(usize::from(id)).filter(|_| known);
                    color(allowed.and_then(|allowed| allowed.first()))
                });
                Ok(vec![
                    resize_to_label(&photo, size),
                    image_from_colors(label, size),
                    image_from_colors(map.ids.iter().map(|id| color(Some(id))), size),
                ])
            })?;
            let changes = LabelChanges::of(&judge, &mask, &map);
            files.push(PhotoMetrics {
                photo: judged.pair.photo.clone(),
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
        let restless = LabelChangeRatio::of(&all_changes);
        let mut figures = collect_metrics(&head, &meaning, &confusion, &names, files.len());
        restless.add_to_report(&mut figures);
        let mut lines = format_lines(&confusion, &restless, &names);
        if let Some(paper) = &paper {
            let ignored = ignore.map_or("none".to_owned(), |id| id.to_string());
            let how = format!("the ids of {}, {ignored} not judged", meaning.name);
            paper.add_to_report(&how, &mut figures, &mut lines);
        }
        let sheet = EvalReport {
            metrics: figures,
            lines,
            files,
            worst,
            captions: "photo, label, prediction",
        };
        sheet.write(common, console)?;
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

/// What the ids of the masks mean.
fn resolve_label_set(
    args: &EvalSegmentArgs,
    head: &Head,
    classes: &[Class],
    console: &Console,
) -> Result<SetLabels> {
    let own_classes = taxonomy::own_classes(&args.common.input.data);
    let Some(name) = &args.labels else {
        return Ok(match own_classes {
            // The data's own colours, where its masks are in colours.
            Some(own) if has_same_names(&own, classes) => SetLabels::identity("data", &own),
            Some(own) => {
                warn_of_class_mismatch(args, head, &own, classes, console);
                SetLabels::identity("data", classes)
            }
            None => SetLabels::identity("data", classes),
        });
    };
    let meaning = find_label_set(args, head, classes, name)?;
    Ok(SetLabels {
        own_classes: own_classes.unwrap_or_default(),
        ..meaning
    })
}

fn has_same_names(own: &[Class], classes: &[Class]) -> bool {
    let names = |classes: &[Class]| -> Vec<String> {
        classes.iter().map(|class| class.name.clone()).collect()
    };
    names(own) == names(classes)
}

/// Says where the data's class list and the head's differ.
fn warn_of_class_mismatch(
    args: &EvalSegmentArgs,
    head: &Head,
    own: &[Class],
    classes: &[Class],
    console: &Console,
) {
    let name = |classes: &[Class], id: usize| match classes.get(id) {
        Some(class) => format!("{:?}", class.name),
        None => "no class".to_owned(),
    };
    let ids = 0..own.len().max(classes.len());
    let mut ids = ids.filter(|&id| name(own, id) != name(classes, id));
    if let Some(id) = ids.next() {
        console.warn(format_args!(
            "{}: says that the id {id} is {}, but the head {} knows it as {}; masks are read as if they had the head's ids",
            args.common.input.data.join("classes.json").display(),
            name(own, id),
            head.meta.name,
            name(classes, id)
        ));
    }
}

/// The set called `name`, of the file that is given or of the head.
fn find_label_set(
    args: &EvalSegmentArgs,
    head: &Head,
    classes: &[Class],
    name: &String,
) -> Result<SetLabels> {
    if let Some(file) = &args.sets {
        let taxonomy = Taxonomy::read(file)?;
        if taxonomy
            .classes
            .iter()
            .map(|class| &class.name)
            .ne(classes.iter().map(|class| &class.name))
        {
            return Err(Error::file(
                file,
                format!("has other classes than the head {}", head.meta.name),
            ));
        }
        return taxonomy.set(name).cloned();
    }
    let sets = &head.meta.label_sets;
    match sets.iter().find(|set| set.name == *name) {
        Some(set) => Ok(SetLabels::from_head(set)),
        None if sets.is_empty() => Err(Error::Usage(format!(
            "--labels {name}: the head {} knows one set of ids, its own; leave the option out, or name a file with --sets",
            head.meta.name
        ))),
        None => {
            let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
            Err(Error::Usage(format!(
                "--labels {name}: the head {} does not know that set{}; it knows {}",
                head.meta.name,
                dino::terminal::suggest::did_you_mean(name, names.iter().copied()),
                names.join(", ")
            )))
        }
    }
}

fn collect_metrics(
    head: &Head,
    meaning: &SetLabels,
    confusion: &Confusion,
    names: &[String],
    images: usize,
) -> Map<String, Value> {
    let per_class: Vec<Value> = confusion
        .per_id()
        .iter()
        .enumerate()
        .filter(|(id, _)| meaning.is_known(*id as u16))
        .map(|(id, one)| {
            json!({"id": id, "name": names[id], "iou": one.iou, "accuracy": one.recall, "images": one.images})
        })
        .collect();
    let mut figures = Map::new();
    let mut put = |key: &str, value: Value| figures.insert(key.to_owned(), value);
    put("task", json!("segment"));
    put("head", json!(head.meta.name));
    put("labels", json!(meaning.name));
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
    put("miou_mmseg", json!(confusion.mean_iou_of_seen()));
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

/// The label changes of all photos.
struct LabelChangeRatio {
    /// Mean over the photos whose labels change at all.
    mean: Option<f64>,
    /// How many those are.
    images: usize,
    /// Of all photos together.
    total: Option<f64>,
}

impl LabelChangeRatio {
    fn of(all: &[LabelChanges]) -> Self {
        let ratios: Vec<f64> = all.iter().filter_map(|one| one.ratio()).collect();
        let total = all
            .iter()
            .fold(LabelChanges::default(), |sum, one| LabelChanges {
                predicted: sum.predicted + one.predicted,
                labelled: sum.labelled + one.labelled,
            });
        LabelChangeRatio {
            mean: (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64),
            images: ratios.len(),
            total: total.ratio(),
        }
    }

    fn add_to_report(&self, figures: &mut Map<String, Value>) {
        let mut put = |key: &str, value: Value| figures.insert(key.to_owned(), value);
        put("label_changes", json!(self.mean));
        put(
            "label_changes_rule",
            json!(format!(
                "how often the predicted id changes along the rows and columns of a photo, over how often the label's own \
                 does (pixels that are not judged are passed over); mean over the {} images whose labels change",
                self.images
            )),
        );
        put("label_changes_total", json!(self.total));
        put(
            "label_changes_total_rule",
            json!("the changes of all images together, over the labels' own"),
        );
    }
}

fn format_lines(
    confusion: &Confusion,
    restless: &LabelChangeRatio,
    names: &[String],
) -> Vec<String> {
    let mut lines = vec![
        format!("miou             {:.4}", confusion.mean_iou()),
        format!("pixel_accuracy   {:.4}", confusion.pixel_accuracy()),
        format!("mean_accuracy    {:.4}", confusion.mean_accuracy()),
        format!(
            "label_changes    {} (1: as often as in the labels)",
            restless
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

/// Of each id's pixels, the share that was predicted as each id.
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

fn image_from_colors(
    colors: impl Iterator<Item = [u8; 3]>,
    (width, height): (usize, usize),
) -> RgbImage {
    let bytes: Vec<u8> = colors.flatten().collect();
    // Every pixel has its three bytes.
    RgbImage::from_raw(width as u32, height as u32, bytes).unwrap_or_default()
}
