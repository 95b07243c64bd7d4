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

from skpadim import PaDiM
from skpadim.datasets import make_inspection_images
from skpadim.display import HeatmapDisplay

parts = make_inspection_images(n_good=84, n_defective=8, random_state=0)
good, new = parts.images[:80], parts.images[80:]
y, masks, truth = parts.y[80:], parts.masks[80:], parts.defects[80:]

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
# A heatmap shows where a part is unusual. One colour scale serves all parts, and changes colour at
# the threshold: what is yellow to red makes a part defective. The solid line is drawn around that,
# the dashed one around the true defect.

display = HeatmapDisplay.from_estimator(detector, new, y, masks=masks)
display.figure_.savefig("getting_started.png", dpi=120)
print("picture: getting_started.png")

# %%
# What to do next
# ---------------
#
# Replace ``good`` and ``new`` by lists of your own files. Parts should lie in the same place in all
# pictures, within a few pixels: PaDiM compares each place with itself. Fewer than 19 good images
# cannot keep a false-alarm rate of 5 %, and the detector says so.
