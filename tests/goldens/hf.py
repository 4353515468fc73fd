"""transformers' own models on the weights of a `vit.py` model: the independent reference for `vit.py` itself.

Run directly, it compares the two on the shrunken models of `backbone.py`, in f64: every grid where transformers
follows the same position rule (its own rule for plain and swiglu; the native grid only for v1).
"""

import dataclasses

import torch
import transformers

import vit


def model(w: dict[str, torch.Tensor], rules: vit.Rules):
    """A transformers model of w's kind, in f64."""
    dim = w["cls_token"].shape[-1]
    depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))
    common = dict(
        hidden_size=dim,
        num_hidden_layers=depth,
        num_attention_heads=rules.heads,
        patch_size=rules.patch,
        image_size=rules.patch * int((w["pos_embed"].shape[1] - 1) ** 0.5),
        layer_norm_eps=rules.eps,
    )
    swiglu = "blocks.0.mlp.w12.weight" in w
    if "blocks.0.ls1.gamma" not in w:
        config = transformers.ViTConfig(intermediate_size=4 * dim, **common)
        hf = transformers.ViTModel(config, add_pooling_layer=False)
    elif "register_tokens" in w:
        config = transformers.Dinov2WithRegistersConfig(num_register_tokens=w["register_tokens"].shape[1], **common)
        hf = transformers.Dinov2WithRegistersModel(config)
    else:
        hf = transformers.Dinov2Model(transformers.Dinov2Config(use_swiglu_ffn=swiglu, **common))
    hf = hf.double().eval()

    names = {
        "cls_token": "embeddings.cls_token",
        "mask_token": "embeddings.mask_token",
        "pos_embed": "embeddings.position_embeddings",
        "register_tokens": "embeddings.register_tokens",
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "norm": "layernorm",
    }
    is_v1 = "blocks.0.ls1.gamma" not in w
    for i in range(depth):
        ours, theirs = f"blocks.{i}", f"layers.{i}" if is_v1 else f"encoder.layer.{i}"
        names[f"{ours}.norm1"] = f"{theirs}.layernorm_before" if is_v1 else f"{theirs}.norm1"
        names[f"{ours}.norm2"] = f"{theirs}.layernorm_after" if is_v1 else f"{theirs}.norm2"
        names[f"{ours}.attn.proj"] = f"{theirs}.attention.o_proj"
        names[f"{ours}.ls1.gamma"] = f"{theirs}.layer_scale1.lambda1"
        names[f"{ours}.ls2.gamma"] = f"{theirs}.layer_scale2.lambda1"
        names[f"{ours}.mlp.fc1"] = f"{theirs}.mlp.fc1"
        names[f"{ours}.mlp.fc2"] = f"{theirs}.mlp.fc2"
        names[f"{ours}.mlp.w3"] = f"{theirs}.mlp.down_proj"
    splits = {"attn.qkv": ["attention.q_proj", "attention.k_proj", "attention.v_proj"]}
    splits["mlp.w12"] = ["mlp.gate_proj", "mlp.up_proj"]

    state = {}
    for name, value in w.items():
        stem, _, kind = name.rpartition(".")
        part = ".".join(stem.split(".")[2:])
        if part in splits:
            block = names[stem.replace(part, "norm1")].rpartition(".")[0]
            for theirs, rows in zip(splits[part], value.chunk(len(splits[part]))):
                state[f"{block}.{theirs}.{kind}"] = rows
        else:
            state[names[name] if name in names else f"{names[stem]}.{kind}"] = value
    if "embeddings.mask_token" in hf.state_dict() and "mask_token" not in w:
        state["embeddings.mask_token"] = torch.zeros(1, dim)  # unused at inference
    hf.load_state_dict({name: value.double() for name, value in state.items()}, strict=True)
    return hf


def forward(hf, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """block0 .. blockN and norm, as `vit.forward` names them (hooks: no trust in what hidden_states holds)."""
    out = {}
    layers = hf.layers if hasattr(hf, "layers") else hf.encoder.layer
    hooks = [
        layer.register_forward_hook(
            lambda _m, _i, y, i=i: out.__setitem__(f"block{i}", y[0] if isinstance(y, tuple) else y)
        )
        for i, layer in enumerate(layers)
    ]
    with torch.no_grad():
        out["norm"] = hf(pixel_values=pixels).last_hidden_state
    for hook in hooks:
        hook.remove()
    return out


if __name__ == "__main__":
    import backbone

    for name, (w, rules) in backbone.MODELS.items():
        rule = rules.pos_embed if name in ("reg", "v1") else "hf"
        rules = dataclasses.replace(rules, pos_embed=rule)
        hf = model(w, rules)
        for grid in backbone.GRIDS if name != "v1" else [(5, 5)]:
            pixels = backbone.pixels(2, grid[0] * rules.patch, grid[1] * rules.patch)
            ours, theirs = vit.forward(w, pixels, rules), forward(hf, pixels)
            worst = max((ours[s] - theirs[s]).abs().max().item() for s in theirs)
            print(f"{name:7} {grid[0]}x{grid[1]}  vit.py - transformers: {worst:.1e}")
            assert worst < 1e-6, (name, grid, worst)
