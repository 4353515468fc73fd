"""Goldens of Meta's heads and protocols on seeded weights (`official.safetensors`); the files in `official/` too.

The weights and photos are formulas, of `official_weights.py`; the computations are in `official_heads.py`, in f64.
Backbones: S and S-reg have the real shapes of ViT-S/14; b, l, g are the other sizes shrunken in width only, so that
their layer tables hold; t is tiny. Metadata, as JSON: `sizes` of the backbones, `cases` (photo, layers, classes or DPT
channels), `hf` (the keys and shapes of the DPT model of `official_hf.py`), `versions`.

    depth.{nyu|kitti}.{linear|linear4|dpt}.{size}.{plain|flip}  F32 [H/3, W/3], metres at the photo's size, [::3, ::3]
    depth.{nyu|kitti}.dpt.{size}.raw             F32 the head's own map, before clamp and resize, [::3, ::3]
    seg.{ade20k|voc2012}.{linear|ms}.{size}[.shrunk].{slide|whole|ms}.
        labels                                   U8  [H, W] at the photo's size (shrunk: [::4, ::4])
        winner                                   F32 the labels' probability, every fifth label
        logits                                   F32 [classes, 16, 22], the blend at the resized photo, [::32, ::32]
        probabilities                            F32 [classes, H/8, W/8], the mean over the views
    classify.{linear|linear4}.{size}[.shrunk].logits   F32 [1000]
    hf.dpt.{rows}x{columns}.predicted_depth      F32 of transformers, on photo(columns, rows) itself, normalised
    formula.{key}                                F32 the first values of a tensor of S, one for each rule
    photo.64x56                                  U8  [56, 64, 3]

The script stops unless each usual mistake moves the stored numbers far beyond the tests' gates, and f32 stays within
them. Names on the command line run only the cases that start with them, and write nothing.
"""

import dataclasses
import json
import pathlib
import sys

import cv2
import numpy as np
import PIL
import torch
import transformers
from safetensors.torch import save_file

import official_files
import official_heads as heads
import official_hf
import official_weights as weights
import vit

HERE = pathlib.Path(__file__).parent
GATE = 1e-3  # metres, logits, probabilities; for labels the share that may differ
DPT_GATE = 2e-4  # metres: a tanh GELU moves the map by only 2e-3, the missing least depth by 1e-3
RIGHT = heads.Ways()
CLASSES = {"ade20k": 150, "voc2012": 21}


@dataclasses.dataclass(frozen=True)
class Size:
    dim: int
    depth: int
    heads: int
    registers: int = 0
    swiglu: int = 0
    linear4: tuple = (2, 5, 8, 11)


SIZES = {
    "S": Size(384, 12, 6),
    "S-reg": Size(384, 12, 6, registers=4),
    "b": Size(48, 12, 2),
    "l": Size(32, 24, 2, linear4=(4, 11, 17, 23)),
    "g": Size(32, 40, 2, swiglu=88, linear4=(9, 19, 29, 39)),
    "t": Size(32, 4, 2),
}
BACKBONES = {}


def backbone(name: str) -> heads.Backbone:
    if name not in BACKBONES:
        s = SIZES[name]
        shapes = weights.backbone(s.dim, s.depth, s.registers, s.swiglu)
        rules = vit.Rules(s.heads, 14, "antialias" if s.registers else "offset")
        BACKBONES[name] = heads.Backbone(weights.filled(shapes), rules)
    return BACKBONES[name]


@dataclasses.dataclass
class Case:
    """`run(dtype, ways, layers)` gives the tensors to store."""

    name: str
    photo: tuple[int, int]
    layers: tuple
    run: object
    notes: dict

    def tensors(self, dtype=torch.float64, ways=RIGHT, layers=None):
        with torch.no_grad():
            return self.run(dtype, ways, layers or self.layers)


def depth_case(dataset, head, size, photo, protocol, channels=256):
    s = SIZES[size]
    layers = (s.depth - 1,) if head == "linear" else s.linear4
    shapes = weights.dpt(s.dim, channels) if head == "dpt" else weights.linear_depth(s.dim, len(layers))
    name = f"depth.{dataset}.{head}.{size}"

    def run(dtype, ways, layers):
        picture, w = weights.photo(*photo), weights.filled(shapes)
        raw, metres = heads.depth(backbone(size), w, picture, dataset, layers, dtype, ways, protocol == "flip")
        out = {f"{name}.{protocol}": metres[::3, ::3]}
        if head == "dpt":
            out[f"{name}.raw"] = raw[::3, ::3]
        return out

    return Case(f"{name}.{protocol}", photo, layers, run, {"channels": channels} if head == "dpt" else {})


