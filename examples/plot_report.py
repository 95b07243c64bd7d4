"""
==================================================
Choose the threshold while looking at the pictures
==================================================

A rate of false alarms gives a first threshold. Whether a faint scratch should count as a defect is
another question, and it takes eyes to answer. :func:`skpadim.report` writes a page for that: one
HTML file, which opens from disk, with all pictures and a slider for the threshold.
"""

# %%
# Write the page
# --------------
#
# The page takes any images. With labels it counts false alarms and misses, and with masks it draws
# the true defects. Nothing in it refers to other files or to a network, so that it can be sent by
# mail.

import tempfile
from html import escape
from pathlib import Path

import numpy as np

from skpadim import PaDiM, report
from skpadim.datasets import make_inspection_images
from skpadim.display import HeatmapDisplay, ScoreDisplay

parts = make_inspection_images(n_good=120, n_defective=40, random_state=0)
good, new = parts.images[:80], parts.images[80:]
y, masks = parts.y[80:], parts.masks[80:]
detector = PaDiM(false_alarm_rate=0.05).fit(good)

with tempfile.TemporaryDirectory() as folder:
    path = report(detector, new, y, masks, path=Path(folder, "report.html"), title="Flanges")
    page = path.read_text(encoding="utf-8")
print(f"{len(new)} images, {len(page) / 1e6:.1f} MB")


class Frame:
    """The page within this one; on your disk, open it with a browser."""

    def _repr_html_(self):
        style = "width: 100%; height: 900px; border: 1px solid silver; zoom: 0.7"
        return f'<iframe title="Flanges" srcdoc="{escape(page)}" style="{style}"></iframe>'


Frame()

# %%
# Move the slider. Counts, decisions and outlines follow, and the line of Python that sets this
# threshold is there to be copied.
#
# What the eye has to decide
# --------------------------
#
# The threshold comes from good parts alone. It knows nothing of what a defect is to you.

scores = detector.score_samples(new)
ScoreDisplay.from_estimator(detector, new, y)

# %%
# Two defects are missed. Below are the four defects that look most normal to the detector, and the
# four good parts that look least so. The page has them side by side, since it sorts by score.

hardest = np.flatnonzero(y == -1)[np.argsort(scores[y == -1])[-4:]]
oddest = np.flatnonzero(y == 1)[np.argsort(scores[y == 1])[:4]]
close = np.concatenate([hardest, oddest])
HeatmapDisplay.from_estimator(detector, new[close], y[close], masks=masks[close])

# %%
# Suppose that both have to be found. This is what the slider shows on the way from the detector's
# threshold to the one that misses one defect, and to the one that misses none.

kinds = parts.defects[80:]
for defect in hardest[-2:]:
    print(f"missed: a {kinds[defect]} of {masks[defect].sum()} pixels, score {scores[defect]:.2f}")
for offset in (detector.offset_, *(scores[hardest[-2:]] + 0.01)):
    alarms, missed = np.sum(scores[y == 1] < offset), np.sum(scores[y == -1] >= offset)
    print(
        f"detector.offset_ = {offset:.2f}: {alarms:2} of {np.sum(y == 1)} good parts called "
        f"defective, {missed} of {np.sum(y == -1)} defects missed"
    )

# %%
# The first of the two costs little. The other is no more unusual than most good parts are: no
# threshold finds it at a bearable price. Whether it need be found is for the eye to say.

detector.offset_ = scores[hardest[-2]] + 0.01  # the line that the page shows

# %%
# What to do
# ----------
#
# - Write a page with some hundred pictures, good ones and all defective ones there are, and move
#   the threshold together with whoever answers for the parts.
# - Put the line that the page shows behind ``fit``, or save the detector after it. The next
#   ``fit`` or ``calibrate`` sets another threshold; ``partial_fit`` drops it.
# - Look at misses and false alarms again from time to time: a page takes one line.
#
# Limits: a threshold that was moved by hand has lost its promise about false alarms, and one that
# fits these pictures best looks better on them than on the next ones. Count on others. The file
# grows by about ten kilobytes a picture here, and more for larger ones; see ``image_size``.
