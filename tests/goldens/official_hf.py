"""transformers' DPTForDepthEstimation on seeded weights: goldens, and the independent check of `official_heads.py`.

The model is dpt-dinov2-small shrunken: D 48, 4 blocks, 2 heads, native grid 5x5 (image_size 70), every block tapped,
neck 6, 12, 24, 48. The 256 channels stay: transformers' head.projection is 256 -> 256 whatever fusion_hidden_size is.
The weights go through a file under the names that published files have, and through `from_pretrained`: transformers 5
calls some tensors otherwise in memory.
"""

import pathlib
import tempfile

import torch
import transformers
from safetensors.torch import save_file

import official_heads as heads
import official_weights as weights
import vit

DIM, DEPTH, SIDE = 48, 4, 5
SIZES = [(70, 70), (98, 70)]  # rows, columns: the native grid, and one whose position rows are interpolated

transformers.utils.logging.disable_progress_bar()

BACKBONE = {
    "cls_token": "embeddings.cls_token",
    "mask_token": "embeddings.mask_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
    "attn.proj": "attention.output.dense",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}


def published_name(key: str) -> str:
    """Original -> transformers, for all but attn.qkv."""
    if not key.startswith("decode_head."):
        stem, _, kind = key.rpartition(".")
        if key in BACKBONE:
            return f"backbone.{BACKBONE[key]}"
        if stem in BACKBONE:
            return f"backbone.{BACKBONE[stem]}.{kind}"
        _, block, part = key.split(".", 2)
        if part in BACKBONE:
            return f"backbone.encoder.layer.{block}.{BACKBONE[part]}"
        part = part.replace("attn.proj", BACKBONE["attn.proj"])
        return f"backbone.encoder.layer.{block}.{part}"
    parts = key.split(".")[1:]
    match parts:
        case ["reassemble_blocks", "readout_projects", *rest]:
            return ".".join(["neck.reassemble_stage.readout_projects", *rest])
        case ["reassemble_blocks", "projects", i, "conv", kind]:
            return f"neck.reassemble_stage.layers.{i}.projection.{kind}"
        case ["reassemble_blocks", "resize_layers", i, kind]:
            return f"neck.reassemble_stage.layers.{i}.resize.{kind}"
        case ["convs", i, "conv", kind]:
            return f"neck.convs.{i}.{kind}"
        case ["fusion_blocks", i, "project", "conv", kind]:
            return f"neck.fusion_stage.layers.{i}.projection.{kind}"
        case ["fusion_blocks", i, unit, conv, "conv", kind]:
            return f"neck.fusion_stage.layers.{i}.residual_layer{unit[-1]}.convolution{conv[-1]}.{kind}"
        case ["project", "conv", kind]:
            return f"head.projection.{kind}"
        case ["conv_depth", "head", i, kind]:
            return f"head.head.{i}.{kind}"
    raise ValueError(key)


def weights_of_both() -> tuple[dict, dict, dict]:
    """Seeded by the published names; the same under the original ones; the published shapes."""
    published, original = {}, {}
    shapes = weights.backbone(DIM, DEPTH, side=SIDE) | weights.dpt(DIM, 256)
    for key, shape in shapes.items():
        if ".attn.qkv." in key:
            block, kind = key.split(".")[1], key.rpartition(".")[2]
            rows = []
            for part in ("query", "key", "value"):
                name = f"backbone.encoder.layer.{block}.attention.attention.{part}.{kind}"
                published[name] = weights.seeded(name, (DIM, *shape[1:]))
                rows.append(published[name])
            original[key] = torch.cat(rows)
        else:
            name = published_name(key)
            original[key] = published[name] = weights.seeded(name, shape)
    # In published files, though nothing reads it: the first fusion has no skip.
    for i in (1, 2):
        name = f"neck.fusion_stage.layers.0.residual_layer1.convolution{i}.weight"
        published[name] = weights.seeded(name, (256, 256, 3, 3))
    return published, original, {name: list(value.shape) for name, value in published.items()}


