"""Runs of the program, and what they leave in a folder."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

UNFINISHED = re.compile(r"^(\.dino-|dino-tmp-)[A-Za-z0-9]{6}\.part$")
MANIFEST = "manifest.jsonl"
# That of single runs, of shards, and of datasets.
RECORD = re.compile(r"^_?manifest(-\d+-of-\d+)?\.jsonl$")


class Fault(Exception):
    """What a script ends with, and exit code 1."""


def parser(doc):
    found = shutil.which("dino")
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dino", default=found, metavar="PATH", help="the program [default: the one in PATH]")
    parser.add_argument("--scratch", metavar="DIR", help="where folders are made and kept [default: a temporary one]")
    return parser


def main(run, args):
    """Runs a script: faults end it with exit code 1, and leave what it made."""
    if not args.dino:
        sys.exit("no dino in PATH; name it with --dino PATH")
    args.dino = str(Path(args.dino).resolve())
    if not os.access(args.dino, os.X_OK):
        sys.exit(f"--dino {args.dino}: is no program")
    made = None
    if not args.scratch:
        made = args.scratch = tempfile.mkdtemp(prefix="dino-scale-")
    Path(args.scratch).mkdir(parents=True, exist_ok=True)
    args.scratch = Path(args.scratch).resolve()
    try:
        run(args)
    except Fault as fault:
        print(f"FAULT: {fault}", flush=True)
        print(f"what was made is in {args.scratch}", flush=True)
        sys.exit(1)
    if made:
        shutil.rmtree(made, ignore_errors=True)


def skip(why):
    print(f"skipped: {why}", flush=True)
    sys.exit(0)


def fresh(path):
    """An empty folder."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


class Ended:
    """How a run ended."""

    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.out, self.err, self.seconds = args, code, out, err, seconds

    @property
    def words(self):
        """What it said, but for the warning of the constant network."""
        lines = [line for line in self.err.splitlines() if "--device null" not in line]
        return "\n".join(lines)

    def expect(self, *codes):
        if self.code not in codes:
            wanted = " or ".join(str(code) for code in codes)
            raise Fault(f"{' '.join(self.args)}: exit code {self.code}, {wanted} was expected\n{self.words[-2000:]}")
        return self


def start(dino, args, scratch, **more):
    """Starts the program, whose words go to files that nobody has to read while it runs."""
    environment = dict(os.environ, TMPDIR=str(scratch / "tmp"))
    (scratch / "tmp").mkdir(exist_ok=True)
    out, err = open(scratch / "stdout", "w+b"), open(scratch / "stderr", "w+b")
    return subprocess.Popen(
        [dino, *map(str, args)], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, **more
    )


def run(dino, args, scratch, limit=1800, **more):
    """Runs the program to its end."""
    began = time.monotonic()
    process = start(dino, args, scratch, **more)
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Fault(f"{' '.join(map(str, args))}: still running after {limit} s") from None
    return ended(process, args, scratch, code, time.monotonic() - began)


def ended(process, args, scratch, code, seconds):
    read = lambda name: (scratch / name).read_bytes().decode(errors="replace")
    return Ended([Path(process.args[0]).name, *map(str, args)], code, read("stdout"), read("stderr"), seconds)


def files(folder):
    """All files below a folder by their names, but the manifest."""
    paths = sorted(path for path in Path(folder).rglob("*") if not path.is_dir())
    names = {str(path.relative_to(folder)): path for path in paths}
    return {name: path for name, path in names.items() if not RECORD.match(Path(name).name)}


def unfinished(*folders):
    """What killed runs left that is neither an output nor was cleaned up."""
    paths = [path for folder in folders for path in Path(folder).rglob("*")]
    return sorted(str(path) for path in paths if UNFINISHED.match(path.name))


def compare(clean, other):
    """Faults where the two folders differ in any byte; returns how many files and bytes there are."""
    left, right = files(clean), files(other)
    for name in left:
        if name not in right:
            raise Fault(f"{other}: {name} is missing, and {len(set(left) - set(right)) - 1} more")
    for name in right:
        if name not in left:
            raise Fault(f"{other}: {name} is there, which a clean run does not make, and {len(set(right) - set(left)) - 1} more")
    total = 0
    for name, path in left.items():
        one, two = path.read_bytes(), right[name].read_bytes()
        if one != two:
            raise Fault(f"{name} has {len(two)} bytes that differ from the {len(one)} of a clean run: {right[name]}")
        total += len(one)
    return len(left), total


class Manifest:
    """What a manifest says of each output, read as the program reads it: a line that is no JSON was torn by a kill, and only
    the end of the file or a blank line may follow."""

    def __init__(self, folder):
        self.folder, self.outputs, self.lines, self.torn = Path(folder), {}, 0, 0
        # How often each output was finished.
        self.finished = {}
        lines = []
        for path in sorted(self.folder.iterdir()) if self.folder.exists() else ():
            if RECORD.match(path.name):
                lines.extend(self.read(path))
        self.lines = len(lines)
        # Shards have a file each.
        for line in sorted(lines, key=lambda line: line.get("time", 0)):
            self.take(line)

    def read(self, path):
        torn = None
        for number, text in enumerate(path.read_bytes().split(b"\n"), start=1):
            if not text.strip():
                torn = None
                continue
            if torn:
                raise Fault(f"{path}: line {torn} is torn, and no blank line follows")
            try:
                yield json.loads(text)
            except ValueError:
                torn, self.torn = number, self.torn + 1

    def take(self, line):
        for name, stamp in (line.get("outputs") or {}).items():
            if line["state"] == "done":
                self.finished[name] = self.finished.get(name, 0) + 1
            self.outputs[name] = (line["state"], line["task"], line["recipe"], line.get("fit"), stamp, line["photo"]["digest"])

    def account(self):
        """Faults where an output that is there is not the one that was noted, or none was. Returns how many outputs have a
        line that says done, and the names of those that were only begun."""
        done, begun = 0, []
        for name, path in files(self.folder).items():
            if name.startswith("manifest.fits/"):
                continue
            # The files of a folder of outputs are known by the folder.
            known = next((str(part) for part in [Path(name), *Path(name).parents] if str(part) in self.outputs), None)
            if known is None:
                raise Fault(f"{path}: no line of the manifest knows it")
            state, *_, stamp, _ = self.outputs[known]
            if state != "done":
                begun.append(name)
                continue
            if known == name and stamp["bytes"] != path.stat().st_size:
                raise Fault(f"{path}: has {path.stat().st_size} bytes, and the manifest says {stamp['bytes']}")
            done += 1
        for name, (state, *_) in self.outputs.items():
            if state == "done" and not (self.folder / name).exists():
                raise Fault(f"{self.folder / name}: the manifest says that it is done, and it is not there")
        return done, begun

    def agree(self, other):
        """Faults where another manifest knows other outputs, or has them from something else or with another content."""
        for name, (state, task, recipe, fit, stamp, photo) in self.outputs.items():
            if name not in other.outputs:
                raise Fault(f"{other.folder / MANIFEST}: says nothing of {name}")
            state2, task2, recipe2, fit2, stamp2, photo2 = other.outputs[name]
            if (task, recipe, fit, photo) != (task2, recipe2, fit2, photo2):
                raise Fault(f"{other.folder / MANIFEST}: has {name} from something else than a clean run")
            if state == state2 == "done" and stamp["digest"] != stamp2["digest"]:
                raise Fault(f"{other.folder / MANIFEST}: has another digest of {name} than a clean run")
