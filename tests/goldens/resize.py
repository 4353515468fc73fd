"""Resizers against OpenCV, Pillow and PyTorch (`resize.safetensors`).

`image` U8 [47, 61, 3] is the crop of samples/chelsea.png at rows 90..137, columns 110..171 (RGB). For each target
<w>x<h> in 23x31 (smaller) and 90x70 (larger), all [h, w, 3]:
    bilinear.<w>x<h>.torch      F32   no antialias, align_corners=False, computed in f64 on 0..255
    bilinear.<w>x<h>.cv2        U8    cv2.resize INTER_LINEAR (fixed point: at most 1 level from the rounded torch)
    bicubic_aa.<w>x<h>.torch    F32   antialias=True (A = -0.5), computed in f64, not clamped
    bicubic_aa.<w>x<h>.pil      U8    Image.resize BICUBIC (rounds to u8 between its two passes)

`look` F32 [3, 28, 37]: image / 255 at 37x28 (60 % of its sides), antialias=True bicubic, computed in f64, not clamped.

`map` F32 [4, 9, 7] (channels, height, width), seeded. For each target <w>x<h> in 26x37, 50x23, 5x4, all [4, h, w]:
    map.<w>x<h>.bilinear        F32   align_corners=False, no antialias
    map.<w>x<h>.nearest         F32   torch 'nearest': source floor(dst * in / out)
    map.<w>x<h>.nearest_exact   F32   torch 'nearest-exact': source floor((dst + 0.5) * in / out)
"""

import pathlib

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
IMAGE_SIZES = [(23, 31), (90, 70)]
MAP_SIZES = [(26, 37), (50, 23), (5, 4)]


def interpolate(x, size, mode, **options):
    """[C, h, w] in f64 -> [C, size h, size w] in f64; size is (w, h)."""
    return F.interpolate(torch.from_numpy(x)[None], size=size[::-1], mode=mode, **options)[0].numpy()


def levels(a, b):
    """Largest difference of two u8 pictures, and the share of values that differ at all."""
    distance = np.abs(a.astype(int) - b.astype(int))
    return f"max {distance.max()}, {100 * (distance > 0).mean():.2f} % differ"


def rounded(x):
    return np.clip(np.floor(x + 0.5), 0, 255).astype(np.uint8)


def main():
    photo = np.asarray(Image.open(HERE.parent.parent / "samples" / "chelsea.png").convert("RGB"))
    image = np.ascontiguousarray(photo[90:137, 110:171])
    out = {"image": image}
    planes = image.astype(np.float64).transpose(2, 0, 1)
    for size in IMAGE_SIZES:
        label = f"{size[0]}x{size[1]}"
        bilinear = interpolate(planes, size, "bilinear", align_corners=False, antialias=False).transpose(1, 2, 0)
        bicubic = interpolate(planes, size, "bicubic", align_corners=False, antialias=True).transpose(1, 2, 0)
        out[f"bilinear.{label}.torch"] = bilinear
        out[f"bilinear.{label}.cv2"] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        out[f"bicubic_aa.{label}.torch"] = bicubic
        out[f"bicubic_aa.{label}.pil"] = np.asarray(Image.fromarray(image).resize(size, Image.BICUBIC))
        print(f"{label} cv2 - rounded torch bilinear:   {levels(out[f'bilinear.{label}.cv2'], rounded(bilinear))}")
        print(f"{label} Pillow - rounded torch bicubic: {levels(out[f'bicubic_aa.{label}.pil'], rounded(bicubic))}")
        antialiased = interpolate(planes, size, "bilinear", align_corners=False, antialias=True).transpose(1, 2, 0)
        print(f"{label} antialias moves bilinear by {np.abs(antialiased - bilinear).max():.1f} levels")

    out["look"] = interpolate(planes / 255, (37, 28), "bicubic", align_corners=False, antialias=True)

    values = np.random.default_rng(5).normal(size=(4, 9, 7)).astype(np.float32)
    out["map"] = values
    values = values.astype(np.float64)
    for size in MAP_SIZES:
        label = f"map.{size[0]}x{size[1]}"
        out[f"{label}.bilinear"] = interpolate(values, size, "bilinear", align_corners=False)
        out[f"{label}.nearest"] = interpolate(values, size, "nearest")
        out[f"{label}.nearest_exact"] = interpolate(values, size, "nearest-exact")
        # The same by the formulas of the docstring, in integers.
        for mode, twice in (("nearest", 0), ("nearest_exact", 1)):
            ys = (2 * np.arange(size[1]) + twice) * values.shape[1] // (2 * size[1])
            xs = (2 * np.arange(size[0]) + twice) * values.shape[2] // (2 * size[0])
            assert np.array_equal(out[f"{label}.{mode}"], values[:, ys][:, :, xs]), (label, mode)
    out = {k: np.ascontiguousarray(v if v.dtype == np.uint8 else v.astype(np.float32)) for k, v in out.items()}
    save_file(out, HERE / "resize.safetensors")
    print(f"resize.safetensors: {(HERE / 'resize.safetensors').stat().st_size} bytes")


if __name__ == "__main__":
    main()
