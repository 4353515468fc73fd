use std::path::PathBuf;

use super::*;
use crate::error::Error;
use crate::io::inputs::source::Page;
use crate::io::inputs::{InputFailure, Source};
use crate::system::environment::EnvVariables;

fn found(relative: &str) -> Source {
    Source::File {
        path: PathBuf::from("/photos").join(relative),
        relative: relative.into(),
        is_named: false,
        page: None,
    }
}

#[test]
fn every_photo_is_in_one_shard_wherever_it_lies_and_pages_stay_together() {
    let names: Vec<String> = (0..1000).map(|i| format!("x/{i}.jpg")).collect();
    for of in [1, 2, 7, 100] {
        let mut counts = vec![0; of as usize];
        for name in &names {
            let holders: Vec<u32> = (1..=of)
                .filter(|&k| Shard::new(k, of).unwrap().contains(&found(name)))
                .collect();
            assert_eq!(holders, [shard_of(&found(name), of)]);
            counts[holders[0] as usize - 1] += 1;
        }
        let even = 1000 / of as usize;
        assert!(counts.iter().all(|&n| n > even / 4 && n < even * 3 + 9));
    }
    let shard = Shard::new(shard_of(&found("a.tif"), 5), 5).unwrap();
    for number in 1..4 {
        assert!(shard.contains(&found("a.tif").with_page(Page { number, count: 3 })));
    }
    // Jobs of different versions must agree: b3sum of `x/1.jpg` begins with these bytes.
    let digest = blake3::hash(b"x/1.jpg");
    let first = u64::from_le_bytes(digest.as_bytes()[..8].try_into().unwrap());
    assert_eq!(shard_of(&found("x/1.jpg"), 1000), (first % 1000) as u32 + 1);
    assert_eq!(shard_of(&found("x/1.jpg"), 1000), 298);
}

#[test]
fn inputs_that_led_to_no_photo_are_told_in_one_shard_and_in_their_place() {
    let all = || CollectedInputs {
        sources: (0..50).map(|i| found(&format!("{i}.jpg"))).collect(),
        failures: (0..50)
            .map(|i| InputFailure {
                path: format!("gone-{i}.jpg").into(),
                error: Error::file("x", "y"),
                sources_before: i,
            })
            .collect(),
        summary: None,
    };
    let (mut photos, mut failures) = (0, 0);
    for number in 1..=4 {
        let mut own = all();
        let shard = Shard::new(number, 4).unwrap();
        assert_eq!(shard.retain_sources(&mut own, |index| index == 0), 50);
        assert_eq!(own.sources[0], found("0.jpg"));
        for failure in &own.failures {
            let text = failure.path.display().to_string();
            let at: usize = text[5..text.len() - 4].parse().unwrap();
            let before = (0..at).filter(|i| *i == 0 || shard.contains(&found(&format!("{i}.jpg"))));
            assert_eq!(failure.sources_before, before.count());
        }
        photos += own.sources.len();
        failures += own.failures.len();
    }
    assert_eq!((photos, failures), (53, 50));
}

fn auto(text: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
    let request: ShardRequest = text.parse()?;
    let (shard, _) = request
        .resolve(&EnvVariables::from_pairs(pairs.iter().copied()))
        .map_err(|error| error.to_string())?;
    Ok(shard.to_string())
}

fn slurm<'a>(
    id: &'a str,
    least: &'a str,
    most: &'a str,
    count: &'a str,
    step: &'a str,
) -> Vec<(&'static str, &'a str)> {
    vec![
        ("SLURM_ARRAY_TASK_ID", id),
        ("SLURM_ARRAY_TASK_MIN", least),
        ("SLURM_ARRAY_TASK_MAX", most),
        ("SLURM_ARRAY_TASK_COUNT", count),
        ("SLURM_ARRAY_TASK_STEP", step),
    ]
}

#[test]
fn shards_are_counted_from_one() {
    assert_eq!(auto("3/100", &[]).unwrap(), "3/100");
    for wrong in ["0/100", "101/100", "1/0", "0/0"] {
        let why = auto(wrong, &[]).unwrap_err();
        assert!(why.contains("1/"), "{wrong}: {why}");
    }
    for wrong in ["", "3", "a/b", "-1/3", "auto/", "auto/0", "1/2/3", "auto/x"] {
        assert!(auto(wrong, &[]).is_err(), "{wrong}");
    }
}

