"""The DINOv2 / DINO v1 encoder in plain PyTorch, for goldens only.

Functional on purpose: a dict of tensors under the original DINOv2 key names goes in, every stage comes out.
It runs in the dtype of the pixels (f64 in all goldens); only the position embedding is interpolated in f32,
because the reference does so whatever its own dtype is.

The keyword arguments of `Rules` that are not used by any real model exist for `backbone.py`, which shows that
each of those mistakes moves the outputs far beyond the tests' gate.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Rules:
    """What a file of weights does not tell."""

    heads: int
    patch: int
    pos_embed: str = "offset"  # "offset": DINO v1, DINOv2; "antialias": DINOv2 with registers; "hf": transformers
    eps: float = 1e-6
    gelu: str = "none"  # exact erf
    offset: float = 0.1


def pos_embed(stored: torch.Tensor, height: int, width: int, rules: Rules) -> torch.Tensor:
    """[1, 1 + M*M, D] -> [1, 1 + height*width, D], in f32."""
    stored = stored.float()
    cls, grid = stored[:, :1], stored[:, 1:]
    side = int(grid.shape[1] ** 0.5)
    if height == width == side:
        return stored
    grid = grid.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if rules.pos_embed == "offset":
        # The given factors, not the ratio of the sizes, place the samples.
        factors = ((height + rules.offset) / side, (width + rules.offset) / side)
        grid = F.interpolate(grid, scale_factor=factors, mode="bicubic", antialias=False)
    else:
        antialias = rules.pos_embed == "antialias"
        grid = F.interpolate(grid, size=(height, width), mode="bicubic", antialias=antialias)
    assert grid.shape[-2:] == (height, width), grid.shape
    return torch.cat([cls, grid.flatten(2).transpose(1, 2)], dim=1)


def forward(w: dict[str, torch.Tensor], pixels: torch.Tensor, rules: Rules) -> dict[str, torch.Tensor]:
    """pixels [B, 3, H, W] -> pos_embed, patch_embed, block0 .. blockN, norm; token order cls, registers, patches.

    Also block<i>.weights [B, heads, N, N], the attention of each block.
    """
    dtype = pixels.dtype
    w = {name: value.to(dtype) for name, value in w.items()}

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        mean = x.mean(-1, keepdim=True)
        var = x.var(-1, unbiased=False, keepdim=True)
        return (x - mean) / (var + rules.eps).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attention(x, name):
        batch, tokens, dim = x.shape
        qkv = linear(x, f"{name}.qkv").reshape(batch, tokens, 3, rules.heads, dim // rules.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        logits = q @ k.transpose(-2, -1) * (dim // rules.heads) ** -0.5
        weights = logits.softmax(-1)
        out[f"{name.removesuffix('.attn').replace('s.', '')}.weights"] = weights
        return linear((weights @ v).transpose(1, 2).reshape(batch, tokens, dim), f"{name}.proj")

    def mlp(x, name):
        if f"{name}.w12.weight" in w:
            gate, value = linear(x, f"{name}.w12").chunk(2, dim=-1)
            return linear(F.silu(gate) * value, f"{name}.w3")
        return linear(F.gelu(linear(x, f"{name}.fc1"), approximate=rules.gelu), f"{name}.fc2")

    def scaled(x, name):
        return x * w[f"{name}.gamma"] if f"{name}.gamma" in w else x  # DINO v1 has no layer scale

    out = {}
    height, width = pixels.shape[-2] // rules.patch, pixels.shape[-1] // rules.patch
    patches = F.conv2d(pixels, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=rules.patch)
    out["patch_embed"] = patches.flatten(2).transpose(1, 2)
    out["pos_embed"] = pos_embed(w["pos_embed"], height, width, rules)

    batch = pixels.shape[0]
    x = torch.cat([w["cls_token"].expand(batch, -1, -1), out["patch_embed"]], dim=1)
    x = x + out["pos_embed"].to(dtype)
    if "register_tokens" in w:
        x = torch.cat([x[:, :1], w["register_tokens"].expand(batch, -1, -1), x[:, 1:]], dim=1)

    depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))
    for i in range(depth):
        block = f"blocks.{i}"
        x = x + scaled(attention(norm(x, f"{block}.norm1"), f"{block}.attn"), f"{block}.ls1")
        x = x + scaled(mlp(norm(x, f"{block}.norm2"), f"{block}.mlp"), f"{block}.ls2")
        out[f"block{i}"] = x
    out["norm"] = norm(x, "norm")
    return out
