"""Meta's published DINOv2 heads and their protocols in plain PyTorch, for goldens only.

Written from their description, the long way: features are concatenated and upsampled before the convolution,
batch norm is not folded, every crop's logits are upsampled before they are summed. Everything runs in the dtype of the
pixels. The published heads' own key names are used; `w` is always a dict of tensors.

Every default of `Ways` is what the published code does. The other values are usual mistakes, which `official.py` makes
on purpose to show that its goldens would catch them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import vit

RANGES = {"nyu": 10.0, "kitti": 80.0}
MIN_DEPTH = 0.001
MS_SIDES = [int(640 * ratio) for ratio in (1.0, 1.32, 1.73, 2.28, 3.0)]


@dataclass(frozen=True)
class Ways:
    # all dense heads
    pad: str = "centre"  # or "end": all of it at the right and the bottom
    fit: str = "squeeze"  # to the unpadded size; or "crop"
    # depth
    nyu_max: float = 10.0
    depth_norm: bool = False
    cls_first: bool = False
    relu_early: bool = False
    floor: float = 0.1
    upsample: int = 4
    clamp: bool = True
    flip_padded: bool = False  # mirror what was padded, not the photo
    # DPT
    readout_gelu: str = "none"
    fusion_align: bool = True
    head_align: bool = True
    skip_relu: bool = False  # a residual unit adds relu(x), not x
    add_min: bool = True
    # segmentation
    bn_eps: float = 1e-5
    seg_norm: bool = True
    linear_stride: int = 341
    resize: str = "cv2"  # or "rounded" bilinear, "float" (not rounded), "antialiased"
    average: str = "probabilities"  # or "logits"
    flips: bool = True
    # classification
    mean_first: bool = False
    newest_first: bool = False
    mean_registers: bool = False
    half_up: bool = False  # the crop's corner: 58.5 -> 59
    crop_antialias: bool = True


def normalise(photo: np.ndarray, dtype) -> torch.Tensor:
    """u8 or f64 RGB [H, W, 3] -> [1, 3, H, W]."""
    mean = np.array([123.675, 116.28, 103.53])
    std = np.array([58.395, 57.12, 57.375])
    return torch.from_numpy((photo.astype(np.float64) - mean) / std).permute(2, 0, 1)[None].to(dtype)


def padding(size: int, ways: Ways) -> tuple[int, int]:
    pad = -size % 14
    return (0, pad) if ways.pad == "end" else (pad // 2, pad - pad // 2)


def centre_pad(x, ways: Ways):
    """To multiples of 14, with zeros: the mean colour."""
    return F.pad(x, (*padding(x.shape[-1], ways), *padding(x.shape[-2], ways)))


def unpad(map, size, ways: Ways):
    """A map over the padded input to the unpadded (H, W): squeezed, as published, not cropped."""
    if ways.fit == "squeeze":
        return bilinear(map, size)
    map = bilinear(map, [side + -side % 14 for side in size])
    top, left = (padding(side, ways)[0] for side in size)
    return map[..., top : top + size[0], left : left + size[1]]


def bilinear(map, size, align_corners=False):
    return F.interpolate(map, size=tuple(size), mode="bilinear", align_corners=align_corners)


def bilinear_times(map, factor, align_corners=False):
    return bilinear(map, [factor * side for side in map.shape[-2:]], align_corners)


class Backbone:
    """An encoder that remembers what it saw: the cases share photos."""

    def __init__(self, w: dict, rules: vit.Rules):
        self.w, self.rules, self.seen = w, rules, {}
        self.depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))

    def tokens(self, pixels):
        """The residual stream after each block, [1, 1 + R + h*w, D]."""
        key = (pixels.dtype, pixels.shape, hash(pixels.numpy().tobytes()))
        if key not in self.seen:
            with torch.no_grad():
                out = vit.forward(self.w, pixels, self.rules)
            self.seen[key] = [out[f"block{i}"] for i in range(self.depth)]
        return self.seen[key]

    def features(self, pixels, layers, norm: bool):
        """Per layer, in ascending order: the patches [1, h*w, D], the class token [1, D]."""
        registers = self.w["register_tokens"].shape[1] if "register_tokens" in self.w else 0
        out = []
        for layer in layers:
            x = self.tokens(pixels)[layer]
            if norm:  # the final norm, whatever the layer
                gain, shift = self.w["norm.weight"].to(x.dtype), self.w["norm.bias"].to(x.dtype)
                x = F.layer_norm(x, x.shape[-1:], gain, shift, self.rules.eps)
            out.append((x[:, 1 + registers :], x[:, 0], x[:, 1:]))
        return out


def to_map(patches, pixels):
    return patches.transpose(1, 2).reshape(1, -1, pixels.shape[-2] // 14, pixels.shape[-1] // 14)


def conv(x, w, name, **options):
    bias = w.get(f"{name}.bias")
    return F.conv2d(x, w[f"{name}.weight"].to(x.dtype), None if bias is None else bias.to(x.dtype), **options)


# --- depth ---


def linear_depth(w, features, pixels, max_depth, ways: Ways):
    """Metres at 4 x the grid: the expected centre of 256 bins."""
    maps = []
    for patches, cls, _ in features:
        patches = to_map(patches, pixels)
        pair = [patches, cls[:, :, None, None].expand_as(patches)]
        maps.append(torch.cat(pair[::-1] if ways.cls_first else pair, dim=1))
    if ways.relu_early:
        scores = bilinear_times(torch.relu(conv(torch.cat(maps, dim=1), w, "decode_head.conv_depth")), ways.upsample)
    else:
        scores = conv(torch.cat([bilinear_times(x, ways.upsample) for x in maps], dim=1), w, "decode_head.conv_depth")
    p = torch.relu(scores) + ways.floor
    p = p / p.sum(dim=1, keepdim=True)
    centres = torch.linspace(MIN_DEPTH, max_depth, 256, dtype=torch.float64).to(p.dtype)
    return (p * centres[:, None, None]).sum(dim=1, keepdim=True)


def dpt_depth(w, features, pixels, ways: Ways):
    """Metres at 32 x half the grid, rounded up."""
    head = "decode_head"
    block = f"{head}.reassemble_blocks"

    def param(name):
        return w[name].to(pixels.dtype)

    maps = []
    for i, (patches, cls, _) in enumerate(features):
        x = torch.cat([patches, cls[:, None].expand_as(patches)], dim=2)
        if ways.cls_first:
            x = torch.cat([cls[:, None].expand_as(patches), patches], dim=2)
        x = x @ param(f"{block}.readout_projects.{i}.0.weight").T + param(f"{block}.readout_projects.{i}.0.bias")
        x = to_map(F.gelu(x, approximate=ways.readout_gelu), pixels)
        x = conv(x, w, f"{block}.projects.{i}.conv")
        resize = f"{block}.resize_layers.{i}"
        if i < 2:
            x = F.conv_transpose2d(x, param(f"{resize}.weight"), param(f"{resize}.bias"), stride=4 if i == 0 else 2)
        elif i == 3:
            x = conv(x, w, resize, stride=2, padding=1)
        maps.append(conv(x, w, f"{head}.convs.{i}.conv", padding=1))

    def unit(x, name):
        y = conv(torch.relu(x), w, f"{name}.conv1.conv", padding=1)
        y = conv(torch.relu(y), w, f"{name}.conv2.conv", padding=1)
        return (torch.relu(x) if ways.skip_relu else x) + y

    x = None
    for i, skip in enumerate(reversed(maps)):
        fusion = f"{head}.fusion_blocks.{i}"
        if x is None:
            x = skip
        else:
            if skip.shape != x.shape:
                skip = bilinear(skip, x.shape[-2:])
            x = x + unit(skip, f"{fusion}.res_conv_unit1")
        x = bilinear_times(unit(x, f"{fusion}.res_conv_unit2"), 2, align_corners=ways.fusion_align)
        x = conv(x, w, f"{fusion}.project.conv")
    x = torch.relu(conv(x, w, f"{head}.project.conv", padding=1))
    x = conv(x, w, f"{head}.conv_depth.head.0", padding=1)
    x = bilinear_times(x, 2, align_corners=ways.head_align)
    x = torch.relu(conv(x, w, f"{head}.conv_depth.head.2", padding=1))
    x = torch.relu(conv(x, w, f"{head}.conv_depth.head.4"))
    return x + MIN_DEPTH if ways.add_min else x


def depth(backbone, w, photo, dataset, layers, dtype, ways: Ways, flip=False):
    """The head's own map, not clamped, and the metres at the photo's size, [H, W] both."""
    max_depth = ways.nyu_max if dataset == "nyu" else RANGES[dataset]
    size = photo.shape[:2]

    def once(padded):
        features = backbone.features(padded, layers, ways.depth_norm)
        if "decode_head.conv_depth.weight" in w:
            raw = linear_depth(w, features, padded, max_depth, ways)
        else:
            raw = dpt_depth(w, features, padded, ways)
        return raw[0, 0], unpad(raw.clamp(MIN_DEPTH, max_depth) if ways.clamp else raw, size, ways)[0, 0]

    x = normalise(photo, dtype)
    raw, metres = once(centre_pad(x, ways))
    if flip:
        mirrored = centre_pad(x, ways).flip(-1) if ways.flip_padded else centre_pad(x.flip(-1), ways)
        metres = (metres + once(mirrored)[1].flip(-1)) / 2
    return raw, metres


# --- segmentation ---


def seg_scores(backbone, w, x, layers, ways: Ways):
    """[1, classes, h, w] on the grid of the padded input."""
    padded = centre_pad(x, ways)
    features = torch.cat([to_map(f[0], padded) for f in backbone.features(padded, layers, ways.seg_norm)], dim=1)

    def column(kind):
        return w[f"decode_head.bn.{kind}"].to(x.dtype)[:, None, None]

    features = (features - column("running_mean")) / (column("running_var") + ways.bn_eps).sqrt()
    return conv(features * column("weight") + column("bias"), w, "decode_head.conv_seg")


def resize_short(photo: np.ndarray, short: int, ways: Ways) -> np.ndarray:
    """mmcv's rule for the size; cv2 on the u8 picture."""
    height, width = photo.shape[:2]
    scale = min(99999999 / max(height, width), short / min(height, width))
    size = int(height * scale + 0.5), int(width * scale + 0.5)
    if ways.resize != "cv2":
        planes = torch.from_numpy(photo.astype(np.float64)).permute(2, 0, 1)[None]
        antialias = ways.resize == "antialiased"
        planes = F.interpolate(planes, size=size, mode="bilinear", align_corners=False, antialias=antialias)
        planes = planes if ways.resize == "float" else (planes + 0.5).floor()
        return planes[0].permute(1, 2, 0).numpy()
    return cv2.resize(photo, size[::-1], interpolation=cv2.INTER_LINEAR)


