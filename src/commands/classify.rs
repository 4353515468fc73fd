//! `dino classify`: a classification head over photos; the best classes with their probabilities are printed.

use dino::engine::run_report::RunReport;
use dino::engine::stage_timings::StageTimings;
use dino::engine::{
    BackboneOutput, BackbonePass, DecodeStage, Engine, FeaturePass, FlipViews, InputScales,
    ReadyPhoto, note_overflow,
};
use dino::io::inputs::Source;
use dino::io::output::{JsonLines, LineStatus, LineSubject};
use dino::model::head::HeadTask;
use dino::model::head_zoo::HeadStore;
use dino::model::weights::Store;
use dino::tasks::inference_mode::trained_preprocessor;
use dino::terminal::console::Console;
use dino::{Error, Result};
use serde_json::{Value, json};

use crate::cli::ClassifyArgs;
use crate::commands::model;

/// Runs the command.
pub fn run(args: &ClassifyArgs, console: &Console) -> Result<u8> {
    let subject = LineSubject {
        task: "classify",
        label: None,
    };
    let subjects = [subject.clone()];
    let collected = args
        .input
        .collect_shard(&subjects, (args.run.offline, args.json), console)?;
    let heads = HeadStore::at(Store::open()?.root());
    let head = heads.choose("classify", args.head.as_deref())?.head;
    let HeadTask::Classify { classes } = &head.meta.task else {
        let why = format!("the head {} is not for whole photos", head.meta.name);
        return Err(Error::Model(why));
    };
    let mut lines = JsonLines::new(subject.clone(), args.json, &collected.failures);
    let mut report = RunReport::from_search(collected.failures, collected.summary, args.json);
    let model = model::load_for_head(&args.run, &head, console)?;
    let sources: Vec<&Source> = collected.sources.iter().collect();
    let progress = console.progress_of_photos(sources.len());
    let tick = |done| progress.set_network_progress(done, 100);
    let pass = BackbonePass {
        preprocessor: trained_preprocessor(&head, model.backbone().config().patch_size)?,
        requests: head.meta.requests(),
        views: FlipViews::Plain,
        scales: InputScales::Full,
    };
    let networks = model.backbones.iter().map(|backbone| FeaturePass {
        backbone,
        pass: pass.clone(),
        bytes_after: &|_| 0,
        on_progress: &tick,
    });
    let networks: Vec<FeaturePass<'_>> = networks.collect();
    let decoding = DecodeStage::new(args.input.decoder(console));
    let engine = Engine::new(&model.backbones, decoding, args.run.batch_size, console)?;
    let describe = |index: usize| (sources[index], None);
    let tell = |source: &Source, (scores, watch): (Vec<f32>, StageTimings)| {
        let best = top_classes(&scores, args.top.get());
        console.detail(format_args!("{}: {watch}", source.name()));
        let words = match args.json {
            true => {
                let classes: Vec<Value> = best
                    .iter()
                    .map(|&(id, p)| {
                        let probability = (f64::from(p) * 1e6).round() / 1e6;
                        json!({"id": id, "name": classes[id], "probability": probability})
                    })
                    .collect();
                let mut object = subject.line(LineStatus::Done, source);
                object.insert("model".into(), json!(model.record.name));
                object.insert("head".into(), json!(head.meta.name));
                object.insert("classes".into(), json!(classes));
                object.insert("seconds".into(), json!(watch));
                return console.out(&Value::Object(object).to_string());
            }
            false => {
                let words: Vec<String> = best
                    .iter()
                    .map(|&(id, p)| format!("{} {:.1} %", classes[id], 100.0 * p))
                    .collect();
                format!(": {}", words.join(", "))
            }
        };
        console.out_named(source.path(), &words)
    };
    let classify = |ready: ReadyPhoto, seen: BackboneOutput| {
        let mut timings = ready.timings;
        let scores = timings.time("head", || head.classify(&seen.features))?;
        Ok((scores, timings))
    };
    let run = engine.run(
        &sources,
        &networks,
        |index, _, _| progress.begin(sources[index].name()),
        classify,
        |index, result| {
            let source = sources[index];
            if let Err(error) = &result {
                lines.record_failed(index, error.to_string());
            }
            let result = result.and_then(|found| {
                lines.print_before(index, describe, console)?;
                tell(source, found)
            });
            progress.inc();
            if report.record(source.name(), result)?.is_some() {
                report.done += 1;
            }
            Ok(())
        },
    );
    note_overflow(&model.backbones, console);
    report.report_interrupted(console, run)?;
    lines.print_before(usize::MAX, describe, console)?;
    report.print_summary(console);
    Ok(report.exit_code())
}

/// The `n` best classes (indices) with their softmax probabilities, the best first.
fn top_classes(scores: &[f32], n: usize) -> Vec<(usize, f32)> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f32 = scores.iter().map(|score| (score - top).exp()).sum();
    let mut all: Vec<(usize, f32)> = scores
        .iter()
        .map(|score| (score - top).exp() / total)
        .enumerate()
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(n);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_first_with_their_probabilities() {
        let found = top_classes(&[0.0, 2.0, 1.0, 2.0], 3);
        let total = 1.0 + 2.0 * 2f32.exp() + 1f32.exp();
        let ids: Vec<usize> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [1, 3, 2]);
        assert!((found[0].1 - 2f32.exp() / total).abs() < 1e-6);
        assert_eq!(top_classes(&[1.0], 5).len(), 1);
    }
}