#[test]
fn arrays_of_slurm_are_shards_wherever_they_begin() {
    for (id, least, most, count, shard) in [
        ("1", "1", "100", "100", "1/100"),
        ("0", "0", "99", "100", "1/100"),
        ("99", "0", "99", "100", "100/100"),
        ("12", "10", "13", "4", "3/4"),
        ("5", "5", "5", "1", "1/1"),
    ] {
        let told = auto("auto", &slurm(id, least, most, count, "1")).unwrap();
        assert_eq!(told, shard);
    }
    // An array that does not begin at 1 may be a part of a larger one.
    let request: ShardRequest = "auto".parse().unwrap();
    let note = |pairs: Vec<(&str, &str)>| {
        let variables = EnvVariables::from_pairs(pairs);
        request.resolve(&variables).unwrap().1
    };
    assert!(
        note(slurm("3", "3", "4", "2", "1"))
            .unwrap()
            .contains("auto/N")
    );
    assert_eq!(note(slurm("3", "1", "4", "4", "1")), None);
}

#[test]
fn parts_of_arrays_need_the_number_of_all_shards() {
    // --array=3,7 and --array=0-99:3
    for pairs in [
        slurm("3", "3", "7", "2", "1"),
        slurm("3", "0", "99", "34", "3"),
    ] {
        let why = auto("auto", &pairs).unwrap_err();
        assert!(why.contains("--shard auto/N"), "{why}");
    }
    let part = slurm("7", "3", "7", "2", "1");
    assert_eq!(auto("auto/100", &part).unwrap(), "7/100");
    // With indices from 0 on, one shard would be lost.
    for (id, least) in [("0", "0"), ("7", "0"), ("101", "1")] {
        let why = auto("auto/100", &slurm(id, least, "101", "102", "1")).unwrap_err();
        assert!(why.contains("numbers 1 to 100"), "{why}");
    }
}

#[test]
fn other_schedulers_count_from_zero() {
    let index = ("JOB_COMPLETION_INDEX", "4");
    assert_eq!(auto("auto/5", &[index]).unwrap(), "5/5");
    let why = auto("auto", &[index]).unwrap_err();
    assert!(
        why.contains("auto/N") && why.contains("completions"),
        "{why}"
    );
    assert!(auto("auto/4", &[index]).unwrap_err().contains("0 to 3"));

    let (index, size) = (
        ("AWS_BATCH_JOB_ARRAY_INDEX", "0"),
        ("AWS_BATCH_JOB_ARRAY_SIZE", "10"),
    );
    assert_eq!(auto("auto", &[index, size]).unwrap(), "1/10");
    assert_eq!(auto("auto/10", &[index]).unwrap(), "1/10");
    let why = auto("auto/9", &[index, size]).unwrap_err();
    assert!(why.contains("10 tasks, not 9"), "{why}");
}

#[test]
fn what_tells_nothing_is_refused() {
    for (pairs, why) in [
        (vec![], "none of SLURM_ARRAY_TASK_ID"),
        (
            vec![("SLURM_ARRAY_TASK_ID", "x")],
            "`x`, which is no number",
        ),
        (
            vec![("SLURM_ARRAY_TASK_ID", "1")],
            "SLURM_ARRAY_TASK_COUNT is not",
        ),
        (
            vec![("SLURM_ARRAY_TASK_ID", "1"), ("JOB_COMPLETION_INDEX", "1")],
            "both set",
        ),
        (slurm("9", "1", "4", "4", "1"), "the array are 1 to 4"),
        (slurm("1", "1", "0", "0", "1"), "SLURM_ARRAY_TASK"),
        (
            vec![
                ("AWS_BATCH_JOB_ARRAY_INDEX", "10"),
                ("AWS_BATCH_JOB_ARRAY_SIZE", "10"),
            ],
            "none of 10 tasks",
        ),
    ] {
        let error = auto("auto", &pairs).unwrap_err();
        assert!(error.starts_with("--shard auto: "), "{error}");
        assert!(error.contains(why), "{error}");
    }
}
