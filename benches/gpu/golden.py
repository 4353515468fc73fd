#!/usr/bin/env python3
"""How exact a device is: `dino` on the CPU in f32 (which was checked against PyTorch), and the same on a GPU.

Runs `dino` over photos on the CPU, on the GPU in f32, f16 and bf16, with the same weights, and compares

  features   all numbers of all patches, through a basis of PCA that changes nothing
  pca        the largest angle between the subspaces that the CPU and the GPU fit
  depth      of the built-in head
  segment    labels of each built-in head

Prints one JSON line a comparison, with its gate, and one a run that failed. Weights that are no published ones (make.py
pack) are taken too: the heads then leave their fingerprints at home.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = "vits14-focus"
DIM, LAST = 384, 11
# Of the largest feature; labels in percent that agree; percent of the depth; degrees.
GATES = {
    "f32": {"features": 1e-3, "segment": 99.9, "depth": 0.05, "pca": 0.1},
    "f16": {"features": None, "segment": 99.5, "depth": 0.5, "pca": 5.0},
    "bf16": {"features": None, "segment": 99.5, "depth": 0.5, "pca": 5.0},
}


LOCK = threading.Lock()


def tell(**line):
    with LOCK:
        print(json.dumps(line), flush=True)


class Golden:
    def __init__(self, args):
        self.args = args
        self.deadline = time.monotonic() + args.budget
        self.home = os.path.join(args.work, "home")
        self.environment = os.environ | {"DINO_HOME": self.home, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
        os.makedirs(args.work, exist_ok=True)

    def dino(self, *words, check=True):
        command = [self.args.dino, *words]
        start = time.monotonic()
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=self.args.limit)
        if done.returncode != 0:
            tell(golden="failed", command=" ".join(words)[:300], code=done.returncode, stderr=done.stderr[-600:])
            if check:
                raise RuntimeError(words[0])
        return done.stdout, time.monotonic() - start

    def install(self):
        """The weights into a store of their own, and the heads; returns names or files of heads by their names."""
        source = self.args.weights
        if not os.path.exists(os.path.join(self.home, "models", MODEL + ".json")):
            if source.endswith(".xz"):
                whole = os.path.join(self.args.work, "weights.safetensors")
                subprocess.run([sys.executable, os.path.join(HERE, "make.py"), "unpack", source, whole], check=True)
                source = whole
            self.dino("models", "import", source, "--as", MODEL)
        with open(os.path.join(self.home, "models", MODEL + ".json")) as file:
            self.fingerprint = json.load(file)["fingerprint"]
        heads = {}
        for line in self.dino("heads", "list", "--json")[0].splitlines():
            told = json.loads(line)
            if told.get("where") != "built in" or told["meta"]["backbone"] != MODEL:
                continue
            name, path = told["name"], told["name"]
            if told["meta"]["fingerprint"] != self.fingerprint:
                kept, path = (os.path.join(self.args.work, name + end) for end in (".kept.safetensors", ".safetensors"))
                self.dino("heads", "export", name, kept, "--force")
                subprocess.run([sys.executable, os.path.join(HERE, "make.py"), "head", kept, path], check=True)
            heads[name] = (told["meta"]["task"]["kind"], path)
        return heads

    def identity(self):
        """A basis that gives the features themselves."""
        from safetensors.numpy import save_file

        info = {"format": 1, "model": MODEL, "fingerprint": self.fingerprint, "block": LAST, "norm": True,
                "shown": list(range(DIM)), "whiten": False, "foreground": None}
        path = os.path.join(self.args.work, "identity.basis")
        save_file(
            {
                "mean": np.zeros(DIM),
                "components": np.eye(DIM),
                "variances": np.ones(DIM),
                "total_variance": np.array([float(DIM)]),
                "ranges": np.tile([-5.0, 5.0], (DIM, 1)),
            },
            path,
            metadata={"dino.pca": json.dumps(info)},
        )
        return path

    def outputs(self, kind, device, dtype, heads, identity):
        """Runs everything on a device, for the folder `kind`; returns arrays by what they are of, then by photo."""
        common = [*self.args.photos, "--device", device, "--dtype", dtype, "--force"]
        common += ["--batch-size", str(self.args.batch_size if device != "cpu" else 1), "--model", MODEL]
        size = ["--size", str(self.args.size)] if self.args.size else []
        found = {}
        basis = os.path.join(self.args.work, f"{kind}.basis")
        runs = [("features", ["pca", "--raw", "--basis", identity], ".pca.npy")]
        runs += [("pca", ["pca", "--save-basis", basis], None)]
        for name, (task, path) in sorted(heads.items(), key=lambda head: head[1][0]):
            runs.append((f"{task}:{name}", [task, "--save", "npy", "--head", path], ".npy"))
        for what, words, ending in runs:
            folder = os.path.join(self.args.work, kind, what.replace(":", "-"))
            if time.monotonic() > self.deadline:
                tell(golden="left out", device=device, dtype=dtype, what=what)
                continue
            try:
                took = self.dino(*words, *common, *size, "-o", folder)[1]
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                tell(golden="missing", device=device, dtype=dtype, what=what, error=str(error)[:200])
                continue
            tell(golden="run", device=device, dtype=dtype, what=what, seconds=round(took, 2))
            if ending is None:
                from safetensors.numpy import load_file

                found[what] = {"": load_file(basis)["components"]}
                continue
            names = sorted(name for name in os.listdir(folder) if name.endswith(ending))
            found[what] = {name: np.load(os.path.join(folder, name)) for name in names}
        return found


def compare(what, expected, found, gates):
    """The figures of one comparison over all photos, and whether they are within the gate."""
    kind = what.split(":")[0]
    pairs = [(expected[name], found[name]) for name in expected if name in found]
    figures = {"photos": len(pairs)}
    if not pairs or len(pairs) < len(expected):
        return figures | {"error": "outputs are missing", "ok": False}
    if any(a.shape != b.shape for a, b in pairs):
        return figures | {"error": "shapes differ", "ok": False}
    if kind == "segment":
        figures["agree_percent"] = 100 * float(sum((a == b).sum() for a, b in pairs) / sum(a.size for a, _ in pairs))
        figures["worst_photo"] = 100 * float(min((a == b).mean() for a, b in pairs))
        value, ok = figures["agree_percent"], figures["agree_percent"] >= gates[kind]
    elif kind == "depth":
        off = [np.abs(b.astype(np.float64) - a) / a for a, b in pairs]
        figures["mean_percent"] = 100 * float(np.mean([o.mean() for o in off]))
        figures["p99_percent"] = 100 * float(np.mean([np.percentile(o, 99) for o in off]))
        figures["max_percent"] = 100 * float(max(o.max() for o in off))
        value, ok = figures["mean_percent"], figures["mean_percent"] <= gates[kind]
    elif kind == "features":
        a = np.concatenate([a.reshape(-1, a.shape[-1]) for a, _ in pairs]).astype(np.float64)
        b = np.concatenate([b.reshape(-1, b.shape[-1]) for _, b in pairs]).astype(np.float64)
        cosines = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        figures["max_abs"] = float(np.abs(a - b).max())
        figures["relative_to_max"] = float(np.abs(a - b).max() / np.abs(a).max())
        figures["relative_norm"] = float(np.linalg.norm(a - b) / np.linalg.norm(a))
        figures["cosine_min"], figures["cosine_mean"] = float(cosines.min()), float(cosines.mean())
        value = figures["relative_to_max"]
        ok = bool(np.isfinite(b).all()) and (gates[kind] is None or value <= gates[kind])
    else:
        (a, b) = pairs[0]
        cosines = np.linalg.svd(np.linalg.qr(a.T)[0].T @ np.linalg.qr(b.T)[0], compute_uv=False)
        figures["largest_angle_degrees"] = float(np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))))
        value, ok = figures["largest_angle_degrees"], figures["largest_angle_degrees"] <= gates[kind]
    return figures | {"value": value, "gate": gates[kind], "ok": bool(ok)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--dino", required=True)
    parser.add_argument("--weights", required=True, help="safetensors of vits14-focus, or what make.py pack made of it")
    parser.add_argument("--work", required=True, help="a scratch folder; the store of the weights stays in WORK/home")
    parser.add_argument("--device", default="cuda", help="cpu compares the CPU with itself, to try this script")
    parser.add_argument("--size", type=int, help="of what the backbone sees [default: each command's own]")
    parser.add_argument("--no-f32", action="store_true", help="leave f32 on the GPU out")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--limit", type=float, default=40, help="seconds for one run of dino")
    parser.add_argument("--budget", type=float, default=75, help="seconds after which no run is begun")
    args = parser.parse_args()
    golden = Golden(args)
    heads = golden.install()
    tell(golden="weights", fingerprint=golden.fingerprint, heads={name: path for name, (_, path) in heads.items()})
    if all(name == path for name, (_, path) in heads.items()):
        told, _ = golden.dino("selfcheck", "--device", args.device, "--dtype", "f32", check=False)
        tell(golden="selfcheck", stdout=told)
    identity = golden.identity()
    dtypes = ("f16", "bf16") if args.no_f32 else ("f32", "f16", "bf16")
    if args.device == "cpu":
        dtypes = ("f32",)
    # Nothing is timed here: the processor and the GPU work side by side.
    with ThreadPoolExecutor(4) as pool:
        reference = pool.submit(golden.outputs, "reference", "cpu", "f32", heads, identity)
        tried = {t: pool.submit(golden.outputs, t, args.device, t, heads, identity) for t in dtypes}
        reference, tried = reference.result(), {dtype: future.result() for dtype, future in tried.items()}
    fine = True
    for dtype, found in tried.items():
        for what, expected in reference.items():
            figures = compare(what, expected, found.get(what, {}), GATES[dtype])
            fine &= figures["ok"]
            tell(golden="compared", what=what, dtype=dtype, **figures)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
