//! Tars of photos.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use image::ImageFormat;
use tempfile::TempDir;

use super::{encode, gradient};
use crate::error::Error;
use crate::io::inputs::{CollectedInputs, InputRequest, PhotoDecoder, Source, collect};

/// Appends a file to a tar.
fn put(tar: &mut ::tar::Builder<Vec<u8>>, name: &[u8], bytes: &[u8]) {
    let mut header = ::tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

/// The bytes of a tar with these members, the pictures among them of different widths.
fn tar_of(names: &[&str]) -> Vec<u8> {
    let mut tar = ::tar::Builder::new(Vec::new());
    for (index, name) in names.iter().enumerate() {
        put(&mut tar, name.as_bytes(), &member(name, index));
    }
    tar.into_inner().unwrap()
}

fn member(name: &str, index: usize) -> Vec<u8> {
    match ImageFormat::from_path(name) {
        Ok(format) => encode(gradient(index as u32 + 1, 2), format),
        Err(_) => b"words".to_vec(),
    }
}

fn run(folder: &TempDir, inputs: &[&str]) -> Result<CollectedInputs, Error> {
    let inputs = inputs.iter().map(|name| folder.path().join(name).into());
    let inputs: Vec<_> = inputs.collect();
    collect(&InputRequest {
        inputs: &inputs,
        max_bytes: u64::MAX,
        ..InputRequest::default()
    })
}

fn with_tar(name: &str, bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

fn relative(collected: &CollectedInputs) -> Vec<String> {
    let sources = collected.sources.iter();
    sources
        .map(|source| source.relative().to_string_lossy().replace('\\', "/"))
        .collect()
}

fn width(source: &Source) -> u32 {
    PhotoDecoder::plain().size(source).unwrap().0
}

#[test]
fn each_sample_has_one_photo_which_is_read_by_its_place() {
    let names = [
        "000.json",
        "000.jpg",
        "x/001.mask.png",
        "x/001.png",
        "x/001.cls",
        "002.left.jpg",
        "002.right.jpg",
        "003.txt",
        "004.webp",
        "004.jpeg",
    ];
    let folder = with_tar("d-0.tar", &tar_of(&names));
    let found = run(&folder, &["d-0.tar"]).unwrap();
    assert!(found.failures.is_empty(), "{:?}", found.failures);
    let expected = [
        ("d-0/000.jpg", 2),
        ("d-0/x/001.png", 4),
        ("d-0/002.left.jpg", 6),
        ("d-0/002.right.jpg", 7),
        ("d-0/004.jpeg", 10),
    ];
    assert_eq!(relative(&found), expected.map(|(name, _)| name));
    assert_eq!(
        found.sources.iter().map(width).collect::<Vec<_>>(),
        expected.map(|(_, width)| width)
    );
    assert!(found.sources[1].path().ends_with("d-0.tar/x/001.png"));
    let summary = found.summary.unwrap();
    assert_eq!(summary.photos["JPEG"], 4);
    assert_eq!(summary.skipped["further pictures of samples"].files, 2);
    assert_eq!(summary.skipped["other files"].files, 3);
}

#[test]
fn members_are_named_in_every_way_that_tars_have_and_never_lead_out() {
    let long = format!("{}/photo.png", "deep".repeat(40));
    let mut tar = ::tar::Builder::new(Vec::new());
    let png = encode(gradient(3, 2), ImageFormat::Png);
    for name in [
        &b"../../up.png"[..],
        b"/abs/a.png",
        b"./dot.png",
        b"caf\xe9.png",
        b".hidden.png",
    ] {
        put(&mut tar, name, &png);
    }
    // Long names in GNU and in PAX headers.
    let mut header = ::tar::Header::new_gnu();
    header.set_size(png.len() as u64);
    tar.append_data(&mut header, &long, &png[..]).unwrap();
    let pax = format!("{}/pax.png", "long".repeat(40));
    tar.append_pax_extensions([("path", pax.as_bytes())])
        .unwrap();
    put(&mut tar, b"short.png", &png);
    let folder = with_tar("d.tar", &tar.into_inner().unwrap());
    let found = run(&folder, &["d.tar"]).unwrap();
    let names = relative(&found);
    let expected = [
        "up.png",
        "abs/a.png",
        "dot.png",
        "caf\u{fffd}.png",
        &long,
        &pax,
    ];
    assert_eq!(names, expected.map(|name| format!("d/{name}")));
    assert!(found.sources.iter().all(|source| width(source) == 3));
}

#[test]
fn what_has_no_bytes_of_its_own_is_passed_over_and_said() {
    let mut tar = ::tar::Builder::new(Vec::new());
    put(&mut tar, b"a.jpg", &member("a.jpg", 0));
    let mut link = ::tar::Header::new_gnu();
    link.set_size(0);
    link.set_entry_type(::tar::EntryType::Link);
    tar.append_link(&mut link, "b.jpg", "a.jpg").unwrap();
    tar.append_pax_extensions([("GNU.sparse.major", &b"1"[..])])
        .unwrap();
    put(&mut tar, b"c.jpg", &member("c.jpg", 0));
    put(&mut tar, b"a.jpg", &member("a.jpg", 6));
    let folder = with_tar("d.tar", &tar.into_inner().unwrap());
    let found = run(&folder, &["d.tar"]).unwrap();
    assert_eq!(relative(&found), ["d/a.jpg"]);
    // Of members with the same name, the last one counts, as after unpacking.
    assert_eq!(width(&found.sources[0]), 7);
    let passed_over = found.summary.unwrap().skipped;
    assert_eq!(passed_over["links and sparse files in tars"].files, 2);
    assert_eq!(passed_over["earlier members of the same name"].files, 1);
}

#[test]
fn a_tar_cut_anywhere_gives_what_is_before_the_cut_and_says_so() {
    let whole = tar_of(&["0.png", "1.png", "2.png"]);
    let all = ["d/0.png", "d/1.png", "d/2.png"];
    for cut in [100, 512, 600, 1024, 1100, 1536, 2047, 2600, 3072] {
        let folder = with_tar("d.tar", &whole[..cut]);
        let (names, why) = match run(&folder, &["d.tar"]) {
            Ok(found) => (relative(&found), found.failures[0].error.to_string()),
            Err(error) => (Vec::new(), error.to_string()),
        };
        let is_whole = |index: &usize| 1024 * index + 512 + member("a.png", *index).len() <= cut;
        let complete = (0..3).filter(is_whole).count();
        assert_eq!(names, all[..complete], "{cut}");
        assert!(
            why.contains("cut off") || cut < 512 && why.contains("no tar"),
            "{cut}: {why}"
        );
    }
    let mut damaged = whole;
    damaged[1030] ^= 1;
    let folder = with_tar("d.tar", &damaged);
    let found = run(&folder, &["d.tar"]).unwrap();
    assert_eq!(relative(&found), ["d/0.png"]);
    let why = found.failures[0].error.to_string();
    assert!(why.contains("is damaged behind member 1"), "{why}");
}

#[test]
fn what_is_no_tar_is_told_from_one() {
    for (name, bytes, why) in [
        ("a.tar", &b""[..], "is empty"),
        ("b.tar", b"words and more words", "is no tar"),
        ("c.tar", &[b'x'; 2000], "is no tar"),
        ("d.tar", &[0; 1024], "no images in this tar"),
        ("e.tar.gz", b"\x1f\x8b", "gunzip -k"),
        ("f.TGZ", b"\x1f\x8b", "decompress it first"),
    ] {
        let folder = with_tar(name, bytes);
        let error = run(&folder, &[name]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(why), "{error}");
    }
}

#[test]
fn tars_are_named_by_patterns_and_braces_and_not_found_by_searching() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for number in 8..11 {
        fs::write(at(&format!("d-{number:03}.tar")), tar_of(&["a.jpg"])).unwrap();
    }
    fs::write(at("{a,b}.jpg"), member("a.jpg", 0)).unwrap();
    let names = ["d-008/a.jpg", "d-009/a.jpg", "d-010/a.jpg"];
    let braces = run(&folder, &["d-{008..011}.tar", "{a,b}.jpg", "d-009.tar"]).unwrap();
    assert_eq!(relative(&braces), [&names[..], &["{a,b}.jpg"]].concat());
    assert_eq!(braces.failures.len(), 1);
    assert!(braces.failures[0].path.ends_with("d-011.tar"));
    assert_eq!(relative(&run(&folder, &["d-*.tar"]).unwrap()), names);
    assert_eq!(
        relative(&run(&folder, &["{d-008,x}*"]).unwrap()),
        names[..1]
    );
    let searched = run(&folder, &["."]).unwrap();
    assert_eq!(relative(&searched), ["{a,b}.jpg"]);
    assert_eq!(searched.summary.unwrap().skipped["tar archives"].files, 3);
    fs::remove_file(at("{a,b}.jpg")).unwrap();
    let error = run(&folder, &["."]).unwrap_err().to_string();
    assert!(error.contains("is a tar archive; name it"), "{error}");
}

#[test]
fn a_tar_that_is_replaced_meanwhile_is_not_read_as_if_it_were_the_old_one() {
    let folder = with_tar("d.tar", &tar_of(&["a.png", "b.png"]));
    let found = run(&folder, &["d.tar"]).unwrap();
    assert_eq!(width(&found.sources[1]), 2);
    fs::write(
        folder.path().join("d.tar"),
        tar_of(&["b.png", "a.png", "c.png"]),
    )
    .unwrap();
    let error = PhotoDecoder::plain().decode(&found.sources[1]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("d.tar/b.png: its tar was changed"),
        "{error}"
    );
}

#[test]
fn pages_of_members_are_counted() {
    let mut pages = encode(gradient(2, 2), ImageFormat::Pnm);
    pages.extend(pages.clone());
    let mut tar = ::tar::Builder::new(Vec::new());
    put(&mut tar, b"two.ppm", &pages);
    let folder = with_tar("d.tar", &tar.into_inner().unwrap());
    let found = run(&folder, &["d.tar"]).unwrap();
    let pages: Vec<u32> = found.sources.iter().map(Source::page_number).collect();
    assert_eq!(pages, [1, 2]);
}

#[test]
fn a_member_is_read_whole_and_no_further() {
    let folder = with_tar("d.tar", &tar_of(&["a.png", "b.png"]));
    let found = run(&folder, &["d.tar"]).unwrap();
    let Source::TarMember { member: first, .. } = &found.sources[0] else {
        panic!("{:?}", found.sources[0]);
    };
    let mut bytes = Vec::new();
    first.open().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, member("a.png", 0));
    assert_eq!(first.path_in_tar(), Path::new("a.png"));
    assert_eq!(first.archive.relative, PathBuf::from("d"));
}
