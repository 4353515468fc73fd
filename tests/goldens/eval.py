"""Metrics by numpy and scikit-learn (`eval.safetensors`).

    depth.prediction, depth.truth  F32 [24, 32], metres, 0 = no reading; two images: index 0 and 1 in front
    depth.{name}.{none|eigen}      F64 [2]    rmse abs_rel log10 silog delta1 delta2 delta3 rmse_aligned abs_rel_aligned
                                   delta1_aligned of each image, readings from 0.5 to 9 m, predictions clamped to that;
                                   eigen is the usual crop scaled to 32 x 24, rounded to the nearest pixel
    segment.prediction, segment.truth  F32 [3, 20, 30], ids 0 to 5, 255 = ignored; id 5 is predicted, never labelled
    segment.confusion              F64 [6, 6]  sklearn.metrics.confusion_matrix
    segment.iou                    F64 [6]     sklearn.metrics.jaccard_score (all pixels of all images together)
    segment.summary                F64 [4]     mIoU over labelled ids, pixel accuracy, balanced accuracy, and mIoU as mmseg's
                                   `total_area_to_metrics` has it: nanmean(intersect / union)
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file
from sklearn import metrics

HERE = pathlib.Path(__file__).parent


def depth_figures(p, t):
    p, t = p.astype(np.float64), t.astype(np.float64)
    keep = (t >= 0.5) & (t <= 9.0)
    raw, t = p[keep], t[keep]
    p = np.clip(raw, 0.5, 9.0)
    e = np.log(p) - np.log(t)
    ratio = np.maximum(p / t, t / p)
    # monodepth2's evaluate_depth.py: aligned by the medians of what was predicted, then clamped.
    a = np.clip(raw * (np.median(t) / np.median(raw)), 0.5, 9.0)
    return {
        "rmse": np.sqrt(np.mean((p - t) ** 2)),
        "abs_rel": np.mean(np.abs(p - t) / t),
        "log10": np.mean(np.abs(np.log10(p) - np.log10(t))),
        "silog": 100 * np.std(e),
        "delta1": np.mean(ratio < 1.25),
        "delta2": np.mean(ratio < 1.25**2),
        "delta3": np.mean(ratio < 1.25**3),
        "rmse_aligned": np.sqrt(np.mean((a - t) ** 2)),
        "abs_rel_aligned": np.mean(np.abs(a - t) / t),
        "delta1_aligned": np.mean(np.maximum(a / t, t / a) < 1.25),
    }


def main():
    rng = np.random.default_rng(4)
    out = {}
    truth = rng.uniform(0.3, 9.5, (2, 24, 32)).astype(np.float32)
    truth[rng.random(truth.shape) < 0.2] = 0
    prediction = (np.where(truth > 0, truth, 3) * rng.lognormal(0.1, 0.3, truth.shape)).astype(np.float32)
    out["depth.prediction"], out["depth.truth"] = prediction, truth
    rows = slice(round(45 / 480 * 24), round(471 / 480 * 24))
    cols = slice(round(41 / 640 * 32), round(601 / 640 * 32))
    for crop, part in (("none", np.s_[:, :]), ("eigen", (rows, cols))):
        figures = [depth_figures(p[part], t[part]) for p, t in zip(prediction, truth)]
        for name in figures[0]:
            out[f"depth.{name}.{crop}"] = np.array([one[name] for one in figures])
    truth = rng.integers(0, 5, (3, 20, 30))
    prediction = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 6, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = 255
    out["segment.prediction"], out["segment.truth"] = prediction.astype(np.float32), truth.astype(np.float32)
    keep = truth != 255
    t, p = truth[keep], prediction[keep]
    iou = metrics.jaccard_score(t, p, labels=range(6), average=None, zero_division=0)
    out["segment.confusion"] = metrics.confusion_matrix(t, p, labels=range(6)).astype(np.float64)
    out["segment.iou"] = iou
    accuracy = metrics.recall_score(t, p, labels=range(5), average="macro")
    area = lambda ids: np.bincount(ids, minlength=7)
    intersect, union = area(t[t == p]), area(t) + area(p) - area(t[t == p])
    with np.errstate(invalid="ignore"):
        mmseg = np.nanmean(intersect / union)  # id 5 counts as 0, id 6 is nowhere and does not count
    out["segment.summary"] = np.array([iou[:5].mean(), metrics.accuracy_score(t, p), accuracy, mmseg])
    save_file(out, HERE / "eval.safetensors")


main()