def seg_case(dataset, head, size, photo, protocol, layers, keep=(), every=1, suffix=""):
    shapes = weights.segmenter(SIZES[size].dim, len(layers), CLASSES[dataset])
    name = f"seg.{dataset}.{head}.{size}{suffix}.{protocol}"
    # The large maps of `ms` take minutes; `check_matrices` shows once that they come to the same.
    resized = heads.Blend.resized_by_matrices if protocol == "ms" else heads.Blend.resized

    def run(dtype, ways, layers, resized=resized):
        picture, w = weights.photo(*photo), weights.filled(shapes)
        p, blend = heads.segment(backbone(size), w, picture, layers, protocol, dtype, ways, resized)
        best = p.max(dim=0)
        out = {f"{name}.labels": best.indices.to(torch.uint8)[::every, ::every]}
        if "winner" in keep:
            out[f"{name}.winner"] = best.values[:: 5 * every, :: 5 * every]
        if "logits" in keep:
            out[f"{name}.logits"] = blend.map(lambda blended: blended[..., ::32, ::32])
        if "probabilities" in keep:
            out[f"{name}.probabilities"] = p[:, ::8, ::8]
        return out

    return Case(name, photo, layers, run, {"classes": CLASSES[dataset], "every": every})


def class_case(head, size, photo, suffix=""):
    s = SIZES[size]
    layers = (s.depth - 1,) if head == "linear" else tuple(range(s.depth - 4, s.depth))
    shapes = weights.classifier(s.dim, len(layers))
    name = f"classify.{head}.{size}{suffix}"

    def run(dtype, ways, layers):
        x = heads.normalise(heads.classifier_crop(weights.photo(*photo), ways), dtype)
        return {f"{name}.logits": heads.class_logits(backbone(size), weights.filled(shapes), x, layers, ways)}

    return Case(name, photo, layers, run, {})


# Odd sizes: the padding is then not the same on both sides.
CASES = [
    *(
        depth_case(dataset, head, "S", (201, 149), protocol)
        for dataset in heads.RANGES
        for head in ("linear", "linear4")
        for protocol in ("plain", "flip")
    ),
    *(depth_case("nyu", "linear4", size, (121, 90), "plain") for size in "blg"),
    *(depth_case(dataset, "dpt", "S", (131, 101), "plain") for dataset in heads.RANGES),
    *(depth_case("nyu", "dpt", size, (121, 90), "plain", channels=32) for size in "blg"),
    seg_case("ade20k", "linear", "S", (200, 150), "slide", (11,), ("winner", "logits")),
    seg_case("ade20k", "linear", "S", (200, 150), "whole", (11,)),
    seg_case("voc2012", "linear", "S", (200, 150), "slide", (11,)),
    seg_case("ade20k", "linear", "S", (1190, 600), "slide", (11,), ("winner",), every=4, suffix=".shrunk"),
    *(seg_case(dataset, "ms", "t", (64, 56), "ms", (0, 1, 2, 3), ("probabilities",)) for dataset in CLASSES),
    *(class_case(head, size, (200, 150)) for head in ("linear", "linear4") for size in ("S", "S-reg")),
    class_case("linear", "S", (620, 500), suffix=".shrunk"),
]

# mistake: what it changes, the cases it is shown on
LINEAR = ("depth.nyu.linear.S.plain", "depth.nyu.linear4.S.plain")
DPT = ("depth.nyu.dpt.S.plain", "depth.nyu.dpt.b.plain")
SLIDE, WHOLE, SHRUNK, MS = (
    f"seg.ade20k.{name}" for name in ("linear.S.slide", "linear.S.whole", "linear.S.shrunk.slide", "ms.t.ms")
)
MISTAKES = {
    "NYU up to 80 m": ({"nyu_max": 80.0}, LINEAR + DPT[:1]),
    "class token first": ({"cls_first": True}, LINEAR + DPT),
    "final norm before a depth head": ({"depth_norm": True}, LINEAR + DPT),
    "relu before upsampling": ({"relu_early": True}, LINEAR),
    "no + 0.1": ({"floor": 0.0}, LINEAR),
    "no upsampling by 4": ({"upsample": 1}, LINEAR),
    "padding at the end": ({"pad": "end"}, (*LINEAR, *DPT, SLIDE, WHOLE, MS)),
    "cropped, not squeezed": ({"fit": "crop"}, (*LINEAR, *DPT, SLIDE, WHOLE, SHRUNK, MS)),
    "padded, then mirrored": ({"flip_padded": True}, ("depth.nyu.linear.S.flip", "depth.kitti.linear4.S.flip")),
    "no clamp": ({"clamp": False}, DPT[:1]),
    "tanh GELU in the readout": ({"readout_gelu": "tanh"}, DPT),
    "fusion without align_corners": ({"fusion_align": False}, DPT),
    "head without align_corners": ({"head_align": False}, DPT),
    "residual unit adds relu(x)": ({"skip_relu": True}, DPT),
    "no least depth added": ({"add_min": False}, DPT),
    "batch norm epsilon 1e-6": ({"bn_eps": 1e-6}, (SLIDE, MS)),
    "batch norm epsilon 1e-3": ({"bn_eps": 1e-3}, (SLIDE, MS)),
    "no final norm before seg": ({"seg_norm": False}, (SLIDE, MS)),
    "stride 320 for 341": ({"linear_stride": 320}, (SHRUNK,)),
    "antialiased resize": ({"resize": "antialiased"}, (SHRUNK,)),
    "resize rounded as torch would": ({"resize": "rounded"}, (SLIDE, SHRUNK)),
    "resize not rounded": ({"resize": "float"}, (SLIDE, SHRUNK)),
    "logits averaged": ({"average": "logits"}, (MS,)),
    "no mirrored views": ({"flips": False}, (MS,)),
    "mean patch first": ({"mean_first": True}, ("classify.linear.S", "classify.linear4.S")),
    "newest class token first": ({"newest_first": True}, ("classify.linear4.S",)),
    "registers in the mean": ({"mean_registers": True}, ("classify.linear.S-reg",)),
    "half rounded up in the crop": ({"half_up": True}, ("classify.linear.S",)),
    "no antialias in the crop": ({"crop_antialias": False}, ("classify.linear.S.shrunk",)),
}
MILD = ("resize rounded as torch would", "resize not rounded")  # shown, not demanded


