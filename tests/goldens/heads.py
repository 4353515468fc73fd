"""Heads in plain PyTorch f64, written the long way (`heads.safetensors`).

Seeded tokens of two blocks (D = 12) over a grid of 4 x 6 patches of 14 pixels, of a photo of 151 x 101 that was resized
to 80 x 53 and padded by 2 columns at the left and 1 row at the top. Names:
    patch.{0,1}      F32 [24, 12]     cls.{0,1}  F32 [1, 12]
    W.{cls|nocls|all|squares|coarse}.{K}.{hidden}, b..., and for hidden 8 also W2, b2, all F32
    scores.*         F64 [24, K]      K numbers a patch: concat [patch_0, cls_0, patch_1, cls_1], then the layers;
                     in "all" the mean and the deviation of a block's patch tokens follow its cls token; in "squares" each
                     patch token is followed by the means of the 3 x 3 and 5 x 5 patches around it (those that there
                     are), then by the mean of all; in "coarse" by the mean of 3 x 3, then by the token of a coarser look
                     at the same place, cpatch.{0,1} F32 [8, 12] over 2 x 4, interpolated
    depth.{spacing}.{cls}.{hidden}.up{u}   F64 [17, 31], metres, and deviation...: the paper's head the naive way,
                     features upsampled before the convolution (bilinear, align_corners=False), relu + 0.1, normalised,
                     expected centre of 7 bins from 0.5 to 10 m; then grid_sample to the photo's pixels
    labels.{cls}     F64 [17, 31]     argmax of 5 classes' scores, sampled at the photo's pixels; margin: best minus second

Of maps every sixth row and fifth column is kept.

The script also computes the cheap form (convolve first, the cls half as a bias) and stops if the two differ by 1e-12.
"""

import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
ROWS, COLS, D, P = 4, 6, 12, 14
PHOTO, RESIZED, PAD = (151, 101), (80, 53), (2, 1)
BINS, CLASSES = 7, 5
COARSE = (2, 4)


def to_photo(grid):
    """[K, h, w] over the padded input to [K, H, W] of the photo."""
    xs = (torch.arange(PHOTO[0], dtype=torch.float64) + 0.5) * RESIZED[0] / PHOTO[0] + PAD[0]
    ys = (torch.arange(PHOTO[1], dtype=torch.float64) + 0.5) * RESIZED[1] / PHOTO[1] + PAD[1]
    x = xs / (COLS * P) * 2 - 1
    y = ys / (ROWS * P) * 2 - 1
    place = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None]
    return F.grid_sample(grid[None], place, mode="bilinear", padding_mode="border", align_corners=False)[0]


def squares(tokens, side):
    """Of each patch of [N, D] the mean of the patches at most side // 2 rows and columns away."""
    row, col = torch.arange(ROWS * COLS) // COLS, torch.arange(ROWS * COLS) % COLS
    near = ((row[:, None] - row).abs() <= side // 2) & ((col[:, None] - col).abs() <= side // 2)
    return torch.stack([tokens[these].mean(0) for these in near])


def centres(spacing):
    t = torch.arange(BINS, dtype=torch.float64) / (BINS - 1)
    return 0.5 + 9.5 * t if spacing == "linear" else 0.5 * 20.0**t


def main():
    rng = np.random.default_rng(21)
    out = {}

    def stored(name, *shape, scale=1.0, shift=0.0):
        out[name] = (rng.normal(size=shape) * scale + shift).astype(np.float32)
        return torch.from_numpy(out[name]).double()

    patch = [stored(f"patch.{i}", ROWS * COLS, D) for i in range(2)]
    cls = [stored(f"cls.{i}", 1, D) for i in range(2)]
    for name in ("cls", "nocls", "all", "squares", "coarse"):
        parts = []
        looks = [stored(f"cpatch.{i}", COARSE[0] * COARSE[1], D) for i in range(2)] if name == "coarse" else [None] * 2
        for p, c, look in zip(patch, cls, looks):
            mean, deviation = p.mean(0, keepdim=True), p.std(0, correction=0, keepdim=True)
            whole = {"cls": [c], "nocls": [], "all": [c, mean, deviation], "squares": [mean], "coarse": []}
            around = [squares(p, side) for side in {"squares": (3, 5), "coarse": (3,)}.get(name, ())]
            if look is not None:
                look = look.T.reshape(1, D, *COARSE)
                around.append(F.interpolate(look, (ROWS, COLS), mode="bilinear", align_corners=False)[0].reshape(D, -1).T)
            parts += [p] + around + [token.expand(ROWS * COLS, D) for token in whole[name]]
        x = torch.cat(parts, dim=1)  # [N, inputs]
        for k, hidden in ((BINS, 0), (BINS, 8), (CLASSES, 0)):
            key = f"{name}.{k}.{hidden}"
            first = hidden or k
            W = stored(f"W.{key}", first, x.shape[1], scale=0.4)
            b = stored(f"b.{key}", first, shift=0.3)
            W2 = stored(f"W2.{key}", k, hidden, scale=0.6) if hidden else None
            b2 = stored(f"b2.{key}", k, shift=0.3) if hidden else None

            def head(features):  # [..., inputs] -> [..., k]
                y = features @ W.T + b
                return torch.relu(y) @ W2.T + b2 if hidden else y

            scores = head(x)
            out[f"scores.{key}"] = scores.numpy()
            grid = scores.T.reshape(k, ROWS, COLS)
            if k == CLASSES:
                photo = to_photo(grid)
                top = photo.topk(2, dim=0)
                out[f"labels.{name}"] = top.indices[0].double().numpy()
                out[f"margin.{name}"] = (top.values[0] - top.values[1]).numpy()
                continue
            for spacing in ("linear", "log"):
                for up in (1, 4):
                    fine = F.interpolate(grid[None], scale_factor=up, mode="bilinear", align_corners=False)[0]
                    if not hidden:
                        features = x.T.reshape(1, -1, ROWS, COLS)
                        features = F.interpolate(features, scale_factor=up, mode="bilinear", align_corners=False)[0]
                        naive = head(features.permute(1, 2, 0)).permute(2, 0, 1)
                        assert (naive - fine).abs().max() < 1e-12
                        fine = naive
                    p = torch.relu(fine) + 0.1
                    p = p / p.sum(dim=0)
                    c = centres(spacing)[:, None, None]
                    depth = (p * c).sum(dim=0)
                    deviation = ((p * c**2).sum(dim=0) - depth**2).clamp(min=0).sqrt()
                    both = to_photo(torch.stack([depth, deviation]))
                    out[f"depth.{spacing}.{name}.{hidden}.up{up}"] = both[0].numpy()
                    out[f"deviation.{spacing}.{name}.{hidden}.up{up}"] = both[1].numpy()
    # A part of the maps is enough.
    for name in out:
        if out[name].shape == (PHOTO[1], PHOTO[0]):
            out[name] = np.ascontiguousarray(out[name][::6, ::5])
    save_file(out, HERE / "heads.safetensors")


main()