def windows(size: int, crop: int, stride: int) -> list[tuple[int, int]]:
    out = []
    for i in range(max(size - crop + stride - 1, 0) // stride + 1):
        end = min(i * stride + crop, size)
        out.append((max(end - crop, 0), end))
    return out


class Blend:
    """Scores of overlapping crops, each upsampled to its crop, summed and divided by how many covered a pixel."""

    def __init__(self, backbone, w, x, layers, crop, stride, ways: Ways):
        self.size, self.ways = x.shape[-2:], ways
        self.axes = [windows(side, crop or side, stride) for side in self.size]
        self.grids = {}
        for y1, y2 in self.axes[0]:
            for x1, x2 in self.axes[1]:
                self.grids[y1, x1] = seg_scores(backbone, w, x[..., y1:y2, x1:x2], layers, ways)
        self.classes, self.dtype = self.grids[0, 0].shape[1], x.dtype

    def map(self, finish):
        """`finish` of the blended scores, a few classes at a time: all of them at 2194 x 1920 would take 5 GB."""
        out = []
        for first in range(0, self.classes, 32):
            total = torch.zeros(1, min(32, self.classes - first), *self.size, dtype=self.dtype)
            count = torch.zeros(self.size, dtype=self.dtype)
            for y1, y2 in self.axes[0]:
                for x1, x2 in self.axes[1]:
                    grid = self.grids[y1, x1][:, first : first + 32]
                    total[..., y1:y2, x1:x2] += unpad(grid, (y2 - y1, x2 - x1), self.ways)
                    count[y1:y2, x1:x2] += 1
            out.append(finish(total.div_(count)))
        return torch.cat(out, dim=1)[0]

    def resized(self, size):
        """map(bilinear to size), [classes, H, W]."""
        return self.map(lambda blended: bilinear(blended, size))

    def resized_by_matrices(self, size):
        """The same without the large maps: every step is linear and acts on rows and columns apart."""

        def along(axis):
            eye = torch.eye(self.size[axis], dtype=self.dtype)
            to_photo = bilinear(eye[None, :, :, None], (size[axis], 1))[0, :, :, 0].T
            count = torch.zeros(self.size[axis], dtype=self.dtype)
            for start, end in self.axes[axis]:
                count[start:end] += 1
            out = {}
            for start, end in self.axes[axis]:
                eye = torch.eye(self.grids[0, 0].shape[2 + axis], dtype=self.dtype)
                to_crop = unpad(eye[None, :, :, None], (end - start, 1), self.ways)[0, :, :, 0].T
                out[start] = (to_photo / count)[:, start:end] @ to_crop
            return out

        rows, columns = along(0), along(1)
        return sum(rows[y] @ grid[0] @ columns[x].T for (y, x), grid in self.grids.items())


def segment(backbone, w, photo, layers, protocol, dtype, ways: Ways, resized=Blend.resized):
    """Probabilities [classes, H, W] at the photo's size, and the blend of the last view."""
    size = photo.shape[:2]
    if protocol == "ms":
        views = []
        for short in MS_SIDES:
            shown = resize_short(photo, short, ways)
            for flip in (False, True) if ways.flips else (False,):
                x = normalise(shown[:, ::-1] if flip else shown, dtype)
                blend = Blend(backbone, w, x, layers, 640, 320, ways)
                scores = resized(blend, size)
                scores = scores.softmax(0) if ways.average == "probabilities" else scores
                views.append(scores.flip(-1) if flip else scores)
        mean = torch.stack(views).mean(0)
        return mean if ways.average == "probabilities" else mean.softmax(0), blend
    crop, stride = {"slide": (512, ways.linear_stride), "whole": (None, 1)}[protocol]
    blend = Blend(backbone, w, normalise(resize_short(photo, 512, ways), dtype), layers, crop, stride, ways)
    return resized(blend, size).softmax(0), blend


# --- classification ---


def classifier_crop(photo: np.ndarray, ways: Ways) -> np.ndarray:
    """Short side 256 (Pillow's bicubic, which antialiases), the middle 224 x 224. Python rounds half to even."""
    height, width = photo.shape[:2]
    short = min(height, width)
    size = [256 if side == short else int(256 * side / short) for side in (height, width)]
    if not ways.crop_antialias:
        planes = torch.from_numpy(photo.astype(np.float64)).permute(2, 0, 1)[None]
        planes = F.interpolate(planes, size=size, mode="bicubic", align_corners=False).clamp(0, 255)
        resized = (planes[0].permute(1, 2, 0) + 0.5).floor().numpy()
    else:
        resized = np.asarray(Image.fromarray(photo).resize(size[::-1], Image.BICUBIC))
    top, left = ((side - 224 + 1) // 2 if ways.half_up else round((side - 224) / 2) for side in size)
    return resized[top : top + 224, left : left + 224]


def class_logits(backbone, w, x, layers, ways: Ways):
    """1000 logits from the class tokens of the layers and the mean patch of the last."""
    features = backbone.features(x, layers, norm=True)
    parts = [cls[0] for _, cls, _ in features]
    parts = parts[::-1] if ways.newest_first else parts
    patches, _, with_registers = features[-1]
    mean = (with_registers if ways.mean_registers else patches)[0].mean(0)
    parts = [mean, *parts] if ways.mean_first else [*parts, mean]
    return torch.cat(parts) @ w["weight"].to(x.dtype).T + w["bias"].to(x.dtype)
