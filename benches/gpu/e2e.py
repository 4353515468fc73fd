#!/usr/bin/env python3
"""Whole runs of `dino` over a folder of photos: images per second, where the time goes, and the memory of the card.

Prints one JSON line a run. A run that outlasts --limit is ended, and what it has written by then is counted. With
--oom, tries what does not fit the card instead: it must end with a readable error, or go on with smaller batches.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SMALL = "vits14-focus"
# `decode 46 ms, backbone 5.67 s` in what -v tells of a photo.
STAGE = re.compile(r"([a-z][a-z ]*[a-z]) ([0-9.]+) (ms|s|µs|us|min)\b")
SECONDS = {"µs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}


def tell(**line):
    print(json.dumps(line), flush=True)


class Sampler:
    """Memory in use and utilisation of the card, several times a second, while a run goes on."""

    def __init__(self):
        self.memory, self.busy = [], []
        self.process = None

    def __enter__(self):
        query = ["nvidia-smi", "--query-gpu=memory.used,utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
        try:
            self.process = subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:  # no such card here
            return self
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        return self

    def read(self):
        for line in self.process.stdout:
            try:
                memory, busy = (float(part) for part in line.split(","))
            except ValueError:
                continue
            self.memory.append(memory)
            self.busy.append(busy)

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.thread.join(2)

    def figures(self):
        if not self.memory:
            return {}
        return {"peak_gpu_mib": max(self.memory), "mean_gpu_busy_percent": round(statistics.fmean(self.busy), 1)}


def stages(text):
    """Seconds by stage, added up over all photos; stages of several threads run side by side."""
    total = {}
    for line in text.splitlines():
        if ": " not in line or not STAGE.search(line.split(": ", 1)[1]):
            continue
        for name, value, unit in STAGE.findall(line.split(": ", 1)[1]):
            total[name] = total.get(name, 0.0) + float(value) * SECONDS[unit]
    return {name: round(seconds, 3) for name, seconds in sorted(total.items(), key=lambda item: -item[1])}


class Runs:
    def __init__(self, args):
        self.args = args
        self.environment = os.environ | {"DINO_HOME": args.home, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}

    def dino(self, words, limit):
        """Runs the program; returns its exit code (None if it was ended), both outputs, the seconds, and the card's."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, Sampler() as sampler:
            start = time.monotonic()
            process = subprocess.Popen([self.args.dino, *words], env=self.environment, stdout=out, stderr=err)
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            took = time.monotonic() - start
            out.seek(0)
            err.seek(0)
            texts = out.read(), err.read()
        return code, *texts, took, sampler.figures()

    def head(self, name):
        """The built-in head, or what golden.py made of it for rounded weights."""
        made = os.path.join(self.args.heads, f"{name}.safetensors")
        return made if os.path.exists(made) else name

    def install_large(self):
        """Installs the random large model and its heads; returns the model's name, or None."""
        folder = self.args.large
        names = sorted(os.listdir(folder)) if folder and os.path.isdir(folder) else []
        model = next((name.removesuffix(".safetensors") for name in names if name.endswith(".safetensors")), None)
        if model is None:
            tell(e2e="missing", what="the large model")
            return None
        jobs = [["models", "import", os.path.join(folder, f"{model}.safetensors"), "--as", model]]
        jobs += [["heads", "import", os.path.join(folder, name)] for name in names if name.endswith(".pth")]
        for words in jobs:
            code, _, err, took, _ = self.dino(words, 60)
            tell(e2e="install", command=" ".join(words[:2]), code=code, seconds=round(took, 2), stderr=err[-300:])
            if code != 0 and words[0] == "models":
                return None
        return model

    def photos_run(self, what, words, limit):
        folder = os.path.join(self.args.work, "out", what.replace(" ", "-"))
        code, out, err, took, card = self.dino(
            [*words, "--device", self.args.device, "--dtype", self.args.dtype, "-o", folder, "--force", "-v"], limit
        )
        written = sum(len(files) for _, _, files in os.walk(folder)) if os.path.isdir(folder) else 0
        told = [line for line in err.splitlines() if not STAGE.search(line) and " patches" not in line]
        tell(
            e2e=what,
            command=" ".join(words)[:200],
            code=code,
            seconds=round(took, 2),
            photos=written,
            images_per_s=round(written / took, 2),
            stages_s=stages(err),
            panicked="panicked" in err,
            told="\n".join(told)[-900:],
            **card,
        )

    def speeds(self):
        args = self.args
        size = ["--size", str(args.size)] if args.size else []
        batch = ["--batch-size", str(args.batch_size)]
        small = ["--model", SMALL, *size]
        large = self.install_large()
        ours = ["--protocol", "none", "--size", str(args.size or 518)]
        self.photos_run("depth S", ["depth", args.photos, *small, *batch, "--head", self.head("indoor")], args.limit)
        if large:
            words = ["depth", args.photos, "--model", large, *ours, *batch, "--head", f"nyu-linear-{large}"]
            self.photos_run("depth L", words, args.limit)
        self.photos_run("segment S", ["segment", args.photos, *small, *batch, "--head", self.head("everyday")], args.limit)
        if large:
            words = ["segment", args.photos, "--model", large, *ours, *batch, "--head", f"ade20k-linear-{large}"]
            self.photos_run("segment L", words, args.limit)

    def out_of_memory(self):
        args = self.args
        side, batch = ("56", "2") if args.tiny else ("518", str(args.oom_batch))
        with Hog(args.left << 20, args.device) as hog:
            tell(oom="hog", told=hog.told)
            words = ["bench", "--model", "vits14", "--size", side, "--runs", "1", "--batch-size", batch]
            words += ["--device", args.device, "--dtype", args.dtype]
            code, out, err, took, card = self.dino(words, args.limit)
            tell(oom="bench", command=" ".join(words), code=code, seconds=round(took, 2), panicked="panicked" in err,
                 stdout=out[-400:], stderr=err[-900:], **card)
            words = ["depth", args.photos, "--model", SMALL, "--size", side, "--head", self.head("indoor")]
            self.photos_run("large batches", [*words, "--batch-size", batch], args.limit)


class Hog:
    """Another program that leaves so many bytes of the card's memory."""

    SOURCE = (
        "import sys, time, torch\n"
        "free, _ = torch.cuda.mem_get_info()\n"
        "taken = torch.empty(max(free - int(sys.argv[1]), 0), dtype=torch.uint8, device='cuda')\n"
        "print(torch.cuda.mem_get_info()[0] >> 20, 'MiB are left', flush=True)\n"
        "time.sleep(300)\n"
    )

    def __init__(self, left, device):
        self.process, self.told = None, "nothing is taken"
        if device == "cuda":
            command = [sys.executable, "-c", self.SOURCE, str(left)]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self):
        if self.process:
            self.told = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--dino", required=True)
    parser.add_argument("--home", required=True, help="the store, with vits14-focus in it")
    parser.add_argument("--heads", required=True, help="the scratch folder of golden.py")
    parser.add_argument("--large", help="the folder that `make.py vitl` made")
    parser.add_argument("--work", required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="f16")
    parser.add_argument("--size", type=int)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--oom-batch", type=int, default=512)
    parser.add_argument("--left", type=int, default=5000, help="MiB of the card's memory that --oom leaves")
    parser.add_argument("--limit", type=float, default=40, help="seconds for one run")
    parser.add_argument("--oom", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="with --oom: what fits anywhere, to try this script")
    args = parser.parse_args()
    runs = Runs(args)
    if args.oom:
        runs.out_of_memory()
    else:
        runs.speeds()
    return 0


if __name__ == "__main__":
    sys.exit(main())
