#!/usr/bin/env python3
"""What PyTorch makes of the backbones that `dino bench` measures: the same shapes, random weights, bf16.

Prints one JSON line a measurement, the most important ones first, so that a run that is cut short still says the most.
The network is DINOv2's as its authors published it: a convolution into patches, a cls token, position embeddings
(interpolated outside the timing), blocks with LayerScale, exact GELU, a fused qkv and PyTorch's own attention.

Modes:
  eager            images are on the device already, as bf16
  eager-f32        images are on the device as f32 and become bf16 within the timing
  eager-host       images are in the host's memory as f32, and their way to the device is timed, as `dino bench` does
  eager-cudnn      as eager, with cuDNN's attention if it is there
  compile          as eager, every block through torch.compile
  max-autotune     likewise, in mode max-autotune-no-cudagraphs
"""

import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

# Dense bf16 peak of an H100 or H200 SXM, in TFLOP/s.
PEAK = 989.4
# Width, blocks, heads.
SHAPES = {"vits14": (384, 12, 6), "vitb14": (768, 12, 12), "vitl14": (1024, 24, 16)}
PATCH = 14
NATIVE = 37


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.ls1 = nn.Parameter(torch.full((dim,), 0.1))
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)
        self.ls2 = nn.Parameter(torch.full((dim,), 0.1))

    def attention(self, x):
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, dim))

    def forward(self, x):
        x = x + self.ls1 * self.attention(self.norm1(x))
        return x + self.ls2 * self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Vit(nn.Module):
    def __init__(self, dim, depth, heads):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, dim, PATCH, PATCH)
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + NATIVE * NATIVE, dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.position = None

    def interpolate(self, grid):
        """Makes the position embeddings of a square grid ready."""
        cls, patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        image = patches.float().reshape(1, NATIVE, NATIVE, -1).permute(0, 3, 1, 2)
        image = F.interpolate(image, size=(grid, grid), mode="bicubic")
        patches = image.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)
        self.position = torch.cat([cls.float(), patches], 1).to(self.pos_embed.dtype)

    def forward(self, pixels):
        x = self.patch_embed(pixels.to(self.pos_embed.dtype)).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def flops(name, patches):
    """Operations of one photo, a multiply-add being two: the formula of BackboneConfig::flops."""
    dim, depth, _ = SHAPES[name]
    tokens = 1 + patches
    block = tokens * (4 * dim * dim + 8 * dim * dim) + 2 * tokens * tokens * dim
    return 2 * (patches * dim * 3 * PATCH**2 + depth * block)


