"""Features of the real `vits14-focus` weights on two sample photographs (`focus.safetensors`).

    python real.py <vit_s_focus.onnx>

Names (F32 unless said), with photo in `astronaut`, `chelsea` and layer in `block2`, `block5`, `block8`, `block11`
(un-normalised) and `norm` (the final norm of block11):
    channels                    U32 [16]      the channels that are stored
    <photo>.size                U32 [2]       padded height, width in pixels
    <photo>.pad                 U32 [4]       left, right, top, bottom of the CenterPadding
    <photo>.tokens              U32 [12]      stored patch tokens, row-major indices without the cls token
    <photo>.<layer>             [12, 16]      patch tokens x channels
    <photo>.<layer>.cls         [16]          the cls token's channels
    <photo>.<layer>.mean_std    [2]           over all patch tokens and all 384 channels; population std
    <photo>.<layer>.channel_mean [16]         over all patch tokens
Metadata: `onnx_sha256`.

Input: samples/<photo>.png at its own size, (u8/255 - mean) / std, zero padded to multiples of 14 (left = pad / 2,
rounded down): astronaut 512x512 -> 518x518, the native grid 37x37; chelsea 451x300 -> 462x308, grid 33 wide, 22 high.
The position embedding follows transformers' rule (size=, no antialias, no offset).

The numbers are transformers' in f64. The script stops unless `vit.py` in f64 and onnxruntime in f32, on the package's
own graph with its blocks exposed, agree with them.
"""

import hashlib
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from PIL import Image
from safetensors.numpy import save_file

import hf
import vit

HERE = pathlib.Path(__file__).parent
SAMPLES = HERE.parent.parent / "samples"
RULES = vit.Rules(heads=6, patch=14, pos_embed="hf")
BLOCKS = [2, 5, 8, 11]
LAYERS = [f"block{i}" for i in BLOCKS] + ["norm"]


def weights(graph: onnx.GraphProto) -> dict[str, torch.Tensor]:
    """The backbone's initializers under the original DINOv2 names."""
    arrays = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    # An exported Linear is MatMul(x, W^T) + bias: the bias has its name, the matrix is found through the MatMul.
    matrix_of = {}
    products = {n.output[0]: n.input[1] for n in graph.node if n.op_type == "MatMul"}
    for node in graph.node:
        if node.op_type == "Add":
            for bias, product in (node.input, reversed(node.input)):
                if bias in arrays and products.get(product) in arrays:
                    matrix_of[bias] = arrays[products[product]].T.contiguous()

    def get(name):
        return arrays[f"backbone.{name}"]

    def linear(ours, theirs):
        parts = [f"backbone.{part}.bias" for part in theirs]
        w[f"{ours}.weight"] = torch.cat([matrix_of[bias] for bias in parts])
        w[f"{ours}.bias"] = torch.cat([arrays[bias] for bias in parts])

    w = {"cls_token": get("embeddings.cls_token")}
    w["pos_embed"] = torch.cat([arrays["onnx::Concat_1957"], arrays["onnx::Reshape_1962"]], dim=1)
    for kind in ("weight", "bias"):
        w[f"patch_embed.proj.{kind}"] = get(f"embeddings.patch_embeddings.projection.{kind}")
        w[f"norm.{kind}"] = get(f"layernorm.{kind}")
    for i in range(12):
        ours, theirs = f"blocks.{i}", f"encoder.layer.{i}"
        for norm in ("norm1", "norm2"):
            for kind in ("weight", "bias"):
                w[f"{ours}.{norm}.{kind}"] = get(f"{theirs}.{norm}.{kind}")
        linear(f"{ours}.attn.qkv", [f"{theirs}.attention.attention.{p}" for p in ("query", "key", "value")])
        linear(f"{ours}.attn.proj", [f"{theirs}.attention.output.dense"])
        linear(f"{ours}.mlp.fc1", [f"{theirs}.mlp.fc1"])
        linear(f"{ours}.mlp.fc2", [f"{theirs}.mlp.fc2"])
        w[f"{ours}.ls1.gamma"] = get(f"{theirs}.layer_scale1.lambda1")
        w[f"{ours}.ls2.gamma"] = get(f"{theirs}.layer_scale2.lambda1")
    return w


