"""Goldens of four shrunken backbones with seeded weights: plain, reg, swiglu and v1 (`<model>.safetensors`).

Names in each file:
    weights.<original DINOv2 key>   F16   dim 32, depth 3, 2 heads; patch 14 (v1: 8); native grid 5x5
    <h>x<w>.pos_embed               F32   [1 + h*w, 32], the cls row first
    <h>x<w>.patch_embed             F32   [h*w, 32], before the position embedding
    <h>x<w>.block0, .block2         F32   [1 + R + h*w, 32], residual stream after the block: cls, registers, patches
    <h>x<w>.norm                    F32   the final norm of block2
    4x6.block2_b1                   F32   block2 of the second image of a batch (b = 1 in the formula below)
    <h>x<w>.pos_embed_hf            F32   only in plain: what transformers would use
with (h, w) in 5x5 (native: no interpolation), 7x7, 3x3, 4x6.

The pixels are not stored. Image b of a batch, channel c, row y, column x, evaluated in f64 (then cast):
    sin(0.013*(c+1)*y + 0.031*x + 0.5*b) + 0.3*cos(0.11*(x + 2*y)*(c+1))

Everything is computed in f64 from the rounded F16 weights, except the interpolation of position embeddings (f32,
as the reference does). cls_token, its position row and the registers are small on purpose: their variance in
block 0's first norm is low enough that an epsilon of 1e-5 instead of 1e-6 shows.
"""

import dataclasses
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

import vit

HERE = pathlib.Path(__file__).parent
DIM, DEPTH, HEADS, SIDE = 32, 3, 2, 5
GRIDS = [(5, 5), (7, 7), (3, 3), (4, 6)]
GATE = 1e-4  # the tests' gate on f32


def weights(seed: int, patch: int, hidden: int, swiglu=False, registers=0, layer_scale=True, mask_token=True):
    rng = np.random.default_rng(seed)
    w = {}

    def normal(name, *shape, std):
        w[name] = torch.from_numpy(rng.normal(0.0, std, shape)).half()

    def linear(name, out_dim, in_dim, gain=1.0):
        normal(f"{name}.weight", out_dim, in_dim, std=gain / in_dim**0.5)
        normal(f"{name}.bias", out_dim, std=0.2)

    def norm(name):
        w[f"{name}.weight"] = torch.from_numpy(rng.uniform(0.6, 1.4, DIM)).half()
        normal(f"{name}.bias", DIM, std=0.2)

    normal("cls_token", 1, 1, DIM, std=0.02)
    normal("pos_embed", 1, 1 + SIDE * SIDE, DIM, std=0.3)
    w["pos_embed"][:, 0] *= 0.05
    if mask_token:
        normal("mask_token", 1, DIM, std=0.02)
    if registers:
        normal("register_tokens", 1, registers, DIM, std=0.03)
    normal("patch_embed.proj.weight", DIM, 3, patch, patch, std=1.0 / (3 * patch * patch) ** 0.5)
    normal("patch_embed.proj.bias", DIM, std=0.2)
    for i in range(DEPTH):
        block = f"blocks.{i}"
        norm(f"{block}.norm1")
        linear(f"{block}.attn.qkv", 3 * DIM, DIM, gain=1.5)
        linear(f"{block}.attn.proj", DIM, DIM)
        norm(f"{block}.norm2")
        if swiglu:
            linear(f"{block}.mlp.w12", 2 * hidden, DIM)
            linear(f"{block}.mlp.w3", DIM, hidden, gain=1.5)
        else:
            linear(f"{block}.mlp.fc1", hidden, DIM, gain=2.0)
            linear(f"{block}.mlp.fc2", DIM, hidden, gain=2.0)
        if layer_scale:
            for branch in ("ls1", "ls2"):
                w[f"{block}.{branch}.gamma"] = torch.from_numpy(rng.uniform(0.3, 1.0, DIM)).half()
    norm("norm")
    return w


