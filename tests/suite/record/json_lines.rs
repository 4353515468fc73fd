//! `--json` prints one line for each input and task, in the order of the inputs, also for skipped and failed ones.

use std::fs;

use serde_json::{Value, json};

use super::{lines, run};
use crate::program::{dino_with_model, folder_of};

#[test]
fn every_input_has_a_line_in_json_in_the_order_of_the_inputs() {
    let folder = folder_of(&[
        ("a.jpg", "room.jpg"),
        ("c.jpg", "dogs.jpg"),
        ("e.jpg", "flower.jpg"),
    ]);
    fs::write(folder.path().join("b.jpg"), "no photo").unwrap();
    let inputs = ["a.jpg", "b.jpg", "missing.jpg", "c.jpg", "e.jpg"];
    for task in [
        &["depth"][..],
        &["segment"],
        &["segment", "--clusters", "2"],
        &["pca"],
        &["pca", "--fit", "each"],
        &["attention"],
        &["similar", "--at", "9,9"],
    ] {
        let name = if task.contains(&"--clusters") {
            "clusters"
        } else {
            task[0]
        };
        let out = ["-o", &task.join("")];
        run(&folder, &[task, &["c.jpg"], &out].concat()).expect_code(0);
        let is_joint = ["clusters", "pca"].contains(&name) && !task.contains(&"--fit");
        let said = run(&folder, &[task, &inputs, &["--json"], &out].concat()).expect_code(1);
        let lines = lines(&said);
        let seen: Vec<&str> = lines
            .iter()
            .map(|line| line["input"].as_str().unwrap())
            .collect();
        assert_eq!(seen, inputs, "{task:?}");
        // Alone, c.jpg had a fit, or was compared, of its own.
        let there = if is_joint || name == "similar" {
            "done"
        } else {
            "skipped"
        };
        let ends: Vec<&str> = lines
            .iter()
            .map(|line| line["status"].as_str().unwrap())
            .collect();
        assert_eq!(
            ends,
            ["done", "failed", "failed", there, "done"],
            "{task:?}"
        );
        for line in &lines {
            assert_eq!((&line["schema"], &line["task"]), (&json!(1), &json!(name)));
            let is_failed = line["status"] == "failed";
            assert_eq!(line["error"].is_string(), is_failed, "{line}");
            assert_eq!(line["picture"].is_string(), !is_failed, "{line}");
            assert_eq!(line["files"].is_object(), !is_failed, "{line}");
        }
    }
}

#[test]
fn several_tasks_have_a_line_each() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    fs::write(folder.path().join("x.jpg"), "no photo").unwrap();
    let args = [
        "run",
        "a.jpg",
        "x.jpg",
        "b.jpg",
        "--segment",
        "street",
        "--segment",
        "rooms",
        "--pca",
        "--json",
    ];
    let said = dino_with_model(folder.path(), &args).expect_code(1);
    let lines = lines(&said);
    assert_eq!(lines.len(), 9, "{lines:?}");
    for (task, label) in [
        ("segment", json!("street")),
        ("segment", json!("rooms")),
        ("pca", Value::Null),
    ] {
        let of_task = lines
            .iter()
            .filter(|line| line["task"] == task && line["label"] == label);
        let told: Vec<(&str, &str)> = of_task
            .map(|line| {
                (
                    line["input"].as_str().unwrap(),
                    line["status"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [("a.jpg", "done"), ("x.jpg", "failed"), ("b.jpg", "done")]
        );
    }
}

#[test]
fn inputs_that_end_a_run_have_lines_too() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    for task in [
        &["depth"][..],
        &["attention"],
        &["similar", "--at", "1,1"],
        &["run", "--depth"],
    ] {
        let args = match task[0] {
            "run" => vec!["run", "nosuch.jpg", "empty", "--json", "--depth"],
            _ => [task, &["nosuch.jpg", "empty", "--json"]].concat(),
        };
        let ended = dino_with_model(folder.path(), &args).expect_code(1);
        let told: Vec<Value> = lines(&ended);
        let inputs: Vec<&str> = told
            .iter()
            .map(|line| line["input"].as_str().unwrap())
            .collect();
        assert_eq!(inputs, ["nosuch.jpg", "empty"], "{task:?}");
        assert!(told.iter().all(|line| line["status"] == "failed"));
    }
    let outside = run(&folder, &["depth", "a.jpg", "--at", "9999,1", "--json"]).expect_code(1);
    assert_eq!(lines(&outside)[0]["status"], "failed");
    // Refused, but not twice, and not as skipped, though it takes part in the fit.
    run(&folder, &["pca", "a.jpg", "b.jpg"]).expect_code(0);
    fs::write(folder.path().join("dino-out/b.pca.png"), "mine").unwrap();
    let refused = run(&folder, &["pca", "a.jpg", "b.jpg", "--json"]).expect_code(1);
    let told: Vec<Value> = lines(&refused);
    assert_eq!(told.len(), 2);
    assert_eq!(
        (&told[0]["status"], &told[1]["status"]),
        (&json!("skipped"), &json!("failed"))
    );
}
