"""The network alone, f32, batch 1, same weights and threads, all engines in turns; medians and ratios as Markdown.

The model is written down once more in torch, gets the installed weights (random ones for models that are not
installed) and is exported to ONNX for the other engines. Every engine's output is held against torch's.

With --isa all are held to one instruction set, as far as they let themselves be held: what each says of itself is
looked at afterwards, and those that used more are named under the table.
"""

import argparse
import json
import os
import sys
import pathlib
import platform
import statistics
import subprocess
import tempfile
import time

# The libraries read these when they are loaded.
HELD = {
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "DINO_SIMD": "avx2"},
    "avx512": {"DINO_SIMD": "avx512"},
}
ISA = next((value for flag, value in zip(sys.argv, sys.argv[1:]) if flag == "--isa"), None)
os.environ |= HELD.get(ISA, {})

import numpy as np
import onnxruntime
import openvino
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

SHAPES = {"vits14": (384, 12, 6), "vitb14": (768, 12, 12), "vitl14": (1024, 24, 16)}


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.ls1, self.ls2 = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.ones(dim))

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.ls1 * self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d))
        return x + self.ls2 * self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Vit(nn.Module):
    def __init__(self, dim, depth, heads, grid):
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 14, 14)
        self.cls, self.pos = nn.Parameter(torch.zeros(1, 1, dim)), nn.Parameter(torch.zeros(1, 1 + grid * grid, dim))
        self.blocks, self.norm = nn.ModuleList(Block(dim, heads) for _ in range(depth)), nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls, x], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def torch_model(name, grid, home):
    model = Vit(*SHAPES[name.split("-")[0]], grid).eval()
    found = sorted(pathlib.Path(home).glob(f"**/{name}.safetensors")) if home else []
    if not found:
        for p in model.parameters():
            nn.init.normal_(p, std=0.02)
        return model, "random weights"
    from_dino = load_file(found[0])
    own = model.state_dict()
    names = {"cls_token": "cls", "norm.weight": "norm.weight", "norm.bias": "norm.bias"}
    names |= {f"patch_embed.proj.{k}": f"patch.{k}" for k in ("weight", "bias")}
    for i in range(len(model.blocks)):
        for theirs, ours in [("attn.qkv", "qkv"), ("attn.proj", "proj"), ("mlp.fc1", "fc1"), ("mlp.fc2", "fc2"), ("norm1", "norm1"), ("norm2", "norm2")]:
            names |= {f"blocks.{i}.{theirs}.{k}": f"blocks.{i}.{ours}.{k}" for k in ("weight", "bias")}
        names |= {f"blocks.{i}.{ls}.gamma": f"blocks.{i}.{ls}" for ls in ("ls1", "ls2")}
    for theirs, ours in names.items():
        own[ours].copy_(from_dino[theirs].float())
    # Bicubic, as exact as timing needs it.
    pos = from_dino["pos_embed"].float()
    native = int((pos.shape[1] - 1) ** 0.5)
    patches = pos[:, 1:].reshape(1, native, native, -1).permute(0, 3, 1, 2)
    patches = F.interpolate(patches, (grid, grid), mode="bicubic", align_corners=False)
    own["pos"].copy_(torch.cat([pos[:, :1], patches.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)], 1))
    return model, "installed weights"


