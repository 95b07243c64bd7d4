"""
===============================
Find defects after seeing none
===============================

A detector learns from pictures of good parts only. It then tells which new parts are defective and
where. Nothing here needs labels, a download or a GPU.
"""

# %%
# Pictures of good parts
# ----------------------
#
# Any list of image files does, say ``sorted(Path("good").glob("*.png"))``. So that this example
# runs everywhere, the package draws a steel flange: 80 good ones to learn from, and 12 new ones, of
# which 8 have a defect that the detector has never seen.

import time

import matplotlib.pyplot as plt

from skpadim import PaDiM
from skpadim.datasets import make_inspection_images

parts = make_inspection_images(n_good=84, n_defective=8, random_state=0)
good, new = parts.images[:80], parts.images[80:]
truth, masks = parts.defects[80:], parts.masks[80:]

# %%
# Learn
# -----
#
# ``false_alarm_rate`` is a promise about parts to come: at most one good part in twenty is to be
# called defective. It is kept without any defective part, since each training image is also scored
# by the model fitted without it.

start = time.perf_counter()
detector = PaDiM(false_alarm_rate=0.05).fit(good)
print(f"learnt from {len(good)} images in {time.perf_counter() - start:.1f} s")

# %%
# Decide
# ------
#
# As in all of scikit-learn, scores are larger for what is normal, and -1 marks an outlier. The
# decision function is the score's distance from the threshold: a part just below zero is a
# close call.

decisions = detector.predict(new)
margins = detector.decision_function(new)
print("part  decision   margin  in truth")
for number, (decision, margin, defect) in enumerate(zip(decisions, margins, truth, strict=True)):
    print(f"{number:4}  {'good' if decision == 1 else 'DEFECTIVE':9} {margin:7.2f}  {defect}")

# %%
# Look
# ----
#
# A heatmap shows where a part is unusual, a mask which of its pixels make the part defective. One
# colour scale serves all parts, and begins at the threshold. The cyan line is the mask, the dashed
# line the true defect.

heatmaps = detector.predict_heatmap(new, size="image")
found = detector.predict_mask(new, size="image")
fig, axes = plt.subplots(3, 4, figsize=(9, 7.4), layout="constrained")
for number, ax in enumerate(axes.flat):
    ax.imshow(new[number])
    shown = ax.imshow(
        heatmaps[number],
        cmap="plasma",
        vmin=-detector.offset_,
        vmax=max(heatmap.max() for heatmap in heatmaps),
        alpha=0.6 * found[number],
    )
    if found[number].any():
        ax.contour(found[number], levels=[0.5], colors="cyan", linewidths=1)
    if masks[number].any():
        ax.contour(masks[number], levels=[0.5], colors="white", linewidths=1, linestyles="dashed")
    verdict = "good" if decisions[number] == 1 else "defective"
    ax.set_title(f"{verdict} (is: {truth[number].replace('_', ' ')})", fontsize=9)
    ax.axis("off")
fig.colorbar(shown, ax=axes, label="distance from good parts, from the threshold up", shrink=0.6)
fig.savefig("getting_started.png", dpi=120)
print("picture: getting_started.png")

# %%
# What to do next
# ---------------
#
# Replace ``good`` and ``new`` by lists of your own files. Parts should lie in the same place in all
# pictures, within a few pixels: PaDiM compares each place with itself. Fewer than 19 good images
# cannot keep a false-alarm rate of 5 %, and the detector says so.
