#!/usr/bin/env python3
"""Gathers what the steps of benches/gpu/check have left so far.

  report.py WORK OUT    reads WORK, writes OUT/gpu-check.json and OUT/gpu-check.md, and prints the latter
"""

import glob
import json
import os
import sys

PEAK = 989.4


def text(work, name):
    try:
        with open(os.path.join(work, name), errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def lines(work, name):
    """Lines of JSON; the last one may be cut short."""
    found = []
    for line in text(work, name).splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append({"unreadable": line[:300]})
    return found


def gather(work):
    info = lines(work, "info.json")
    told = {
        "card": text(work, "card.txt").splitlines(),
        "version": text(work, "info.txt").strip(),
        "info": info[0] if info else None,
        "libraries": text(work, "ldd.txt").splitlines(),
        "prepare": text(work, "prepare.txt").splitlines()[-20:],
        "selfcheck": text(work, "selfcheck.txt").splitlines(),
        "steps": lines(work, "steps.jsonl"),
        "golden": lines(work, "golden.jsonl"),
        "bench": [],
        "torch": lines(work, "torch.jsonl"),
        "e2e": lines(work, "e2e.jsonl"),
        "oom": lines(work, "oom.jsonl"),
    }
    for path in sorted(glob.glob(os.path.join(work, "bench", "*.json"))):
        try:
            with open(path) as file:
                told["bench"] += json.load(file)
        except ValueError:
            told["bench"].append({"failed": os.path.basename(path)})
    return told


def number(value, digits=1):
    return "-" if value is None else f"{value:,.{digits}f}".replace(",", " ")


def table(head, rows):
    aligned = ["---"] + ["---:"] * (len(head) - 1)
    return ["| " + " | ".join(str(cell) for cell in row) + " |" for row in (head, aligned, *rows)] + [""]


def speed(told):
    """dino and PyTorch side by side, by model, size, batch and number type."""
    found = {}
    for row in told["bench"]:
        if "failed" not in row:
            key = (row["model"], row["width"], row["batch"], row["dtype"])
            found.setdefault(key, {})["dino"] = row["images_per_s"], row["gflop_per_s"] / 1e3
    for row in told["torch"]:
        if "images_per_s" in row:
            # PyTorch was measured in bf16; dino's half precisions are compared with that.
            for half in ("f16", "bf16"):
                found.setdefault((row["model"], row["size"], row["batch"], half), {})[row["mode"]] = row["images_per_s"]
    found = {key: figures for key, figures in found.items() if "dino" in figures or key[3] == "bf16"}
    rows = []
    order = {"vitl14": 0, "vits14": 1, "vitb14": 2}
    for key in sorted(found, key=lambda key: (order.get(key[0], 9), -key[1], key[3], key[2])):
        figures = found[key]
        dino, rate = figures.get("dino", (None, None))

        def ratio(mode):
            return None if dino is None or mode not in figures else dino / figures[mode]

        share = None if rate is None else 100 * rate / PEAK
        rows.append(
            [*key, number(dino), *(number(figures.get(mode)) for mode in ("eager", "eager-host", "compile")),
             *(number(ratio(mode), 2) for mode in ("eager", "eager-host", "compile")), number(rate), number(share)]
        )
    head = ["model", "size", "batch", "type", "dino images/s", "torch eager", "eager, from host", "torch compile",
            "dino / eager", "/ from host", "/ compile", "dino TFLOP/s", "% of peak"]
    return table(head, rows)


def markdown(told):
    out = ["# dino on a GPU", "", *told["card"][1:], told["version"], ""]
    missing = [line.strip() for line in told["libraries"] if "not found" in line]
    if missing:
        out += ["Libraries that were not found:", *missing, ""]
    ended = [s for s in told["steps"] if s.get("code", 1) != 0]
    if ended:
        out += ["Steps that did not end well (124 is the time limit): "
                + ", ".join(f"{s['step']} ({s.get('code', s.get('left_out'))})" for s in ended), ""]
    compared = [row for row in told["golden"] if row.get("golden") == "compared"]
    if compared:
        out += ["## How exact, against the CPU in f32", ""]
        out += table(
            ["what", "type", "figure", "gate", "ok", "more"],
            [[row["what"], row["dtype"], f"{row.get('value', float('nan')):.4g}", row.get("gate"),
              "yes" if row["ok"] else "NO",
              ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()
                        if k not in ("golden", "what", "dtype", "value", "gate", "ok", "photos"))] for row in compared],
        )
    if told["bench"] or told["torch"]:
        out += ["## How fast the network is", "", f"Peak: {PEAK} TFLOP/s, dense bf16.", *(
            f"Ceiling, {row['ceiling']}: {row.get('tflops', row.get('terabytes_per_s'))} "
            + ("TFLOP/s" if "tflops" in row else "TB/s") for row in told["torch"] if "median_ms" in row and "ceiling" in row
        ), "", *speed(told)]
        extra = [row for row in told["torch"] if row.get("mode") in ("eager-f32", "eager-cudnn", "max-autotune")]
        if extra:
            out += table(
                ["model", "size", "batch", "PyTorch's mode", "images/s", "TFLOP/s"],
                [[row["model"], row["size"], row["batch"], row["mode"], number(row.get("images_per_s")),
                  number(row.get("tflops"))] for row in extra],
            )
    runs = [row for row in told["e2e"] if "images_per_s" in row]
    if runs:
        out += ["## Whole runs", ""]
        out += table(
            ["run", "photos", "seconds", "images/s", "exit", "peak GPU MiB", "GPU busy %", "seconds by stage, all threads"],
            [[row["e2e"], row["photos"], number(row["seconds"]), number(row["images_per_s"]), row["code"],
              number(row.get("peak_gpu_mib"), 0), number(row.get("mean_gpu_busy_percent")),
              ", ".join(f"{name} {value:.1f}" for name, value in list(row["stages_s"].items())[:7])] for row in runs],
        )
    if told["oom"]:
        out += ["## More than fits", ""]
        for row in told["oom"]:
            said = (row.get("stderr") or row.get("told") or str(row)).strip().splitlines()
            out += [f"- {row.get('oom') or row.get('e2e')}: exit {row.get('code')}, {row.get('seconds')} s, photos "
                    f"{row.get('photos', '-')}, panicked: {row.get('panicked')}; `{said[-1][:300] if said else ''}`"]
        out += [""]
    return "\n".join(out)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    work, out = sys.argv[1:]
    told = gather(work)
    page = markdown(told)
    # Whole or not at all: the last step may end while this writes.
    for name, content in (("gpu-check.json", json.dumps(told, indent=1)), ("gpu-check.md", page)):
        path = os.path.join(out, name)
        with open(path + ".part", "w") as file:
            file.write(content + "\n")
        os.replace(path + ".part", path)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
