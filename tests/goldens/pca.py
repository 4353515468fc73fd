"""PCA of a small token matrix in numpy f64 (`pca.safetensors`).

`tokens` F32 [300, 24] is seeded: 24 directions with well separated variances around a mean away from zero, the first
one in two clumps (120 and 180 rows) so that Otsu's threshold has something to find. From these F32 values, in f64:
    mean                       F64 [24]
    eigenvalues                F64 [24]       of the covariance (divided by n - 1), descending
    components                 F64 [4, 24]    unit length; the loading of largest absolute value is positive
    explained_variance_ratio   F64 [4]        eigenvalue / sum of all 24
    projections                F64 [20, 4]    (tokens - mean) @ components^T, first 20 rows
    whitened                   F64 [5, 4]     projections / sqrt(eigenvalue), first 5 rows
    percentiles                F64 [4, 2]     1st and 99th of each projection column over 300 rows (numpy 'linear')
    otsu                       F64 [1]        threshold on the 300 scores of component 1
    otsu_low_count             U32 [1]        how many scores lie below it

Otsu exactly, without a histogram: of all n - 1 splits of the sorted scores into a low and a high part, the one that
maximises n_low * n_high * (mean_high - mean_low)^2; the threshold is the middle of the two scores at the split.
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file
from sklearn.decomposition import PCA

HERE = pathlib.Path(__file__).parent
ROWS, DIM, KEEP = 300, 24, 4


def tokens() -> np.ndarray:
    rng = np.random.default_rng(8)
    scores = rng.normal(size=(ROWS, DIM)) * 3.0 * 0.75 ** np.arange(DIM)
    scores[:, 0] = np.where(np.arange(ROWS) % 5 < 2, -4.0, 3.0) + rng.normal(size=ROWS) * 1.2
    directions, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
    return (scores @ directions.T + rng.normal(0.0, 2.0, DIM)).astype(np.float32)


def otsu(scores: np.ndarray) -> tuple[float, int]:
    s = np.sort(scores)
    low = np.arange(1, len(s))
    high = len(s) - low
    total = np.cumsum(s)
    gap = (total[-1] - total[:-1]) / high - total[:-1] / low
    at = int(np.argmax(low * high * gap**2))
    return (s[at] + s[at + 1]) / 2, at + 1


def main():
    stored = tokens()
    x = stored.astype(np.float64)
    mean = x.mean(axis=0)
    values, vectors = np.linalg.eigh((x - mean).T @ (x - mean) / (ROWS - 1))
    values, vectors = values[::-1], vectors.T[::-1]
    components = vectors[:KEEP]
    largest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(KEEP), largest])[:, None]
    projections = (x - mean) @ components.T
    whitened = projections / np.sqrt(values[:KEEP])
    ratio = values[:KEEP] / values.sum()
    threshold, low_count = otsu(projections[:, 0])

    # scikit-learn goes another way (SVD of the centred matrix).
    sk = PCA(KEEP, svd_solver="full", whiten=True).fit(x)
    flips = np.sign((sk.components_ * components).sum(axis=1))
    print(f"components - scikit-learn:     {np.abs(sk.components_ * flips[:, None] - components).max():.1e}")
    print(f"eigenvalues - scikit-learn:    {np.abs(sk.explained_variance_ - values[:KEEP]).max():.1e}")
    print(f"variance ratio - scikit-learn: {np.abs(sk.explained_variance_ratio_ - ratio).max():.1e}")
    print(f"whitened - scikit-learn:       {np.abs(sk.transform(x) * flips - whitened).max():.1e}")
    print(f"top eigenvalues {values[:6].round(3).tolist()}, smallest {values[-1]:.1e}")
    top_two = np.sort(np.abs(components), axis=1)[:, -2:]
    print(f"the largest loadings lead the second ones by {(top_two[:, 1] - top_two[:, 0]).round(3).tolist()}")

    # Otsu's other definition: the smallest sum of squares within the two parts.
    s = np.sort(projections[:, 0])
    within = [s[:k].var() * k + s[k:].var() * (ROWS - k) for k in range(1, ROWS)]
    assert int(np.argmin(within)) + 1 == low_count
    best, second = np.sort(within)[:2]
    print(f"otsu {threshold:.6f}, {low_count} below; the second best split is worse by {second / best - 1:.1e}")

    out = {
        "tokens": stored,
        "mean": mean,
        "eigenvalues": values,
        "components": components,
        "explained_variance_ratio": ratio,
        "projections": projections[:20],
        "whitened": whitened[:5],
        "percentiles": np.percentile(projections, [1, 99], axis=0).T,
        "otsu": np.array([threshold]),
        "otsu_low_count": np.array([low_count], dtype=np.uint32),
    }
    save_file({name: np.ascontiguousarray(value) for name, value in out.items()}, HERE / "pca.safetensors")
    print(f"pca.safetensors: {(HERE / 'pca.safetensors').stat().st_size} bytes")


if __name__ == "__main__":
    main()