class Bench:
    def __init__(self, args):
        self.device = torch.device(args.device)
        self.deadline = time.monotonic() + args.budget
        self.args = args
        self.models = {}
        self.compiled = set()

    def time(self, run, seconds=1.5, runs=10, warm=3):
        """Times of single runs in milliseconds: `runs` of them, or what fits into `seconds`, but three at least."""
        on_gpu = self.device.type == "cuda"
        for _ in range(warm):
            run()
        if on_gpu:
            torch.cuda.synchronize()
        times, start = [], time.perf_counter()
        while len(times) < 3 or (time.perf_counter() - start < seconds and len(times) < 50):
            if on_gpu:
                begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                begin.record()
                run()
                end.record()
                end.synchronize()
                times.append(begin.elapsed_time(end))
            else:
                at = time.perf_counter()
                run()
                times.append(1e3 * (time.perf_counter() - at))
            if len(times) >= runs and time.perf_counter() - start > seconds / 3:
                break
        return times

    def model(self, name, compiled):
        """All are kept, being small beside what they compute, and slow to compile again."""
        key = (name, compiled)
        if key not in self.models:
            with torch.device(self.device):
                model = Vit(*SHAPES[name]).eval()
            model = model.to(torch.bfloat16)
            if compiled:
                # Block by block: all blocks share what one took to compile, and little lies between them.
                mode = {"compile": "default"}.get(compiled, "max-autotune-no-cudagraphs")
                for block in model.blocks:
                    block.compile(mode=mode, dynamic=False)
            self.models[key] = model
        return self.models[key]

    def shape(self, name, size, batch, mode):
        compiled = mode if mode in ("compile", "max-autotune") else None
        line = {"model": name, "size": size, "batch": batch, "mode": mode}
        try:
            start = time.perf_counter()
            model = self.model(name, compiled)
            with torch.inference_mode():
                model.interpolate(size // PATCH)
                # Drawn where they are to be: the host takes a second for a large batch.
                on_host = mode == "eager-host"
                pixels = torch.randn(batch, 3, size, size, device="cpu" if on_host else self.device)
                if on_host:
                    run = lambda: model(pixels.to(self.device))
                else:
                    dtype = torch.float32 if mode == "eager-f32" else torch.bfloat16
                    ready = pixels.to(dtype)
                    run = lambda: model(ready)
                if mode == "eager-cudnn":
                    from torch.nn.attention import SDPBackend, sdpa_kernel

                    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION]):
                        times = self.time(run)
                else:
                    times = self.time(run)
            median = statistics.median(times)
            rate = flops(name, (size // PATCH) ** 2) * batch / median / 1e9
            line |= {
                "median_ms": round(median, 4),
                "min_ms": round(min(times), 4),
                "runs": len(times),
                "images_per_s": round(1e3 * batch / median, 2),
                "tflops": round(rate, 2),
                "share": round(rate / PEAK, 4),
                "took_s": round(time.perf_counter() - start, 1),
            }
        except Exception as error:  # out of memory, no compiler: the others go on
            line["error"] = str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
        # What one shape has taken of memory may lie badly for the next.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        tell(line)

    def ceilings(self):
        """What the card gives at best: a large product, and a copy that counts bytes read and written."""
        side, megabytes = (8192, 4096) if self.device.type == "cuda" else (512, 64)
        try:
            a, b = (torch.randn(side, side, device=self.device, dtype=torch.bfloat16) for _ in range(2))
            ms = statistics.median(self.time(lambda: a @ b, 1.0, 20))
            rate = 2 * side**3 / ms / 1e9
            tell({"ceiling": "matmul", "side": side, "median_ms": round(ms, 4), "tflops": round(rate, 2),
                  "share": round(rate / PEAK, 4)})
            source = torch.ones(megabytes << 20, dtype=torch.uint8, device=self.device)
            target = torch.empty_like(source)
            ms = statistics.median(self.time(lambda: target.copy_(source), 1.0, 20))
            tell({"ceiling": "copy", "megabytes": megabytes, "median_ms": round(ms, 4),
                  "terabytes_per_s": round(2 * (megabytes << 20) / ms / 1e9, 3)})
        except Exception as error:
            tell({"ceiling": "error", "error": str(error)[:300]})


def tell(line):
    print(json.dumps(line), flush=True)


def plan(modes, tiny):
    """(model, size, batch, mode), the most important first."""
    large, small, base = "vitl14", "vits14", "vitb14"
    if tiny:
        wanted = [(small, 28, batch, mode) for mode in ("eager", "eager-f32", "eager-host", "compile") for batch in (1, 2)]
        return [shape for shape in wanted if shape[3] in modes]
    usual = [32, 1, 128, 64, 8]
    wanted = [(name, 518, batch, "eager") for name in (large, small) for batch in usual]
    wanted += [(name, 518, batch, "compile") for batch in (32, 1, 128) for name in (large, small)]
    wanted += [(base, 518, batch, "eager") for batch in usual]
    wanted += [(name, 224, batch, "eager") for name in (large, small, base) for batch in (64, 1, 256)]
    wanted += [(name, 518, batch, "eager-host") for name in (large, small) for batch in (32, 1, 128)]
    wanted += [(name, 518, batch, "eager-cudnn") for name in (large, small) for batch in (32, 1)]
    wanted += [(name, 518, batch, "eager-f32") for name in (large, small, base) for batch in (32, 128, 1)]
    wanted += [(base, 518, batch, "compile") for batch in (32, 1, 128)]
    wanted += [(name, 518, batch, "compile") for name in (large, small, base) for batch in (64, 8)]
    wanted += [(name, 224, batch, "compile") for name in (large, small, base) for batch in (64, 1, 256)]
    wanted += [(name, 518, 32, "max-autotune") for name in (large, small)]
    return [shape for shape in wanted if shape[3] in modes]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--budget", type=float, default=120, help="seconds after which nothing new is begun")
    parser.add_argument("--modes", default="eager,eager-f32,eager-host,eager-cudnn,compile,max-autotune")
    parser.add_argument("--tiny", action="store_true", help="a few tiny shapes, to try this script without a GPU")
    args = parser.parse_args()
    torch.manual_seed(0)
    modes = args.modes.split(",")
    bench = Bench(args)
    if bench.device.type == "cuda":
        # Every shape is compiled for itself; the usual limit would send the last ones back to eager without a word.
        for limit in ("recompile_limit", "cache_size_limit"):
            if hasattr(torch._dynamo.config, limit):
                setattr(torch._dynamo.config, limit, 256)
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else "cpu"
    tell({"torch": torch.__version__, "device": name, "modes": modes})
    if "eager" in modes:
        bench.ceilings()
    for at, shape in enumerate(wanted := plan(modes, args.tiny)):
        if time.monotonic() > bench.deadline:
            tell({"left_out": [list(shape) for shape in wanted[at:]]})
            break
        bench.shape(*shape)
    return 0


if __name__ == "__main__":
    sys.exit(main())
