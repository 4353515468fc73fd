#!/usr/bin/env python3
"""Makes what a check on a GPU machine needs and a small upload cannot hold.

  make.py pack MODEL.safetensors OUT.xz [STEPS]  weights rounded to 127 steps (or so many) up and down, a scale for each
                                               row: a fifth of their size
  make.py unpack IN.xz OUT.safetensors         those weights as f32, which `dino models import` takes
  make.py head IN.safetensors OUT.safetensors  a head without the fingerprint of its weights, for rounded ones
  make.py photos FOLDER COUNT                  JPEGs of 640 x 480 that decode like photos
  make.py vitl FOLDER [--tiny]                 random weights of a ViT-L/14 under the published names, and random heads of
                                               the published shapes for it: a depth head and a segmentation head

Rounded weights are others than the published ones, but the same on every device: they do to compare devices.
"""

import json
import lzma
import multiprocessing
import os
import struct
import sys

import numpy as np

SCALE = ".scale"


def pack(source, target, steps):
    from safetensors.numpy import load_file, save

    packed = {}
    for name, values in load_file(source).items():
        values = values.astype(np.float32)
        # Positions, biases and norms are few and matter more.
        if values.ndim < 2 or values.size < 10_000 or "embed" in name and "proj" not in name:
            packed[name] = values.astype(np.float16)
            continue
        rows = values.reshape(values.shape[0], -1)
        scale = np.maximum(np.abs(rows).max(1), 1e-12) / steps
        packed[name] = np.round(rows / scale[:, None]).astype(np.int8).reshape(values.shape)
        packed[name + SCALE] = scale.astype(np.float32)
    raw = save(packed)
    with open(target, "wb") as file:
        file.write(lzma.compress(raw, preset=6))
    print(f"{os.path.getsize(source)} bytes became {os.path.getsize(target)}")


def unpack(source, target):
    from safetensors.numpy import load, save_file

    with lzma.open(source) as file:
        packed = load(file.read())
    whole = {}
    for name, values in packed.items():
        if name.endswith(SCALE):
            continue
        wide = values.astype(np.float32)
        scale = packed.get(name + SCALE)
        if scale is not None:
            wide *= scale.reshape(-1, *[1] * (values.ndim - 1))
        whole[name] = wide
    save_file(whole, target)


def head(source, target):
    """Empties the fingerprint in the header of a head: it then reads any weights of its row of the table."""
    with open(source, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        rest = file.read()
    told = header["__metadata__"]
    key = next(key for key in told if key.startswith("dino"))
    meta = json.loads(told[key])
    meta["fingerprint"] = ""
    told[key] = json.dumps(meta)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + rest)


def photo(job):
    """One JPEG: noise of several scales under shapes with sharp borders, with as many bytes as a photo of this size."""
    from PIL import Image, ImageDraw, ImageFilter

    path, seed = job
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (640, 480))
    for side in (4, 16, 64):
        noise = random.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize(image.size, Image.BICUBIC)
        image = layer if side == 4 else Image.blend(image, layer, 0.35)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, w, h = random.integers(0, 640), random.integers(0, 480), random.integers(20, 200), random.integers(20, 200)
        colour = tuple(int(c) for c in random.integers(0, 256, 3))
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((int(x), int(y), int(x + w), int(y + h)), fill=colour)
    image = image.filter(ImageFilter.GaussianBlur(1))
    grain = random.normal(0, 6, (480, 640, 1))
    image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    image.save(path, quality=88)


def photos(folder, count):
    os.makedirs(folder, exist_ok=True)
    jobs = [(os.path.join(folder, f"{seed:05}.jpg"), seed) for seed in range(count)]
    with multiprocessing.Pool() as pool:
        pool.map(photo, jobs, chunksize=16)
    print(f"{count} photos, {sum(os.path.getsize(path) for path, _ in jobs) / count / 1e3:.0f} kB each")


def vitl(folder, tiny):
    """The large backbone in f16; `tiny` makes a small one with the same heads' names, to try the script."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    name, dim, depth = ("vits14", 384, 12) if tiny else ("vitl14", 1024, 24)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def random(*shape, spread=0.02, middle=0.0):
        return (middle + spread * torch.randn(*shape, device=device)).half().cpu()

    weights = {
        "cls_token": random(1, 1, dim),
        "mask_token": random(1, dim),
        "pos_embed": random(1, 1370, dim),
        "patch_embed.proj.weight": random(dim, 3, 14, 14),
        "patch_embed.proj.bias": random(dim),
        "norm.weight": random(dim, middle=1.0),
        "norm.bias": random(dim),
    }
    for at in range(depth):
        block = f"blocks.{at}."
        for part, rows, columns in (
            ("attn.qkv", 3 * dim, dim),
            ("attn.proj", dim, dim),
            ("mlp.fc1", 4 * dim, dim),
            ("mlp.fc2", dim, 4 * dim),
        ):
            weights[f"{block}{part}.weight"] = random(rows, columns)
            weights[f"{block}{part}.bias"] = random(rows)
        for norm in ("norm1", "norm2"):
            weights[f"{block}{norm}.weight"] = random(dim, middle=1.0)
            weights[f"{block}{norm}.bias"] = random(dim)
        for scale in ("ls1", "ls2"):
            weights[f"{block}{scale}.gamma"] = random(dim, middle=0.1)
    os.makedirs(folder, exist_ok=True)
    save_file(weights, os.path.join(folder, f"{name}.safetensors"))
    # The published files are checkpoints of mmcv: a state under `state_dict`, names under `decode_head.`.
    depth_head = {
        "decode_head.conv_depth.weight": random(256, 2 * dim, 1, 1).float(),
        "decode_head.conv_depth.bias": random(256).float(),
    }
    segment_head = {
        "decode_head.conv_seg.weight": random(150, dim, 1, 1).float(),
        "decode_head.conv_seg.bias": random(150).float(),
        "decode_head.bn.weight": torch.ones(dim),
        "decode_head.bn.bias": torch.zeros(dim),
        "decode_head.bn.running_mean": torch.zeros(dim),
        "decode_head.bn.running_var": torch.ones(dim),
    }
    for data, state in (("nyu", depth_head), ("ade20k", segment_head)):
        path = os.path.join(folder, f"dinov2_{name}_{data}_linear_head.pth")
        torch.save({"meta": {}, "state_dict": state}, path)
    print(f"{name}, random, with two random heads")


def main(words):
    match words:
        case ["pack", source, target]:
            pack(source, target, 127)
        case ["pack", source, target, steps]:
            pack(source, target, min(int(steps), 127))
        case ["unpack", source, target]:
            unpack(source, target)
        case ["head", source, target]:
            head(source, target)
        case ["photos", folder, count]:
            photos(folder, int(count))
        case ["vitl", folder]:
            vitl(folder, False)
        case ["vitl", folder, "--tiny"]:
            vitl(folder, True)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
