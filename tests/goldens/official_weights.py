"""Seeded weights and photos by formula, so that the Rust tests can recompute them and no weights are committed.

The value at flat index i (row-major) of the tensor named `key`; all integers are u64 and wrap:
    h = FNV-1a 64 of the UTF-8 key (offset 0xcbf29ce484222325, prime 0x100000001b3)
    z = h + (i + 1) * 0x9E3779B97F4A7C15
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;  z = (z ^ z >> 27) * 0x94D049BB133111EB;  z = z ^ z >> 31
    u = (z >> 40) / 2^23 - 1
    value = f32(offset + scale * u), in f64 before the rounding
with (offset, scale) from the first of these rules that fits:
    1. key ends with running_var                                                        (0.02, 0.0199)
    2. key ends with norm1.weight, norm2.weight, norm.weight, layernorm.weight, bn.weight    (1, 0.2)
    3. key contains gamma or lambda1                                                       (0.3, 0.1)
    4. key ends with cls_token, pos_embed, position_embeddings, register_tokens, mask_token  (0, 0.5)
    5. one dimension: biases, running_mean                                                   (0, 0.1)
    6. key ends with head.4.weight (DPT's last layer)      (1.25, 20 / sqrt(product of shape[1:]))
    7. key ends with conv_seg.weight                          (0, 0.5 / sqrt(product of shape[1:]))
    8. otherwise                                              (0, 1.7 / sqrt(product of shape[1:]))
The small variances let a wrong epsilon show; rule 6 makes DPT's output reach below 0 and above 10.

The photo of a size: value (x, y, c) = ((x*7 + y*3 + c*85) xor ((x div 16) * (y div 16) * 11)) and 255, u8 RGB.
"""

import numpy as np
import torch

NORMS = ("norm1.weight", "norm2.weight", "norm.weight", "layernorm.weight", "bn.weight")
TOKENS = ("cls_token", "pos_embed", "position_embeddings", "register_tokens", "mask_token")


def rule(key: str, shape) -> tuple[float, float]:
    if key.endswith("running_var"):
        return 0.02, 0.0199
    if key.endswith(NORMS):
        return 1.0, 0.2
    if "gamma" in key or "lambda1" in key:
        return 0.3, 0.1
    if key.endswith(TOKENS):
        return 0.0, 0.5
    if len(shape) == 1:
        return 0.0, 0.1
    root = float(np.prod(shape[1:])) ** 0.5
    if key.endswith("head.4.weight"):
        return 1.25, 20 / root
    return 0.0, (0.5 if key.endswith("conv_seg.weight") else 1.7) / root


def seeded(key: str, shape) -> torch.Tensor:
    h = 0xCBF29CE484222325
    for byte in key.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    i = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
    z = np.uint64(h) + i * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    offset, scale = rule(key, shape)
    return torch.from_numpy((offset + scale * u).astype(np.float32).reshape(shape))


def filled(shapes: dict) -> dict[str, torch.Tensor]:
    return {key: seeded(key, shape) for key, shape in shapes.items()}


def photo(width: int, height: int) -> np.ndarray:
    y, x, c = np.ogrid[:height, :width, :3]
    return (((x * 7 + y * 3 + c * 85) ^ ((x // 16) * (y // 16) * 11)) & 255).astype(np.uint8)


# --- the shapes under the published names ---


def backbone(dim: int, depth: int, registers=0, swiglu=0, side=37) -> dict:
    shapes = {"cls_token": (1, 1, dim), "pos_embed": (1, 1 + side * side, dim), "mask_token": (1, dim)}
    if registers:
        shapes["register_tokens"] = (1, registers, dim)

    def layer(name, *shape):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

    layer("patch_embed.proj", dim, 3, 14, 14)
    for i in range(depth):
        block = f"blocks.{i}"
        layer(f"{block}.norm1", dim)
        layer(f"{block}.attn.qkv", 3 * dim, dim)
        layer(f"{block}.attn.proj", dim, dim)
        shapes[f"{block}.ls1.gamma"] = (dim,)
        layer(f"{block}.norm2", dim)
        if swiglu:
            layer(f"{block}.mlp.w12", 2 * swiglu, dim)
            layer(f"{block}.mlp.w3", dim, swiglu)
        else:
            layer(f"{block}.mlp.fc1", 4 * dim, dim)
            layer(f"{block}.mlp.fc2", dim, 4 * dim)
        shapes[f"{block}.ls2.gamma"] = (dim,)
    layer("norm", dim)
    return shapes


def linear_depth(dim: int, layers: int) -> dict:
    return {"decode_head.conv_depth.weight": (256, 2 * dim * layers, 1, 1), "decode_head.conv_depth.bias": (256,)}


def dpt(dim: int, channels: int) -> dict:
    shapes = {}

    def conv(name, out, ins, side, bias=True):
        shapes[f"decode_head.{name}.weight"] = (out, ins, side, side)
        if bias:
            shapes[f"decode_head.{name}.bias"] = (out,)

    sizes = [dim // 8, dim // 4, dim // 2, dim]
    conv("conv_depth.head.0", channels // 2, channels, 3)
    conv("conv_depth.head.2", 32, channels // 2, 3)
    conv("conv_depth.head.4", 1, 32, 1)
    for i, size in enumerate(sizes):
        conv(f"reassemble_blocks.projects.{i}.conv", size, dim, 1)
    for i, side in ((0, 4), (1, 2), (3, 3)):
        conv(f"reassemble_blocks.resize_layers.{i}", sizes[i], sizes[i], side)
    for i in range(4):
        shapes[f"decode_head.reassemble_blocks.readout_projects.{i}.0.weight"] = (dim, 2 * dim)
        shapes[f"decode_head.reassemble_blocks.readout_projects.{i}.0.bias"] = (dim,)
    for i, size in enumerate(sizes):
        conv(f"convs.{i}.conv", channels, size, 3, bias=False)
    for i in range(4):
        conv(f"fusion_blocks.{i}.project.conv", channels, channels, 1)
        for unit in (1, 2) if i else (2,):
            for part in (1, 2):
                conv(f"fusion_blocks.{i}.res_conv_unit{unit}.conv{part}.conv", channels, channels, 3, bias=False)
    conv("project.conv", channels, channels, 3)
    return shapes


def segmenter(dim: int, layers: int, classes: int) -> dict:
    width = dim * layers
    shapes = {"decode_head.conv_seg.weight": (classes, width, 1, 1), "decode_head.conv_seg.bias": (classes,)}
    for kind in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"decode_head.bn.{kind}"] = (width,)
    return shapes


def classifier(dim: int, layers: int) -> dict:
    return {"weight": (1000, (layers + 1) * dim), "bias": (1000,)}
