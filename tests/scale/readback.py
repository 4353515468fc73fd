#!/usr/bin/env python3
"""Reads datasets of `dino features` with the programs that people read them with, and compares every number.

    dino features PHOTOS... -o truth.npy
    dino features PHOTOS... -o feats.parquet        # and .arrow, .safetensors, .tar
    python tests/scale/readback.py truth.npy feats.parquet ...

The truth is a dataset of NumPy's arrays, of the same photos and settings, read with numpy and csv alone. A program that is
not installed is left out, which is said. Exits with 1 if anything differs.
"""

import csv
import glob
import io
import json
import os
import sys
import tarfile
import time

import numpy as np


def describe(folder):
    with open(os.path.join(folder, "_dataset.json")) as file:
        return json.load(file)


def parts(folder, ending):
    return sorted(glob.glob(os.path.join(glob.escape(folder), f"*.{ending}")))


class Shapes:
    """The arrays of a row, from the bytes that columns have."""

    def __init__(self, meta):
        self.meta = meta
        self.type = {"f16": "<f2", "f32": "<f4"}[meta["precision"]]
        self.layers, self.dim = len(meta["layers"]), meta["dim"]
        self.width = meta["basis"][1] if meta.get("basis") else meta["dim"]

    def columns(self):
        meta, names = self.meta, []
        names += ["cls"] if meta["cls"] else []
        names += ["patches"] if meta["patches"] else []
        names += ["registers"] if meta["registers"] else []
        if meta.get("coarse"):
            names += ["coarse_cls"] if meta["cls"] else []
            names += ["coarse_patches"] if meta["patches"] else []
        return names + (["points", "at"] if meta.get("points") else [])

    def array(self, name, value, row):
        layers, dim = self.layers, self.dim
        shape = {
            "cls": (layers, dim),
            "coarse_cls": (layers, dim),
            "patches": (layers, row["grid_h"], row["grid_w"], self.width),
            "registers": (layers, self.meta["registers"], dim),
            "coarse_patches": (layers, row.get("coarse_grid_h"), row.get("coarse_grid_w"), dim),
            "points": (row.get("n_points"), 2),
            "at": (row.get("n_points"), layers, dim),
        }[name]
        kind = "<f4" if name == "points" else self.type
        if isinstance(value, (bytes, bytearray, memoryview)):
            return np.frombuffer(value, kind).reshape(shape)
        return np.asarray(value).astype(kind, copy=False).reshape(shape)

    def of(self, row):
        return {name: self.array(name, row[name], row) for name in self.columns()}


# Each reader yields what tells of a row, and its arrays.


