"""
========================================
Save the pipeline, not only the detector
========================================

What happens to a picture before the detector sees it is as much part of the model as what the
detector has learnt. This example puts both in a scikit-learn pipeline, saves it as one file, and
shows what happens to those who save the detector alone.
"""

# %%
# Parts that move along the belt
# ------------------------------
#
# The camera fires a little early or late, so that a part lies up to 16 pixels left or right of the
# middle. PaDiM compares each place with itself: such parts have to be brought into place first.

import tempfile
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skpadim import PaDiM
from skpadim.datasets import make_inspection_images
from skpadim.display import HeatmapDisplay

parts = make_inspection_images(n_good=110, n_defective=30, image_size=(256, 288), random_state=0)
starts = np.random.default_rng(0).integers(0, 33, size=len(parts.images))
images = np.array(
    [image[:, start : start + 256] for image, start in zip(parts.images, starts, strict=True)]
)
good, new, y = images[:80], images[80:], parts.y[80:]


def cut_out_part(images):
    """Cut the middle 224 pixels around the part, which is brighter than the belt."""
    cut_out = []
    for image in images:
        columns = np.flatnonzero((image.mean(axis=2) > 100).sum(axis=0) > 10)
        middle = (columns[0] + columns[-1] + 1) // 2
        start = np.clip(middle - 112, 0, 32)
        cut_out.append(image[16:240, start : start + 224])
    return np.array(cut_out)


# %%
# One estimator for all of it
# ---------------------------
#
# A :class:`~sklearn.pipeline.Pipeline` passes images through the function and on to the detector.
# It fits, predicts and searches as the detector itself would; parameters of the detector have names
# such as ``padim__n_components``.

model = make_pipeline(FunctionTransformer(cut_out_part), PaDiM(n_components=64, random_state=0))
model.fit(good)

# %%
# Save and load
# -------------
#
# The file holds the Gaussians, the threshold and the parameters of all steps. It does not hold the
# network, whose weights come from where they came from before. The model knows their hash, and
# refuses to predict with others.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "flange.joblib")
    joblib.dump(model, path)
    print(f"size of the file: {path.stat().st_size / 1e6:.1f} MB")
    loaded = joblib.load(path)
same = np.array_equal(loaded.score_samples(new), model.score_samples(new))
print("scores of the loaded pipeline are the same:", same)

# %%
# What happens without it
# -----------------------
#
# Somebody saves ``model[-1]``, the detector, and gives it the pictures as the camera takes them; or
# writes the cutting anew, and cuts out the middle of the picture instead of the part.

detector = loaded[-1]
ways = {
    "pipeline": cut_out_part(new),
    "detector, pictures as they are": new,
    "detector, middle of the picture": new[:, 16:240, 16:240],
}
print(f"{'':31}  AUROC  alarms   found")
for name, seen in ways.items():
    margins = detector.decision_function(seen)
    alarms, found = (np.mean(margins[y == label] < 0) for label in (1, -1))
    print(f"{name:31}  {roc_auc_score(y, margins):5.3f}  {alarms:6.1%}  {found:6.1%}")

# %%
# There is no error: pictures are pictures. But good parts are now called defective, the more so the
# further they are off the middle. Below are three good parts and two defective ones, as the
# pipeline sees them, and in the middle of the picture.

shown = [0, 1, 2, 30, 31]
fig, axes = plt.subplots(2, len(shown), figsize=(10, 4.6), layout="constrained")
for row, name in zip(axes, ("pipeline", "detector, middle of the picture"), strict=True):
    HeatmapDisplay.from_estimator(detector, ways[name][shown], y[shown], ax=row, colorbar=False)
    row[0].set_ylabel(name)

# %%
# What to do
# ----------
#
# - Put everything that a picture goes through into the pipeline, and save that.
# - Keep functions such as ``cut_out_part`` in a module of your own: the file has only their name,
#   and whoever loads it needs the module. The same holds for a network of your own.
# - Keep a few good pictures with the model, and compare their scores after loading it elsewhere.
# - Load only files that you trust: like all pickles, they can run code. Load them with the versions
#   of skpadim and scikit-learn that saved them.
# - For heatmaps, take the steps apart: ``model[-1].predict_heatmap(model[:-1].transform(X))``. They
#   are of what was cut out, not of the whole picture.
#
# Limits: cutting out works here since the part is brighter than the belt. It corrects where a part
# lies, not how it is turned, and a defect at the edge of the part can mislead it.
