"""transformers' DepthAnythingForDepthEstimation on seeded weights, from the photo to its pixels (`depth_anything.safetensors`).

The model is Depth-Anything-V2-Small shrunken: D 48, 4 blocks, 2 heads, native grid 5x5 (image_size 70), every block
tapped, neck 6, 12, 24, 48, fusion 16. Weights and photos are the formulas of `official_weights.py`, under the names of
the published files, which go through a file and `from_pretrained`. Photos go through transformers' own processor
(Pillow's bicubic) with the published configuration, and back to their size by its `post_process_depth_estimation`. The
model runs in f64. Metadata, as JSON under `facts`: the model's sizes, and names and shapes of its tensors.

    {relative|metric}.{width}x{height}         F32 [H/3, W/3] at the photo's size, [::3, ::3]; of the largest photo [::7, ::7]
    {relative|metric}.{width}x{height}.extent  F32 [2], least and largest of the model's own map
    {relative|metric}.{width}x{height}.raw     F32 the model's own map, [::7, ::7]

The metric model has a greatest depth of 20 m. transformers' cubic way back overshoots the model's own extent, which the
program does not. The script stops unless each usual mistake moves some numbers by five gates.
"""

import json
import pathlib
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

import official_weights as weights

HERE = pathlib.Path(__file__).parent
DIM, DEPTH, HEADS, SIDE = 48, 4, 2, 5
NECK, FUSION, LAST = [6, 12, 24, 48], 16, 32
GATE = 2e-4  # of the largest number of a map
# Width and height: seen as it is, made larger (by its long side), made smaller (by its short side).
PHOTOS = {(532, 518): 7, (151, 101): 3, (700, 600): 7}

transformers.utils.logging.disable_progress_bar()

PROCESSOR = DPTImageProcessorPil(
    do_resize=True,
    size={"height": 518, "width": 518},
    keep_aspect_ratio=True,
    ensure_multiple_of=14,
    resample=Image.Resampling.BICUBIC,
    do_rescale=True,
    do_normalize=True,
    image_mean=[0.485, 0.456, 0.406],
    image_std=[0.229, 0.224, 0.225],
    do_pad=False,
)


def configuration(kind: str, norm=True) -> transformers.DepthAnythingConfig:
    backbone = transformers.Dinov2Config(
        hidden_size=DIM,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        image_size=14 * SIDE,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        apply_layernorm=norm,
        reshape_hidden_states=False,
    )
    return transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=DIM,
        neck_hidden_sizes=NECK,
        fusion_hidden_size=FUSION,
        head_hidden_size=LAST,
        depth_estimation_type=kind,
        max_depth=20 if kind == "metric" else 1,
    )