def numpy_reader(folder, meta):
    shapes = Shapes(meta)
    integers = "row rows page width height grid_h grid_w first_patch coarse_grid_h coarse_grid_w".split()
    integers += "first_coarse_patch first_point n_points".split()
    for table in parts(folder, "csv"):
        stored = {name: np.load(f"{table[:-4]}.{name}.npy", mmap_mode="r") for name in shapes.columns()}
        with open(table, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                row.update({name: int(row[name]) for name in integers if name in row})
                arrays = {}
                for name, array in stored.items():
                    first, count = row["row"], 1
                    if name == "patches":
                        first = row["first_patch"]
                        count = shapes.layers * row["grid_h"] * row["grid_w"]
                    elif name == "coarse_patches":
                        first = row["first_coarse_patch"]
                        count = shapes.layers * row["coarse_grid_h"] * row["coarse_grid_w"]
                    elif name in ("points", "at"):
                        first, count = row["first_point"], row["n_points"]
                    arrays[name] = shapes.array(name, array[first : first + count], row)
                yield row, arrays


def pyarrow_parquet(folder, meta):
    import pyarrow.parquet as pq

    shapes = Shapes(meta)
    for row in pq.read_table(folder).to_pylist():
        yield row, shapes.of(row)


def polars_parquet(folder, meta):
    import polars as pl

    shapes = Shapes(meta)
    for row in pl.read_parquet(f"{folder}/*.parquet").iter_rows(named=True):
        yield row, shapes.of(row)


def duckdb_parquet(folder, meta):
    import duckdb

    shapes = Shapes(meta)
    found = duckdb.execute("select * from read_parquet(?)", [f"{folder}/*.parquet"])
    names = [column[0] for column in found.description]
    while rows := found.fetchmany(64):
        for row in rows:
            row = dict(zip(names, row))
            yield row, shapes.of(row)


def datasets_parquet(folder, meta):
    yield from with_datasets("parquet", folder, meta)


def datasets_arrow(folder, meta):
    yield from with_datasets("arrow", folder, meta)


def with_datasets(kind, folder, meta):
    import datasets
    import tempfile

    datasets.disable_progress_bars()
    shapes = Shapes(meta)
    with tempfile.TemporaryDirectory() as cache:
        found = datasets.load_dataset(kind, data_files=parts(folder, kind), split="train", cache_dir=cache)
        for row in found:
            yield row, shapes.of(row)


def pyarrow_arrow(folder, meta):
    import pyarrow as pa

    shapes = Shapes(meta)
    for part in parts(folder, "arrow"):
        for row in pa.ipc.open_file(pa.memory_map(part)).read_all().to_pylist():
            yield row, shapes.of(row)


def polars_arrow(folder, meta):
    import polars as pl

    shapes = Shapes(meta)
    for row in pl.read_ipc(f"{folder}/*.arrow").iter_rows(named=True):
        yield row, shapes.of(row)


def safetensors_reader(folder, meta):
    from safetensors import safe_open

    shapes = Shapes(meta)
    for part in parts(folder, "safetensors"):
        with safe_open(part, "numpy") as file:
            for row in json.loads(file.metadata()["dino"])["rows"]:
                names = {name: f"{row['tensors']}/{name}" for name in shapes.columns()}
                yield row, {name: file.get_tensor(tensor) for name, tensor in names.items()}


def webdataset_reader(folder, meta):
    import webdataset as wds

    columns = Shapes(meta).columns()
    files = [f"file:{part}" for part in parts(folder, "tar")]
    for sample in wds.WebDataset(files, shardshuffle=False).decode():
        names = {columns[0]: "npy"} if len(columns) == 1 else {name: f"{name}.npy" for name in columns}
        yield sample["json"], {name: sample[member] for name, member in names.items()}


def tarfile_reader(folder, meta):
    columns = Shapes(meta).columns()
    for part in parts(folder, "tar"):
        with tarfile.open(part) as archive:
            members = []
            for member in archive:
                members.append(archive.extractfile(member).read())
                if len(members) == len(columns) + 1:
                    arrays = [np.load(io.BytesIO(bytes)) for bytes in members[:-1]]
                    yield json.loads(members[-1]), dict(zip(columns, arrays))
                    members = []


READERS = {
    ".npy": [("numpy", numpy_reader)],
    ".parquet": [
        ("pyarrow", pyarrow_parquet),
        ("polars", polars_parquet),
        ("duckdb", duckdb_parquet),
        ("datasets", datasets_parquet),
    ],
    ".arrow": [
        ("pyarrow", pyarrow_arrow),
        ("polars", polars_arrow),
        ("datasets", datasets_arrow),
    ],
    ".safetensors": [("safetensors", safetensors_reader)],
    ".tar": [("webdataset", webdataset_reader), ("tarfile", tarfile_reader)],
}

FACTS = "key path page sha256 blake3 width height grid_h grid_w".split()


def main(truth, *folders):
    known = {}
    meta = describe(truth)
    for row, arrays in numpy_reader(truth, meta):
        known[row["path"], row["page"]] = ({name: row[name] for name in FACTS}, arrays)
    print(f"{truth}: {len(known)} rows of {', '.join(Shapes(meta).columns())}")
    wrong = not known
    for folder in folders:
        ending = os.path.splitext(folder.rstrip("/"))[1].lower()
        if describe(folder) != meta:
            print(f"{folder}: was made otherwise than {truth}")
            wrong = True
            continue
        for name, reader in READERS[ending]:
            start, numbers, seen = time.perf_counter(), 0, set()
            told = f"{folder}: {name}"
            try:
                for row, arrays in reader(folder, meta):
                    facts, expected = known[row["path"], row["page"]]
                    seen.add((row["path"], row["page"]))
                    for fact in FACTS:
                        assert row[fact] == facts[fact], f"{row['path']}: {fact} is {row[fact]!r}"
                    assert sorted(arrays) == sorted(expected), f"{row['path']}: has {sorted(arrays)}"
                    for array, value in arrays.items():
                        same = value.shape == expected[array].shape and value.dtype == expected[array].dtype
                        assert same, f"{row['path']}: {array} is {value.dtype} {value.shape}"
                        same = value.tobytes() == expected[array].tobytes()
                        assert same, f"{row['path']}: {array} has other numbers"
                        numbers += value.nbytes
                assert seen == set(known), f"{len(seen)} of {len(known)} rows are there"
            except ModuleNotFoundError as error:
                print(f"{told} is left out: {error.name} is not installed")
            except Exception as error:  # Whatever a reader has to say is a finding.
                print(f"{told} differs: {type(error).__name__}: {error}")
                wrong = True
            else:
                seconds = time.perf_counter() - start
                print(f"{told} reads the same {len(seen)} rows ({numbers / 1e6:.0f} MB in {seconds:.2f} s)")
    return int(wrong)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
