"""
==================================
What pooling hides from a detector
==================================

scikit-learn's outlier detectors take one vector a sample. An embedded image is a grid of vectors,
so it has to be pooled for them. This example gives the same embeddings to them and to
:class:`~skpadim.PatchGaussian`, which takes the grid, and asks: what does pooling cost, what does
position bring, whose threshold keeps its word, and when is pooling right?
"""

# %%
# The same embeddings for all
# ---------------------------
#
# There are 80 good parts to learn from, and 40 good and 40 defective ones, all new, to judge. A
# network turns each picture into a grid of embeddings.

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skpadim import PatchEmbedder, PatchGaussian
from skpadim.datasets import make_inspection_images
from skpadim.display import ScoreDisplay

parts = make_inspection_images(n_good=120, n_defective=40, random_state=0)
start = time.perf_counter()
embedder = PatchEmbedder().fit()
embeddings = embedder.transform(parts.images)
print(f"embedded {len(embeddings)} images in {time.perf_counter() - start:.1f} s:", end=" ")
print("(images, rows, columns, dimensions) =", embeddings.shape)

good, new = embeddings[:80], embeddings[80:]
y, defects = parts.y[80:], parts.defects[80:]

# %%
# What each detector sees
# -----------------------
#
# Pooled, an image is the mean of its embeddings, or the maximum of each dimension. Both are common,
# and both forget where things are. All detectors are told that 5 % of good parts may be called
# defective; else they have their default settings. The pooled dimensions are standardised.
# ``EllipticEnvelope`` needs fewer dimensions than images, hence the ``PCA``. ``PatchGaussian``
# takes part with pooled vectors, too, as a single Gaussian: this tells what is due to pooling from
# what is due to the detector.

RATE = 0.05


def make_detectors():
    """Make the detectors that take one vector an image."""
    return {
        "EllipticEnvelope": make_pipeline(
            StandardScaler(), PCA(0.95), EllipticEnvelope(contamination=RATE, random_state=0)
        ),
        "IsolationForest": IsolationForest(contamination=RATE, random_state=0),
        "LocalOutlierFactor": make_pipeline(
            StandardScaler(), LocalOutlierFactor(novelty=True, contamination=RATE)
        ),
        "OneClassSVM": make_pipeline(StandardScaler(), OneClassSVM(nu=RATE)),
        "PatchGaussian": make_pipeline(StandardScaler(), PatchGaussian(false_alarm_rate=RATE)),
    }


views = {
    "mean": lambda grids: grids.mean(axis=(1, 2)),
    "maximum": lambda grids: grids.max(axis=(1, 2)),
    "grid": lambda grids: grids,
}
contestants = [
    (view, name, detector)
    for view in ("mean", "maximum")
    for name, detector in make_detectors().items()
]
contestants.append(("grid", "PatchGaussian", PatchGaussian(false_alarm_rate=RATE)))

# %%
# The outcome
# -----------
#
# AUROC is the share of pairs of a good and a defective part that are in the right order, whatever
# the threshold. The next columns are about each detector's own threshold: alarms on the good parts
# that it has learnt from, alarms on new good parts, and defects found. One good part of 40 more or
# less is 2.5 % of them, so that small differences between detectors mean nothing.

print(f"{'sees':8} {'detector':19} AUROC  alarms: learnt    new  found      s")
margins = {}
for view, name, detector in contestants:
    start = time.perf_counter()
    detector.fit(views[view](good))
    margin = detector.decision_function(views[view](new))
    seconds = time.perf_counter() - start
    fitted_alarms = np.mean(detector.predict(views[view](good)) == -1)
    print(
        f"{view:8} {name:19} {roc_auc_score(y, margin):5.3f} {fitted_alarms:15.1%} "
        f"{np.mean(margin[y == 1] < 0):6.1%} {np.mean(margin[y == -1] < 0):6.1%} {seconds:5.2f}"
    )
    margins[view, name] = margin