def published() -> dict[str, torch.Tensor]:
    """By the names that files on the hub have, which transformers 5 renames on loading."""
    shapes = {
        "backbone.embeddings.cls_token": (1, 1, DIM),
        "backbone.embeddings.mask_token": (1, DIM),
        "backbone.embeddings.position_embeddings": (1, 1 + SIDE * SIDE, DIM),
    }

    def layer(name, *shape, bias=True):
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = (shape[0],)

    layer("backbone.embeddings.patch_embeddings.projection", DIM, 3, 14, 14)
    layer("backbone.layernorm", DIM)
    for i in range(DEPTH):
        block = f"backbone.encoder.layer.{i}"
        layer(f"{block}.norm1", DIM)
        layer(f"{block}.norm2", DIM)
        for part in ("query", "key", "value"):
            layer(f"{block}.attention.attention.{part}", DIM, DIM)
        layer(f"{block}.attention.output.dense", DIM, DIM)
        layer(f"{block}.mlp.fc1", 4 * DIM, DIM)
        layer(f"{block}.mlp.fc2", DIM, 4 * DIM)
        shapes[f"{block}.layer_scale1.lambda1"] = shapes[f"{block}.layer_scale2.lambda1"] = (DIM,)
    for i, size in enumerate(NECK):
        stage = f"neck.reassemble_stage.layers.{i}"
        layer(f"{stage}.projection", size, DIM, 1, 1)
        if i != 2:
            side = {0: 4, 1: 2, 3: 3}[i]
            layer(f"{stage}.resize", size, size, side, side)
        layer(f"neck.convs.{i}", FUSION, size, 3, 3, bias=False)
        fusion = f"neck.fusion_stage.layers.{i}"
        layer(f"{fusion}.projection", FUSION, FUSION, 1, 1)
        for unit in (1, 2):
            for conv in (1, 2):
                layer(f"{fusion}.residual_layer{unit}.convolution{conv}", FUSION, FUSION, 3, 3)
    layer("head.conv1", FUSION // 2, FUSION, 3, 3)
    layer("head.conv2", LAST, FUSION // 2, 3, 3)
    layer("head.conv3", 1, LAST, 1, 1)
    return weights.filled(shapes)


def model(tensors: dict, kind: str, norm=True):
    with tempfile.TemporaryDirectory() as folder:
        config = configuration(kind, norm)
        config.architectures = ["DepthAnythingForDepthEstimation"]
        config.save_pretrained(folder)
        save_file(tensors, pathlib.Path(folder) / "model.safetensors", metadata={"format": "pt"})
        hf, info = transformers.DepthAnythingForDepthEstimation.from_pretrained(
            folder, dtype=torch.float64, output_loading_info=True
        )
    assert not any(info.values()), info  # no name missing, none unknown
    return hf.eval()


def predict(hf, size: tuple[int, int], back=None):
    """The model's own map, and the map at the photo's size."""
    photo = weights.photo(*size)
    pixels = torch.from_numpy(np.asarray(PROCESSOR(photo)["pixel_values"][0])).double()[None]
    with torch.no_grad():
        outputs = hf(pixel_values=pixels)
    own = outputs.predicted_depth[0]
    if back is not None:
        return own, back(own[None, None], (size[1], size[0]))[0, 0]
    (whole,) = PROCESSOR.post_process_depth_estimation(outputs, [(size[1], size[0])])
    return own, whole["predicted_depth"]


def mistakes(tensors: dict):
    """Usual ones, by name: the map of the photo that is made larger."""
    size = (151, 101)
    yield "no final norm", predict(model(tensors, "relative", norm=False), size)[1]
    bilinear = lambda own, to: F.interpolate(own, to, mode="bilinear", align_corners=True)
    yield "bilinear way back", predict(model(tensors, "relative"), size, bilinear)[1]
    real = F.interpolate

    def unaligned(*args, **options):
        if options.get("mode") == "bilinear":
            options["align_corners"] = False
        return real(*args, **options)

    F.interpolate = torch.nn.functional.interpolate = unaligned
    try:
        yield "half-pixel upsampling", predict(model(tensors, "relative"), size)[1]
    finally:
        F.interpolate = torch.nn.functional.interpolate = real
    crossed = dict(tensors)
    for kind in ("weight", "bias"):
        a, b = (f"neck.fusion_stage.layers.{i}.projection.{kind}" for i in (1, 2))
        crossed[a], crossed[b] = tensors[b], tensors[a]
    yield "fusions the other way round", predict(model(crossed, "relative"), size)[1]


def main():
    torch.set_num_threads(2)
    tensors = published()
    out = {}
    for kind in ("relative", "metric"):
        hf = model(tensors, kind)
        for (width, height), every in PHOTOS.items():
            own, whole = predict(hf, (width, height))
            assert whole.shape == (height, width)
            name = f"{kind}.{width}x{height}"
            out[name] = whole[::every, ::every]
            out[f"{name}.extent"] = torch.stack([own.min(), own.max()])
            out[f"{name}.raw"] = own[::7, ::7]
            beyond = ((whole < own.min()) | (whole > own.max())).double().mean().item()
            print(f"{name}: {list(own.shape)}, {own.min():.4f} .. {own.max():.4f}, beyond {100 * beyond:.2f} %")
            if (width, height) == (151, 101):
                single = hf.float()
                with torch.no_grad():
                    pixels = np.asarray(PROCESSOR(weights.photo(width, height))["pixel_values"][0])
                    f32 = single(pixel_values=torch.from_numpy(pixels)[None]).predicted_depth[0]
                print(f"    f32 moves it by {((f32 - own).abs().max() / own.max()).item():.1e} of the largest")
                hf = hf.double()
    right = predict(model(tensors, "relative"), (151, 101))[1]
    for mistake, wrong in mistakes(tensors):
        moved = ((wrong - right).abs().max() / right.max()).item()
        print(f"    {mistake}: {moved:.1e}")
        assert moved > 5 * GATE, mistake
    facts = {
        "dim": DIM,
        "depth": DEPTH,
        "heads": HEADS,
        "side": SIDE,
        "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    out = {name: tensor.float().contiguous() for name, tensor in out.items()}
    save_file(out, HERE / "depth_anything.safetensors", metadata={"facts": json.dumps(facts)})


if __name__ == "__main__":
    main()