def loaded(kind, config, published: dict):
    """A model of transformers that reads `published` from a file, as it would a downloaded one."""
    with tempfile.TemporaryDirectory() as folder:
        config.architectures = [kind.__name__]
        config.save_pretrained(folder)
        save_file(published, pathlib.Path(folder) / "model.safetensors", metadata={"format": "pt"})
        hf, info = kind.from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
    assert not any(info.values()), info  # no name missing, none unknown
    return hf.eval()


def model(published: dict):
    backbone = transformers.Dinov2Config(
        hidden_size=DIM,
        num_hidden_layers=DEPTH,
        num_attention_heads=2,
        image_size=14 * SIDE,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        apply_layernorm=False,
        reshape_hidden_states=False,
    )
    config = transformers.DPTConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[DIM // 8, DIM // 4, DIM // 2, DIM],
        use_bias_in_fusion_residual=False,
        add_projection=True,
    )
    return loaded(transformers.DPTForDepthEstimation, config, published)


def goldens():
    published, original, shapes = weights_of_both()
    hf = model(published)
    ours = heads.Backbone({k: v for k, v in original.items() if "decode_head" not in k}, vit.Rules(2, 14, "hf"))
    out = {}
    for rows, columns in SIZES:
        x = heads.normalise(weights.photo(columns, rows), torch.float64)
        with torch.no_grad():
            theirs = hf(pixel_values=x).predicted_depth[0]
        features = ours.features(x, range(DEPTH), norm=False)
        # transformers adds no least depth and does not clamp.
        mine = heads.dpt_depth(original, features, x, heads.Ways(add_min=False))[0, 0]
        apart = (mine - theirs).abs().max().item()
        print(f"hf.dpt.{rows}x{columns} {list(theirs.shape)}: {theirs.min():.3f} .. {theirs.max():.3f}")
        print(f"    official_heads.py - transformers: {apart:.1e}")
        assert apart < 1e-9
        out[f"hf.dpt.{rows}x{columns}.predicted_depth"] = theirs
    single = hf.float()
    for rows, columns in SIZES:
        x = heads.normalise(weights.photo(columns, rows), torch.float32)
        with torch.no_grad():
            theirs = single(pixel_values=x).predicted_depth[0]
        distance = (theirs - out[f"hf.dpt.{rows}x{columns}.predicted_depth"]).abs().max().item()
        print(f"    f32 moves {rows}x{columns} by {distance:.1e}")
    return out, shapes


def check_classifier():
    """transformers' Dinov2ForImageClassification and ours, shrunken, on its native grid of 37 x 37."""
    shapes = weights.backbone(32, 4)
    w = weights.filled(shapes)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=518, patch_size=14, num_labels=1000
    )
    head = weights.filled(weights.classifier(32, 1))
    state = {"classifier.weight": head["weight"], "classifier.bias": head["bias"]}
    for key, value in w.items():
        if ".attn.qkv." in key:
            block, kind = key.split(".")[1], key.rpartition(".")[2]
            for part, rows in zip(("query", "key", "value"), value.chunk(3)):
                state[f"dinov2.encoder.layer.{block}.attention.attention.{part}.{kind}"] = rows.contiguous()
        else:
            state[published_name(key).replace("backbone.", "dinov2.", 1)] = value
    hf = loaded(transformers.Dinov2ForImageClassification, config, state)
    x = heads.normalise(weights.photo(518, 518), torch.float64)
    with torch.no_grad():
        theirs = hf(pixel_values=x).logits[0]
    ours = heads.class_logits(heads.Backbone(w, vit.Rules(2, 14)), head, x, (3,), heads.Ways())
    print(f"classifier: official_heads.py - transformers: {(ours - theirs).abs().max():.1e}")
    assert (ours - theirs).abs().max() < 1e-9