def engines(name, size, threads, home, folder):
    model, weights = torch_model(name, size // 14, home)
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    path = os.path.join(folder, f"{name}-{size}.onnx")
    with torch.no_grad():
        expected = model(x).numpy()
        torch.onnx.export(model, (x,), path, opset_version=17, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x.numpy()}
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().compile_model(path, "CPU", settings)
    compiled = network.create_infer_request()

    def run_torch():
        with torch.no_grad():
            return model(x).numpy()

    found = {
        "ONNX Runtime": lambda: session.run(None, feed)[0],
        "OpenVINO": lambda: next(iter(compiled.infer({0: x.numpy()}).values())),
        "PyTorch": run_torch,
    }
    for engine, run in found.items():
        difference = np.abs(run() - expected).max()
        assert difference < 2e-2, f"{engine} differs from torch by {difference}"
    os.remove(path)
    return found, weights, beyond(network)


def beyond(network):
    """Who used wider vectors than --isa allows, and in what, by what they say of themselves."""
    if ISA != "avx2" or "avx512f" not in flags():
        return set()
    # MLAS asks the processor and takes no advice, in OpenVINO neither.
    unheld = {"ONNX Runtime in everything"}
    kernels = [node.get_rt_info()["primitiveType"].astype(str) for node in network.get_runtime_model().get_ordered_ops()]
    wider = {kernel for kernel in kernels if "avx512" in kernel or "mlas" in kernel}
    if wider:
        unheld.add(f"OpenVINO in some of its operations ({', '.join(sorted(wider))})")
    if "AVX512" in torch.backends.cpu.get_cpu_capability():
        unheld.add("PyTorch in everything")
    return unheld


def flags():
    """What the processor can."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].split() for line in file if line.startswith("flags"))
    except (OSError, StopIteration):
        return []


def dino(binary, name, size, threads):
    command = [binary, "bench", "--model", name, "--size", str(size), "--runs", "1", "--threads", str(threads)]
    command += ["--device", "cpu", "--json", "-", "--quiet"]
    row = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]
    assert ISA in (None, row["simd"]), f"dino used {row['simd']}"
    return row


def machine():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def gemm_rate(threads):
    a, b = torch.randn(1370, 1536), torch.randn(1536, 1536)
    best = min(timed(lambda: a @ b) for _ in range(20))
    return 2 * 1370 * 1536 * 1536 / best / 1e9


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", default=["vits14-focus:224", "vits14-focus:518", "vits14-focus:1036", "vitb14:518", "vitl14:518"], help="MODEL:SIZE")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--binary", default="target/release/dino")
    parser.add_argument("--home", default=os.environ.get("DINO_HOME", os.path.expanduser("~/.cache/dino")), help="where installed models are")
    parser.add_argument("--isa", choices=sorted(HELD), help="hold every engine to this instruction set (the best that there is)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"{machine()}, {args.threads} threads, {args.isa or 'best vectors'}, f32, batch 1, medians of {args.rounds} runs in turns, {time.strftime('%Y-%m-%d')}; ", end="")
    print(f"onnxruntime {onnxruntime.__version__}, openvino {openvino.__version__.split('-')[0]}, torch {torch.__version__.split('+')[0]}\n")
    print("| model | size | dino / OpenVINO | dino / ONNX Runtime | dino / PyTorch | time over its FLOP at torch's matmul rate | peak RSS MB | weights |")
    print("|---|---|---|---|---|---|---|---|")
    unheld = set()
    for case in args.cases:
        name, size = case.rsplit(":", 1)
        with tempfile.TemporaryDirectory() as folder:
            found, weights, wider = engines(name, int(size), args.threads, args.home, folder)
            unheld |= wider
            times = {engine: [] for engine in [*found, "dino"]}
            limit, peak = [], 0
            for _ in range(args.rounds):
                for engine, run in found.items():
                    times[engine].append(timed(run))
                row = dino(args.binary, name, int(size), args.threads)
                times["dino"].append(row["median_ms"] / 1e3)
                peak = max(peak, row["peak_rss_mb"] or 0)
                limit.append(row["gflop"] / gemm_rate(args.threads))
            median = {engine: statistics.median(t) for engine, t in times.items()}
        ratio = lambda engine: f"{median['dino'] / median[engine]:.2f}"
        print(f"| {name} | {size} | {ratio('OpenVINO')} | {ratio('ONNX Runtime')} | {ratio('PyTorch')} | {median['dino'] / statistics.median(limit):.2f} | {peak:.0f} | {weights} |", flush=True)
    for what in sorted(unheld):
        print(f"\nCould not be held to {args.isa} and used AVX-512: {what}.")


if __name__ == "__main__":
    main()
