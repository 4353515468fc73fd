"""What the cls token attends to (`attention.safetensors`): shrunken models and the real `vits14-focus`.

    python attention.py <vit_s_focus.onnx>

Names, all F32:
    <model>.<h>x<w>.block<i>    [2, heads, 1 + R + h*w]   both images of a batch of backbone.py's pixels: softmax of the
                                cls token's scores over cls, registers and patches; i = 2 at every grid, and 0 at 4x6
    focus.<photo>.block<i>      [6, 12]                   weights of the patches <photo>.tokens of focus.safetensors,
                                for i = 11 and 5
    focus.<photo>.block<i>.cls  [6]                       weights of the cls token itself
with model in plain, reg, swiglu, v1, (h, w) as in backbone.py and photo in astronaut, chelsea as real.py prepares them.

All in f64 from the weights that backbone.py and real.py use. The script stops unless transformers' eager attention of
the real weights agrees, and unless each usual mistake moves the numbers by more than five of the tests' gates.
"""

import pathlib
import sys

import numpy as np
import onnx
import torch
from safetensors.numpy import load_file, save_file

import backbone
import hf
import real
import vit

HERE = pathlib.Path(__file__).parent
GATE = 1e-4


def shrunken() -> dict[str, torch.Tensor]:
    out, moved = {}, {}
    for name, (w, rules) in backbone.MODELS.items():
        for grid in backbone.GRIDS:
            stages = backbone.run(w, rules, grid, batch=2)
            for block in (0, 2) if grid == (4, 6) else (2,):
                weights = stages[f"block{block}.weights"]
                out[f"{name}.{grid[0]}x{grid[1]}.block{block}"] = weights[:, :, 0]
                skip = 1 + w["register_tokens"].shape[1] if "register_tokens" in w else 1
                rows = weights[:, :, 0, skip:]
                for mistake, wrong in {
                    "softmax over patches alone": rows / rows.sum(-1, keepdim=True),
                    "what patches give to cls": weights[:, :, skip:, 0],
                    "heads the other way round": rows.flip(1),
                }.items():
                    distance = (wrong - rows).abs().max().item()
                    moved[mistake] = min(moved.get(mistake, 1.0), distance)
    for mistake, distance in moved.items():
        print(f"  {mistake:28} moves them by {distance:.1e} at least")
        assert distance > 5 * GATE, mistake
    return out


def focus(path: str) -> dict[str, torch.Tensor]:
    w = real.weights(onnx.load_model_from_string(pathlib.Path(path).read_bytes()).graph)
    model = hf.model(w, real.RULES)
    model.set_attn_implementation("eager")
    known = load_file(HERE / "focus.safetensors")
    out = {}
    for photo in ("astronaut", "chelsea"):
        x, _ = real.prepare(photo)
        with torch.no_grad():
            ours = vit.forward(w, x, real.RULES)
            theirs = model(pixel_values=x, output_attentions=True).attentions
        tokens = torch.from_numpy(known[f"{photo}.tokens"].astype(np.int64))
        for block in (5, 11):
            row = ours[f"block{block}.weights"][0, :, 0]
            difference = (row - theirs[block][0, :, 0]).abs().max().item()
            print(f"  {photo} block{block}: {row.max():.3f} at most, transformers differs by {difference:.1e}")
            assert difference < 1e-9, (photo, block)
            out[f"focus.{photo}.block{block}"] = row[:, 1:][:, tokens]
            out[f"focus.{photo}.block{block}.cls"] = row[:, 0]
    return out


if __name__ == "__main__":
    tensors = shrunken() | focus(sys.argv[1])
    save_file({k: np.ascontiguousarray(v.float().numpy()) for k, v in tensors.items()}, HERE / "attention.safetensors")
    print(f"attention.safetensors: {sum(v.numel() for v in tensors.values())} numbers")
