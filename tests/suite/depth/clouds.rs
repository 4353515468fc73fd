//! Point clouds as PLY and GLB: axes, number of points and orientation.

use serde_json::Value;

use super::{depth, folder_with_head};
use crate::program::sample;
use crate::results::{as_text, first_json, read_npy};

#[test]
fn clouds_have_the_axes_and_the_points_that_were_asked_for() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let run = |args: &[&str]| {
        let args = [&[as_text(&photo), "--json", "--fov", "60"], args].concat();
        let report = first_json(&depth(folder.path(), &args).expect_code(0));
        report["cloud"].clone()
    };
    // Vertices of 15 bytes, and the header.
    let read = |name: &str| {
        let ply = std::fs::read(folder.path().join(name)).unwrap();
        let end = b"end_header\n";
        let start = ply.windows(end.len()).position(|w| w == end).unwrap() + end.len();
        let header = String::from_utf8(ply[..start].to_vec()).unwrap();
        let points: Vec<Vec<u8>> = ply[start..].chunks_exact(15).map(<[u8]>::to_vec).collect();
        (header, points)
    };
    let float =
        |point: &[u8], at: usize| f32::from_le_bytes([0, 1, 2, 3].map(|byte| point[at + byte]));
    let plain = run(&["--pointcloud", "cv.ply"]);
    assert_eq!(plain["axes"], "opencv");
    assert_eq!(plain["counts"]["points"], 451 * 300);
    let turned = run(&["--pointcloud", "gl.ply", "--axes", "opengl"]);
    assert_eq!(turned["axes"], "opengl");
    let ((cv_header, cv), (gl_header, gl)) = (read("cv.ply"), read("gl.ply"));
    assert!(cv_header.contains("comment axes opencv: x right, y down, z forward\n"));
    assert!(gl_header.contains("comment axes opengl: x right, y up, z backwards\n"));
    for (cv, gl) in cv.iter().zip(&gl) {
        let [x, y, z] = [0, 4, 8].map(|at| float(gl, at));
        assert_eq!([0, 4, 8].map(|at| float(cv, at)), [x, -y, -z]);
        assert_eq!(cv[12..], gl[12..]);
    }

    let few = run(&[
        "--pointcloud",
        "few.ply",
        "--max-points",
        "1000",
        "--drop-edges",
        "0.02",
    ]);
    let counts = &few["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(count("points"), 1000);
    assert!(count("at_edges") > 0);
    let dropped = count("without_depth") + count("at_edges") + count("beyond_max_points");
    assert_eq!(count("points") + dropped, 451 * 300);
    assert_eq!(few["drop_edges"], 0.02);
    let (header, points) = read("few.ply");
    assert_eq!(points.len(), 1000);
    assert!(header.contains("comment 1000 points of 135300 pixels: "));
    assert!(points.iter().all(|point| cv.contains(point)));
    run(&[
        "--pointcloud",
        "again.ply",
        "--max-points",
        "1000",
        "--drop-edges",
        "0.02",
        "--threads",
        "1",
    ]);
    assert_eq!(read("again.ply"), (header, points));
}

#[test]
fn a_glb_stands_upright() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let args = [
        as_text(&photo),
        "--pointcloud",
        "glb",
        "--fov",
        "60",
        "--save",
        "npy",
    ];
    let run = depth(folder.path(), &args).expect_code(0);
    assert_eq!(run.lines()[2], "dino-out/chelsea.depth.glb");
    let (_, metres) = read_npy(folder.path().join("dino-out/chelsea.depth.npy"));
    let glb = std::fs::read(folder.path().join("dino-out/chelsea.depth.glb")).unwrap();
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| glb[at + byte]));
    assert_eq!((&glb[..4], word(8) as usize), (&b"glTF"[..], glb.len()));
    let json = word(12) as usize;
    let header: Value = serde_json::from_slice(&glb[20..20 + json]).unwrap();
    let accessor = &header["accessors"][0];
    assert_eq!(accessor["count"], 451 * 300);
    let comments = header["asset"]["extras"]["comments"].to_string();
    assert!(
        comments.contains("unit m") && comments.contains("axes opengl"),
        "{comments}"
    );
    let points = &glb[28 + json..];
    let float = |at: usize| f32::from_le_bytes([0, 1, 2, 3].map(|byte| points[at + byte]));
    // The top left corner is at the left, above and in front of a camera that looks along -z.
    assert!(float(0) < 0.0 && float(4) > 0.0);
    for (at, &metres) in metres.iter().enumerate() {
        assert_eq!(float(24 * at + 8), -metres);
    }
    let farthest = metres.iter().copied().fold(0.0, f32::max);
    assert_eq!(accessor["min"][2].as_f64(), Some(-f64::from(farthest)));
}