def moved(right: dict, wrong: dict) -> dict[str, float]:
    """In gates, by the last part of the name."""
    out = {}
    for name, x in right.items():
        labels = x.dtype == torch.uint8
        distance = (x != wrong[name]).double().mean() if labels else (x - wrong[name]).abs().max()
        gate = DPT_GATE if ".dpt." in name else GATE
        out[name.rpartition(".")[2]] = distance.item() / gate
    return out


def show(gates: dict[str, float]) -> str:
    return ", ".join(f"{kind} {value:.2g}" for kind, value in gates.items())


def check_matrices():
    """The matrices of `ms` against its large maps, with the fewer classes."""
    case = next(case for case in CASES if case.name == "seg.voc2012.ms.t.ms")
    naive = case.run(torch.float64, RIGHT, case.layers, heads.Blend.resized)
    for name, x in case.tensors().items():
        distance = (x.double() - naive[name].double()).abs().max().item()
        print(f"{name}: matrices - large maps {distance:.1e}")
        assert distance < 1e-12


def main():
    only = sys.argv[1:]
    out, notes = {}, {}
    for case in CASES:
        if only and not case.name.startswith(tuple(only)):
            continue
        right = case.tensors()
        f32 = moved(right, case.tensors(torch.float32))
        assert max(f32.values()) < 0.2, (case.name, f32)
        for name, x in right.items():
            if x.dtype == torch.uint8:
                _, counts = x.unique(return_counts=True)
                print(f"{name} {list(x.shape)}: {len(counts)} labels, {counts.max() / counts.sum():.2f} in the largest")
            else:
                print(f"{name} {list(x.shape)}: {x.min():.3f} .. {x.max():.3f}, std {x.std():.3f}")
        print(f"    gates moved by f32: {show(f32)}", flush=True)
        for mistake, (change, names) in MISTAKES.items():
            if case.name in names:
                gates = moved(right, case.tensors(ways=dataclasses.replace(RIGHT, **change)))
                print(f"    by {mistake}: {show(gates)}", flush=True)
                assert mistake in MILD or max(gates.values()) > 4, (case.name, mistake)
        if ".l." in case.name:
            gates = moved(right, case.tensors(layers=(5, 11, 17, 23)))
            print(f"    by layer 5 for 4: {show(gates)}")
            assert max(gates.values()) > 4
        out |= {name: x if x.dtype == torch.uint8 else x.float() for name, x in right.items()}
        notes[case.name] = {"photo": case.photo, "layers": case.layers, **case.notes}
    if only:
        return
    check_matrices()

    theirs, shapes = official_hf.goldens()
    official_hf.check_classifier()
    out |= {name: x.float() for name, x in theirs.items()}
    keys = weights.backbone(384, 12) | weights.segmenter(384, 1, 150) | weights.dpt(384, 256)
    for key in (
        "decode_head.bn.running_var",
        "blocks.0.norm1.weight",
        "blocks.0.ls1.gamma",
        "cls_token",
        "blocks.0.attn.qkv.bias",
        "decode_head.conv_depth.head.4.weight",
        "decode_head.conv_seg.weight",
        "patch_embed.proj.weight",
    ):
        out[f"formula.{key}"] = weights.seeded(key, keys[key]).flatten()[:8].clone()
    out["photo.64x56"] = torch.from_numpy(weights.photo(64, 56))

    metadata = {
        "sizes": json.dumps({name: dataclasses.asdict(size) for name, size in SIZES.items()}),
        "cases": json.dumps(notes),
        "hf": json.dumps({"dim": 48, "depth": 4, "heads": 2, "side": 5, "channels": 256, "shapes": shapes}),
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}, cv2 {cv2.__version__}, "
        f"pillow {PIL.__version__}, numpy {np.__version__}",
    }
    path = HERE / "official.safetensors"
    save_file({name: x.contiguous() for name, x in out.items()}, path, metadata)
    print(f"{path.name}: {path.stat().st_size} bytes, {len(out)} tensors")
    official_files.main()


if __name__ == "__main__":
    main()
