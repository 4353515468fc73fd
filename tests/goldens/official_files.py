"""Checkpoint files as torch and mmcv write them (`official/`), for the reader of `.pth` files.

Meta's dense heads are mmcv checkpoints, {meta, state_dict, optimizer}. Of those only the archive's `data.pkl` is kept,
as `<name>.pkl`; `<name>.json` says what to put into each of its storages: a tensor of `official_weights.py`, or zeros
where `key` is null or `dtype` is int64. The tiny classifiers, {weight [10, 16], bias [10]}, are whole files.
"""

import collections
import io
import json
import pathlib
import pickle
import pickletools
import zipfile

import numpy as np
import torch

import official_weights as weights

OUT = pathlib.Path(__file__).parent / "official"
ON_GPU = set()  # mmcv moves the weights to the CPU before it saves, but not the optimizer's tensors


def checkpoint(shapes: dict, classes: int) -> dict:
    state = collections.OrderedDict(weights.filled(shapes))
    if classes:
        state["decode_head.bn.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    state._metadata = collections.OrderedDict({"": {"version": 1}, "decode_head": {"version": 2}})
    meta = {
        "env_info": "sys.platform: linux\nPython: 3.8.13\nPyTorch: 1.11.0\nMMCV: 1.5.0",
        "seed": 0,
        "exp_name": "config.py",
        "mmseg_version": "0.27.0",
        "mmcv_version": "1.5.0",
        "time": "Thu May  4 12:34:56 2023",
        "config": "norm_cfg = dict(type='SyncBN', requires_grad=True)\n" * 40,
        "epoch": 12,
        "iter": 38400,
        "hook_msgs": {"best_score": np.float64(0.4171875), "best_ckpt": "/path/to/best_iter_38400.pth"},
    }
    if classes:
        meta["CLASSES"] = tuple(f"class {i}" for i in range(classes))
        meta["PALETTE"] = [[i, 255 - i, 7 * i % 256] for i in range(classes)]
    moments = {"step": 38400, "exp_avg": torch.full((2, 3), 0.5), "exp_avg_sq": torch.full((2, 3), 0.25)}
    group = {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01, "amsgrad": False, "params": [0]}
    return {"meta": meta, "state_dict": state, "optimizer": {"state": {0: moments}, "param_groups": [group]}}


def storages(pickled: bytes) -> dict:
    """What each storage of a data.pkl holds."""

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            if name == "_rebuild_tensor_v2":
                return lambda storage, *_rest: storage
            return super().find_class(module, name)

        def persistent_load(self, pid):
            kind, storage, key, _location, count = pid
            assert kind == "storage"
            return key, {"FloatStorage": "float32", "LongStorage": "int64"}[storage.__name__], count

    read = Reader(io.BytesIO(pickled)).load()
    out = {}
    for key, (number, dtype, count) in read["state_dict"].items():
        out[number] = {"key": key, "dtype": dtype, "count": count}
    for value in read["optimizer"]["state"][0].values():
        if isinstance(value, tuple):
            out[value[0]] = {"key": None, "dtype": value[1], "count": value[2]}
    return out


def opcodes(pickled: bytes) -> str:
    return " ".join(sorted({op.name for op, _, _ in pickletools.genops(pickled)}))


def tag(storage):
    return "cuda:0" if storage.data_ptr() in ON_GPU else None


def main():
    OUT.mkdir(exist_ok=True)
    torch.serialization.register_package(0, tag, lambda _storage, _location: None)
    named = {
        # name: shapes, classes, the module numpy's scalars come from (before numpy 2, and since)
        "nyu-linear-s": (weights.linear_depth(384, 1), 0, b"numpy.core"),
        "ade20k-ms-s": (weights.segmenter(384, 4, 150), 150, b"numpy._core"),
        "nyu-dpt-s": (weights.dpt(384, 256), 0, b"numpy.core"),
    }
    for name, (shapes, classes, module) in named.items():
        saved = checkpoint(shapes, classes)
        moments = saved["optimizer"]["state"][0]
        ON_GPU.update(value.data_ptr() for value in moments.values() if isinstance(value, torch.Tensor))
        buffer = io.BytesIO()
        torch.save(saved, buffer)
        with zipfile.ZipFile(buffer) as archive:
            pickled = archive.read("archive/data.pkl")
        # A GLOBAL is two lines of text, so that the name may change its length.
        found = [m for m in (b"numpy._core", b"numpy.core") if b"c" + m + b".multiarray\nscalar\n" in pickled]
        assert len(found) == 1, found
        pickled = pickled.replace(b"c" + found[0] + b".multiarray\n", b"c" + module + b".multiarray\n")
        held = storages(pickled)
        assert sorted(held, key=int) == [str(i) for i in range(len(held))]
        (OUT / f"{name}.pkl").write_bytes(pickled)
        lines = ",\n".join(f'  "{number}": {json.dumps(held[number])}' for number in sorted(held, key=int))
        (OUT / f"{name}.json").write_text('{"storages": {\n' + lines + "\n}}\n")
        print(f"{name}.pkl: {len(pickled)} bytes, {len(held)} storages; {opcodes(pickled)}")

    tiny = weights.filled({"weight": (10, 16), "bias": (10,)})
    for name, options in {
        "tiny-new": {},
        "tiny-old": {"_use_new_zipfile_serialization": False},
        "tiny-protocol4": {"pickle_protocol": 4},
    }.items():
        path = OUT / f"{name}.pth"
        if not (name == "tiny-old" and path.exists()):  # it names its storages by their addresses: no two are alike
            torch.save(tiny, path, **options)
        read = torch.load(path, weights_only=False)  # the safe reader knows no FRAME, an opcode of protocol 4
        assert all(torch.equal(read[key], tiny[key]) for key in tiny)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                print(f"{path.name}: {path.stat().st_size} bytes, {names}; {opcodes(archive.read(f'{name}/data.pkl'))}")
        else:
            print(f"{path.name}: {path.stat().st_size} bytes; first pickles then raw storages")


if __name__ == "__main__":
    main()