def onnx_session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """The package's graph, for any image size, with the blocks' outputs and the final norm exposed."""
    for dim, name in zip(proto.graph.input[0].type.tensor_type.shape.dim, ("batch", "c", "height", "width")):
        dim.dim_param = name
    (norm,) = [n.output[0] for n in proto.graph.node if "backbone.layernorm.bias" in n.input]
    tensors = [f"/backbone/encoder/layer.{i}/Add_1_output_0" for i in BLOCKS] + [norm]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    session.layers = dict(zip(LAYERS, tensors))
    return session


def prepare(photo: str):
    """The padded, normalised photo [1, 3, H, W] in f64, and (left, right, top, bottom)."""
    rgb = np.asarray(Image.open(SAMPLES / f"{photo}.png").convert("RGB"), dtype=np.float64)
    x = (rgb / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    height, width = x.shape[:2]
    rows, columns = -height % RULES.patch, -width % RULES.patch
    pad = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    x = torch.from_numpy(x).permute(2, 0, 1)[None]
    return torch.nn.functional.pad(x, pad), pad


def main(path: str):
    data = pathlib.Path(path).read_bytes()
    proto = onnx.load_model_from_string(data)
    w = weights(proto.graph)
    model, session = hf.model(w, RULES), onnx_session(proto)
    channels = np.linspace(0, 383, 16).round().astype(np.uint32)
    out = {"channels": channels}
    for photo in ("astronaut", "chelsea"):
        x, pad = prepare(photo)
        with torch.no_grad():
            theirs, ours = hf.forward(model, x), vit.forward(w, x, RULES)
        onnx_out = session.run(list(session.layers.values()), {"input_image": x.float().numpy()})
        onnx_out = {layer: torch.from_numpy(value) for layer, value in zip(session.layers, onnx_out)}

        count = theirs["norm"].shape[1] - 1
        tokens = np.linspace(0, count - 1, 12).round().astype(np.uint32)
        # Off the regular lattice, so that the tokens do not all lie in a few columns.
        tokens[1:-1] += np.arange(10, dtype=np.uint32) * 5 % 11
        out[f"{photo}.size"] = np.array(x.shape[-2:], dtype=np.uint32)
        out[f"{photo}.pad"] = np.array(pad, dtype=np.uint32)
        out[f"{photo}.tokens"] = tokens
        print(f"{photo}: {x.shape[-1]}x{x.shape[-2]}, pad {pad}, tokens {tokens.tolist()}")
        for layer in LAYERS:
            plain = (ours[layer] - theirs[layer]).abs().max().item()
            ort = (onnx_out[layer] - theirs[layer]).abs().max().item()
            spread = theirs[layer].abs().max().item()
            print(f"  {layer:8} max |x| {spread:7.2f}   vit.py {plain:.1e}   onnxruntime f32 {ort:.1e}")
            assert plain < 1e-6 and ort < 2e-4, (layer, plain, ort)
            cls, patches = theirs[layer][0, 0].numpy(), theirs[layer][0, 1:].numpy()
            out[f"{photo}.{layer}"] = patches[np.ix_(tokens, channels)]
            out[f"{photo}.{layer}.cls"] = cls[channels]
            out[f"{photo}.{layer}.mean_std"] = np.array([patches.mean(), patches.std()])
            out[f"{photo}.{layer}.channel_mean"] = patches.mean(axis=0)[channels]
    out = {k: np.ascontiguousarray(v if v.dtype == np.uint32 else v.astype(np.float32)) for k, v in out.items()}
    sha256 = hashlib.sha256(data).hexdigest()
    save_file(out, HERE / "focus.safetensors", {"onnx_sha256": sha256})
    print(f"focus.safetensors: {sum(v.size for v in out.values())} numbers")


if __name__ == "__main__":
    main(sys.argv[1])