PLAIN = vit.Rules(heads=HEADS, patch=14)
MODELS = {
    "plain": (weights(1, patch=14, hidden=128), PLAIN),
    "reg": (weights(2, patch=14, hidden=128, registers=4), dataclasses.replace(PLAIN, pos_embed="antialias")),
    "swiglu": (weights(3, patch=14, hidden=88, swiglu=True), PLAIN),
    "v1": (weights(4, patch=8, hidden=128, layer_scale=False, mask_token=False), dataclasses.replace(PLAIN, patch=8)),
}


def pixels(batch: int, height: int, width: int) -> torch.Tensor:
    b = torch.arange(batch, dtype=torch.float64).reshape(-1, 1, 1, 1)
    c = torch.arange(3, dtype=torch.float64).reshape(1, -1, 1, 1)
    y = torch.arange(height, dtype=torch.float64).reshape(1, 1, -1, 1)
    x = torch.arange(width, dtype=torch.float64).reshape(1, 1, 1, -1)
    return (0.013 * (c + 1) * y + 0.031 * x + 0.5 * b).sin() + 0.3 * (0.11 * (x + 2 * y) * (c + 1)).cos()


def run(w, rules, grid, batch=1):
    return vit.forward(w, pixels(batch, grid[0] * rules.patch, grid[1] * rules.patch), rules)


def goldens(name: str) -> dict[str, torch.Tensor]:
    w, rules = MODELS[name]
    out = {f"weights.{key}": value for key, value in w.items()}
    for grid in GRIDS:
        prefix = f"{grid[0]}x{grid[1]}"
        stages = run(w, rules, grid, batch=2)
        for stage in ("pos_embed", "patch_embed", "block0", "block2", "norm"):
            out[f"{prefix}.{stage}"] = stages[stage][0].float()
        if grid == (4, 6):
            out[f"{prefix}.block2_b1"] = stages["block2"][1].float()
        if name == "plain":
            hf = dataclasses.replace(rules, pos_embed="hf")
            out[f"{prefix}.pos_embed_hf"] = vit.pos_embed(w["pos_embed"], *grid, hf)[0]
    return {key: value.contiguous() for key, value in out.items()}


def show_mistakes(name: str):
    """How far each usual mistake moves the stored stages: far above the gate, or the goldens would prove little."""
    w, rules = MODELS[name]
    stages = ("block0", "block2", "norm")
    right = {grid: run(w, rules, grid) for grid in GRIDS}

    def moved(change):
        wrong = {grid: run(w, dataclasses.replace(rules, **change), grid) for grid in GRIDS}
        return max((wrong[g][s] - right[g][s]).abs().max().item() for g in GRIDS for s in stages)

    mistakes = {"eps 1e-5": {"eps": 1e-5}, "size=, no antialias": {"pos_embed": "hf"}}
    if name != "swiglu":
        mistakes["tanh GELU"] = {"gelu": "tanh"}
    if rules.pos_embed == "offset":
        mistakes["offset 0"] = {"offset": 0.0}
    else:
        mistakes["offset 0.1 rule"] = {"pos_embed": "offset"}
    for mistake, change in mistakes.items():
        distance = moved(change)
        print(f"  {mistake:19} moves them by {distance:.1e}")
        assert distance > 5 * GATE, (name, mistake, distance)
    f32 = vit.forward(w, pixels(1, 4 * rules.patch, 6 * rules.patch).float(), rules)
    print(f"  {'plain f32':19} moves them by {max((f32[s] - right[4, 6][s]).abs().max().item() for s in stages):.1e}")


if __name__ == "__main__":
    for name in MODELS:
        tensors = goldens(name)
        path = HERE / f"{name}.safetensors"
        save_file(tensors, path)
        stds = ", ".join(f"{s} {tensors[f'4x6.{s}'].std():.2f}" for s in ("patch_embed", "block0", "block2", "norm"))
        print(f"{path.name}: {path.stat().st_size} bytes, {len(tensors)} tensors; std {stds}")
        show_mistakes(name)
