"""
====================================
Your own folder, and what masks tell
====================================

Pictures in folders are enough to begin with. If some defects have been outlined, one can also
measure whether a heatmap points at the right place. This example loads such folders, and shows why
to measure with AUPRO rather than with the AUROC of pixels: it does not let large defects speak for
small ones.
"""

# %%
# Folders
# -------
#
# Good pictures in one folder; defective ones in another, whose sub-folders name the defects; and
# masks in a third, with the names of the pictures. A mask is an image of the same size, white where
# the defect is. Here the package draws pictures, and writes them as you may have them.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from skpadim import PaDiM
from skpadim.datasets import load_folder, make_inspection_images, read_masks
from skpadim.display import HeatmapDisplay, PixelRocCurveDisplay, ProCurveDisplay
from skpadim.model_selection import image_roc_auc

folder = tempfile.TemporaryDirectory()
root = Path(folder.name)
drawn = make_inspection_images(n_good=110, n_defective=40, random_state=0)
for number, (image, mask, defect) in enumerate(
    zip(drawn.images, drawn.masks, drawn.defects, strict=True)
):
    name = f"{number:04}.png"
    path = root / "ok" / name if defect == "good" else root / "rejected" / defect / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    if defect != "good":
        path = root / "masks" / defect / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)

parts = load_folder(root / "ok", defective=root / "rejected", masks=root / "masks")
print(parts.DESCR.replace(str(root), "..."))
print("defects:", *np.unique(parts.defects[parts.y == -1]))
print("first picture:", Path(parts.X[0]).relative_to(root))

# %%
# Learn
# -----
#
# ``parts.X`` holds paths; a picture is read when it is needed. The detector learns from 80 good
# ones. The other 30 and the defective ones are to measure on, with masks at the size of the
# heatmaps.

good, new, y = parts.X[:80], parts.X[80:], parts.y[80:]
masks = read_masks(parts.masks[80:], size=224)
detector = PaDiM().fit(good)
heatmaps = detector.predict_heatmap(new)
print(f"image AUROC: {image_roc_auc(detector, new, y):.3f}")

# %%
# Measure
# -------
#
# Which measure tells whether small defects are found? To try it, a second set of heatmaps overlooks
# the ten smallest of the 40 defects: theirs are replaced by heatmaps of good parts.

areas = masks.sum(axis=(1, 2))
smallest = np.flatnonzero(y == -1)[np.argsort(areas[y == -1])[:10]]
overlooking = heatmaps.copy()
overlooking[smallest] = heatmaps[y == 1][:10]
share = areas[smallest].sum() / areas.sum()
print(f"the ten smallest defects have {share:.1%} of all defective pixels")

fig, (roc_ax, pro_ax) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for name, shown in {"as they are": heatmaps, "10 of 40 overlooked": overlooking}.items():
    roc = PixelRocCurveDisplay.from_predictions(masks, shown, name=name, ax=roc_ax)
    pro = ProCurveDisplay.from_predictions(masks, shown, name=name, ax=pro_ax)
    print(f"{name:19}: pixel AUROC {roc.roc_auc:.3f}, AUPRO {pro.aupro:.3f}")
for ax in (roc_ax, pro_ax):
    ax.set(aspect="auto", xlim=(0, 0.4))

# %%
# The AUROC of pixels, left, still looks like that of a good detector, although a quarter of the
# defects is lost: they have few pixels, and large defects speak for them. AUPRO, right, takes the
# share that is found of each defect, and the mean over defects of any size. It loses about a fifth.
# It counts only up to a false positive rate of 0.3, the shaded part; beyond that, heatmaps mark too
# much to be of use.
#
# Look
# ----
#
# The four smallest defects, and the four largest.

by_area = np.flatnonzero(y == -1)[np.argsort(areas[y == -1])]
chosen = np.concatenate([by_area[:4], by_area[-4:]])
HeatmapDisplay.from_estimator(detector, new[chosen], y[chosen], masks=parts.masks[80:][chosen])
folder.cleanup()

# %%
# What to do
# ----------
#
# - Begin with a folder of good pictures; that is all that ``fit`` needs. Keep some aside.
# - Add defective pictures as they occur, and look whether they are found.
# - Outline defects if it matters where a heatmap points. Then report AUPRO, always with its limit.
# - Save masks as PNG: JPEG blurs their edges, of which only what is half white or more counts.
#
# Limits: a region of the mask is what is connected. A scratch outlined in five pieces counts five
# times, and a speck of two pixels as much as all of a stain; clean the masks before. Masks that are
# read at the size of the heatmaps can lose regions thinner than a pixel there. And no measure of
# pixels says how many good parts are called defective; count those as well.
