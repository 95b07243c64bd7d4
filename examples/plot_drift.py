"""
================================
Notice that the line has drifted
================================

A threshold promises a rate of false alarms for parts and pictures like those it was chosen from.
Lamps age, lenses gather dust, suppliers change; nobody tells the detector. But it keeps the scores
that good parts had in the beginning, and a rank test tells whether those of today still look like
them. This example lets a line drift, notices it, and mends the threshold.
"""

# %%
# A line that drifts
# ------------------
#
# There are 100 good parts to learn from, then ten working shifts with 20 parts each. From the
# fourth shift on the lamp fades, and the camera makes up for it by its gain. So there is more noise
# in the pictures, with a standard deviation that grows by a third of a grey level a shift. No eye
# would see it.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import ks_2samp, mannwhitneyu

from skpadim import PaDiM
from skpadim.datasets import make_inspection_images

N_SHIFTS, N_PARTS = 10, 20

made = make_inspection_images(n_good=360, n_defective=20, image_size=224, random_state=0)
rng = np.random.default_rng(0)


def aged(images, n_shifts):
    """Add the noise of a lamp that has aged for some shifts."""
    noise = rng.normal(scale=max(0, n_shifts) / 3, size=images.shape)
    return np.rint(images + noise).clip(0, 255).astype(np.uint8)


good, defective = made.images[:360], made.images[360:]
learnt, coming, fresh = np.split(good, [100, 100 + N_SHIFTS * N_PARTS])
shifts = [aged(images, i - 2) for i, images in enumerate(np.split(coming, N_SHIFTS))]

# %%
# The test
# --------
#
# ``calibration_scores_`` are the scores of the training images, each by the model fitted without
# it: what fresh good images should score. They are in the file that :func:`skpadim.save` writes.
# The Kolmogorov-Smirnov test asks whether the scores of a shift are distributed as these are. Its
# p-value is exact and assumes nothing about how that is: as long as nothing has changed, it is
# below 0.001 in one shift of a thousand, or less. The Mann-Whitney test, which asks whether scores
# tend to be lower or higher, is shown beside it.

LEVEL = 0.001

detector = PaDiM().fit(learnt)
reference = detector.calibration_scores_
scores = [detector.score_samples(images) for images in shifts]
p_values = [ks_2samp(s, reference, method="exact").pvalue for s in scores]
print("shift  false alarms  Kolmogorov-Smirnov  Mann-Whitney")
for i, (s, p) in enumerate(zip(scores, p_values, strict=True), start=1):
    other = mannwhitneyu(s, reference, method="exact").pvalue
    print(f"{i:5} {np.mean(s < detector.offset_):13.0%} {p:19.1g} {other:13.1g}")

# %%
# All parts are good, so what lies below the threshold is a false alarm. In a single shift their
# share says little: 0 to 3 of 20 are what chance makes of 5 %. The ranks of all scores say more:
# the first clear alarm is in a shift in which no more parts are called defective than in the third.

fig, (ax, p_ax) = plt.subplots(2, figsize=(8, 5.5), sharex=True, layout="constrained")
x = np.arange(1, N_SHIFTS + 1)
spread = np.linspace(-0.25, 0.25, N_PARTS)
ax.plot(
    np.linspace(-0.3, 0.3, len(reference)), reference, ".", color="#777777", ms=4, label="training"
)
for i, s in zip(x, scores, strict=True):
    ax.plot(i + spread, s, ".", color="#0072B2", ms=4, label="shifts" if i == 1 else None)
ax.axhline(detector.offset_, color="#D55E00", label="threshold")
ax.set(ylabel="score (larger = more normal)")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
p_ax.semilogy(x, p_values, "o-", color="#0072B2")
p_ax.axhline(LEVEL, color="#D55E00", ls="--", label=f"alarm below {LEVEL}")
p_ax.axvspan(3.5, N_SHIFTS + 0.5, color="#EEEEEE", zorder=0, label="the lamp fades")
p_ax.set(xlabel="shift", ylabel="p-value", xticks=[0, *x])
p_ax.set_xticklabels(["training", *map(str, x)])
p_ax.legend(loc="lower left")

# %%
# What to do on an alarm
# ----------------------
#
# Look at the pictures first: a lamp or a lens is better mended than learnt. If the line is to stay
# as it is, ``calibrate`` sets the threshold, and the reference of the test, from good images of
# today, here 40; ``fit`` learns from them anew, and forgets what was. Then 20 other good parts and
# 20 defective ones come. As it was, the detector calls most of the good ones defective.

today = aged(fresh[:40], N_SHIFTS - 3)
new_good, new_defective = aged(fresh[40:], N_SHIFTS - 3), aged(defective, N_SHIFTS - 3)


def report(name):
    """Tell what the detector does to the parts of today."""
    s = detector.score_samples(new_good)
    p = ks_2samp(s, detector.calibration_scores_, method="exact").pvalue
    found = np.mean(detector.predict(new_defective) == -1)
    print(f"{name:22} {np.mean(s < detector.offset_):12.1%} {found:14.0%} {p:9.1g}")


print("                       false alarms  defects found   p-value")
report("as it was")
detector.calibrate(today)
report("calibrated")
detector.fit(today)
report("fitted anew")

# %%
# Limits: a test of scores sees what changes scores. It does not see a drift that leaves them as
# they are, nor tell a drift from a shift with many defects: look at the pictures. How small a drift
# it finds, on real images, and how often it is wrong, is in the guide
# :doc:`/how_to/drift`.
