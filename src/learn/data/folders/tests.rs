use super::*;
use crate::learn::data::open::tests::touch;

/// The pairs' labels with their parts.
fn labels(names: &[&str], kind: LabelKind) -> (DataSet, Vec<(char, String)>) {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), names);
    let set = DataSet::open(root.path(), kind).unwrap();
    let parts = [('t', &set.train), ('v', &set.val), ('x', &set.test)];
    let pairs = parts
        .iter()
        .flat_map(|(part, pairs)| pairs.iter().map(move |pair| (*part, pair)));
    let below = |path: &Path| {
        path.strip_prefix(root.path())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let found = pairs
        .map(|(part, pair)| (part, below(&pair.label)))
        .collect();
    (set, found)
}

#[test]
fn cityscapes_as_unpacked() {
    for roots in [
        ["leftImg8bit", "gtFine"],
        [
            "leftImg8bit_trainvaltest/leftImg8bit",
            "gtFine_trainvaltest/gtFine",
        ],
    ] {
        let [photos, gt] = roots;
        let mut names = Vec::new();
        for (part, city) in [("train", "aachen"), ("val", "ulm"), ("test", "bonn")] {
            names.push(format!("{photos}/{part}/{city}/{city}_0_1_leftImg8bit.png"));
            for end in [
                "color.png",
                "instanceIds.png",
                "labelIds.png",
                "polygons.json",
            ] {
                names.push(format!("{gt}/{part}/{city}/{city}_0_1_gtFine_{end}"));
            }
        }
        names.push(format!("{photos}/train/aachen/aachen_0_2_leftImg8bit.png"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (set, found) = labels(&names, LabelKind::Masks);
        let label =
            |part: &str, city: &str| format!("{gt}/{part}/{city}/{city}_0_1_gtFine_labelIds.png");
        let expected = [
            ('t', label("train", "aachen")),
            ('v', label("val", "ulm")),
            ('x', label("test", "bonn")),
        ];
        assert_eq!(found, expected);
        assert_eq!((set.unlabelled.len(), set.unmatched_labels.len()), (1, 0));
        assert!(
            set.notes.iter().any(|note| note.contains("_labelIds")),
            "{:?}",
            set.notes
        );
    }
}

#[test]
fn diode_and_nyu_as_unpacked() {
    let scan = "val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010";
    let names = [".png", "_depth.npy", "_depth_mask.npy"].map(|end| format!("{scan}{end}"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (set, found) = labels(&names, LabelKind::Depth);
    assert_eq!(found, [('v', format!("{scan}_depth.npy"))]);
    assert_eq!((set.unlabelled.len(), set.unmatched_labels.len()), (0, 0));
    let (_, found) = labels(
        &[
            "train/attic/rgb_00045.jpg",
            "train/attic/sync_depth_00045.png",
            "train/bath/rgb_00045.jpg",
            "train/bath/sync_depth_00045.png",
            "test/bath/rgb_00001.jpg",
            "test/bath/sync_depth_00001.png",
        ],
        LabelKind::Depth,
    );
    let parts: String = found.iter().map(|(part, _)| part).collect();
    assert_eq!(parts, "ttx");
}

#[test]
fn what_was_made_of_labels_is_none() {
    let masks = [
        "images/0.jpg",
        "images/1.jpg",
        "masks/0_mask.png",
        "masks/1_mask.png",
        "masks/0_vis.png",
        "masks/1_vis.png",
    ];
    let (set, found) = labels(&masks, LabelKind::Masks);
    assert_eq!(
        found,
        [
            ('t', "masks/0_mask.png".to_owned()),
            ('t', "masks/1_mask.png".to_owned())
        ]
    );
    assert!(
        set.notes.iter().any(|note| note.contains("0_vis.png")),
        "{:?}",
        set.notes
    );
    let depth = ["images/0.jpg", "depth/0.depth.npy", "depth/0.depth.std.npy"];
    assert_eq!(
        labels(&depth, LabelKind::Depth).1,
        [('t', "depth/0.depth.npy".to_owned())]
    );
    // Without other files they are the labels; one folder of photos and labels, as in NYU's test; Sintel's extension.
    let only = [
        "images/0.jpg",
        "images/1.jpg",
        "masks/0_color.png",
        "masks/1_color.png",
    ];
    assert_eq!(labels(&only, LabelKind::Masks).1.len(), 2);
    let nyu = [
        "00000_colors.png",
        "00000_depth.png",
        "00001_colors.png",
        "00001_depth.png",
    ];
    assert_eq!(labels(&nyu, LabelKind::Depth).1.len(), 2);
    assert_eq!(
        labels(&["images/0.png", "depth/0.dpt"], LabelKind::Depth)
            .1
            .len(),
        1
    );
}

#[test]
fn folders_are_called_in_many_ways() {
    for names in [
        [
            "Images/zurich/0.JPG",
            "Masks/zurich/0.PNG",
            "Masks/zurich/0.json",
        ],
        ["imgs/0.jpg", "labels/0.png", "labels/0.txt"],
        [
            "train/JPEGImages/0.jpg",
            "train/SegmentationClass/0.png",
            "train/SegmentationClass/Thumbs.db",
        ],
        [
            "images/training/0.jpg",
            "annotations/training/0.png",
            "annotations/README",
        ],
        ["data/0.jpg", "data/0_mask.png", "data/0.xml"],
        ["images/0.jpg", "masks/0.png", "labels/0.txt"],
    ] {
        let (set, found) = labels(&names, LabelKind::Masks);
        assert_eq!(found, [('t', names[1].to_owned())], "{names:?}");
        assert_eq!(
            (set.unlabelled.len(), set.unmatched_labels.len()),
            (0, 0),
            "{names:?}"
        );
    }
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["images/0.jpg", "masks/0.mat"]);
    let error = DataSet::open(root.path(), LabelKind::Masks)
        .unwrap_err()
        .to_string();
    assert!(error.contains("0.mat is of no known kind"), "{error}");
}