# %%
# Pooling hides small defects. A scratch changes a few cells of the grid, and their mean moves less
# than from one good part to the next; no detector can bring back what is not in its input. The
# maximum shows a small defect only if it is extreme for the whole picture.
#
# Thresholds: ``contamination`` fixes the share of alarms among the parts that were learnt from.
# That share is right by construction and says little about new parts, to which the detector was not
# fitted. ``nu`` of ``OneClassSVM`` is a bound on it only up to the solver's tolerance, and new
# parts fare worse. ``false_alarm_rate`` is about new parts: each part learnt from is scored by the
# model fitted without it.

# %%
# What position brings
# --------------------
#
# Instead of pooling, let all patches be samples of one Gaussian, and an image as anomalous as its
# worst patch. Nothing is averaged away, but the edge of a bolt hole is now as good in the middle of
# the rim as it is at a bolt hole.

n_dimensions = embeddings.shape[-1]
anywhere = PatchGaussian().fit(good.reshape(-1, n_dimensions))
worst = anywhere.score_samples(new.reshape(-1, n_dimensions)).reshape(len(new), -1).min(axis=1)
print(f"one Gaussian for all positions: AUROC {roc_auc_score(y, worst):.3f}")
print(f"one for each position: AUROC {roc_auc_score(y, margins['grid', 'PatchGaussian']):.3f}")

# %%
# Look
# ----
#
# Each new part is a mark, left of the line if it is called defective. Units differ from detector to
# detector.

shown = [key for key in margins if key[0] != "maximum"]
fig, axes = plt.subplots(3, 2, figsize=(10, 9), layout="constrained")
for ax, (view, name) in zip(axes.flat, shown, strict=True):
    ScoreDisplay.from_predictions(margins[view, name], offset=0, y=y, ax=ax)
    ax.set_title(f"{name} ({view})", pad=20)
    ax.set_xlabel("")

# %%
# By kind of defect, scratches suffer most from pooling: they cover the fewest cells.

kinds = [kind for kind in np.unique(defects) if kind != "good"]
print(f"{'AUROC':30}", *(f"{kind:>14}" for kind in kinds))
for view, name in shown:
    of_kinds = [
        roc_auc_score(
            y[(defects == kind) | (y == 1)], margins[view, name][(defects == kind) | (y == 1)]
        )
        for kind in kinds
    ]
    print(f"{name:19} ({view}){'':5}", *(f"{auroc:14.3f}" for auroc in of_kinds))

# %%
# When pooling is right
# ---------------------
#
# A change of the whole picture is the opposite of a small defect: slight at each place, but the
# same at all. Here the new good parts are photographed a second time, with the lens a little out of
# focus.

sharp = parts.images[80:120].astype(float)
blurred = np.rint(gaussian_filter(sharp, sigma=(0, 0.5, 0.5, 0))).astype(np.uint8)
unsharp = embedder.transform(blurred)

print(f"{'sees':8} {'detector':19} AUROC  unsharp found")
for view, name, detector in contestants:
    if view != "maximum":
        margin = detector.decision_function(views[view](unsharp))
        auroc = roc_auc_score(y == 1, np.r_[margins[view, name][y == 1], margin])
        print(f"{view:8} {name:19} {auroc:5.3f}  {np.mean(margin < 0):13.1%}")

# %%
# The mean adds up what all places say, while the worst patch is one place that has to stand out
# from the worst of a good picture.
#
# What to do
# ----------
#
# - Parts that lie in the same place, and defects that are small: keep the grid, as
#   :class:`~skpadim.PaDiM` does.
# - Changes of the whole picture, such as focus, exposure or texture: pool, and choose the detector.
#   Nothing prevents running both.
# - Parts that lie anywhere: align them first if possible. Position means nothing otherwise, and
#   pooling or one Gaussian for all positions loses less by it.
# - Whatever the detector, set its threshold on good images that it was not fitted to.
#
# Limits: this is one set of drawn parts, one network, and default settings. A kernel width or a
# number of neighbours can be tuned if there are defective parts to tune it on; what pooling has
# removed stays removed. The grid costs a Gaussian for each position, in time and in size.
