"""
===========================================
Cut the images as you like: the same model
===========================================

Images come a batch at a time: from a disk larger than memory, from a line that runs all week, from
several machines. A detector that is fitted in pieces is the one that would have been fitted to all
images at once. Only its threshold needs images of its own. This example shows both.
"""

# %%
# In a stream
# -----------
#
# There are 240 good parts to learn from, in batches of any sizes. ``partial_fit`` forgets the
# images and keeps moments: the mean and the scatter of the embeddings at each place. A batch is
# added to them exactly. Since the model is complete after each batch, one can watch it learn, here
# by its AUROC on 40 good and 40 defective parts.

import matplotlib.pyplot as plt
import numpy as np

from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim.datasets import make_inspection_images
from skpadim.gaussian import PatchMoments
from skpadim.model_selection import image_roc_auc

parts = make_inspection_images(n_good=320, n_defective=40, random_state=0)
learnt, held_out = parts.images[:240], parts.images[240:280]
new, y = parts.images[280:], parts.y[280:]
batches = np.split(learnt, [10, 20, 40, 80, 160])

settings = {"n_components": 64, "random_state": 0}
stream = PaDiM(**settings)
n_seen, auroc = [], []
for batch in batches:
    stream.partial_fit(batch)
    n_seen.append(stream.n_samples_seen_)
    auroc.append(image_roc_auc(stream, new, y))
    print(f"{n_seen[-1]:3} images, AUROC {auroc[-1]:.3f}")

# %%
# The same images at once give the same scores, up to rounding.

at_once = PaDiM(**settings).fit(learnt)
scores = at_once.score_samples(new)
difference = np.abs(stream.score_samples(new) - scores).max()
print(f"scores lie between {scores.min():.1f} and {scores.max():.1f}")
print(f"largest difference between the stream and all at once: {difference:.6f}")

# %%
# The threshold needs other images
# --------------------------------
#
# ``fit`` sets a threshold by looking at each training image once more, with the model that does not
# know it. A stream has no second look. Its own scores of images that it has learnt from are no
# substitute: they are too good. ``calibrate`` takes good images that were kept aside.

too_good = PaDiM(**settings, contamination=0.05).fit(learnt).offset_
stream.calibrate(held_out)
new_scores = stream.score_samples(new)
print("threshold                          alarms on good parts   defects found")
for name, offset in (
    ("5 % of the training images", too_good),
    ("calibrate, 40 held-out images", stream.offset_),
    ("fit, each image left out once", at_once.offset_),
):
    alarms = np.mean(new_scores[y == 1] < offset)
    found = np.mean(new_scores[y == -1] < offset)
    print(f"{name:32} {offset:6.2f} {alarms:15.1%} {found:15.1%}")

# %%
# On several machines
# -------------------
#
# Here three machines have 80 images each. What they send is a
# :class:`~skpadim.gaussian.PatchMoments`, which pickles; merged, in any order, they are the moments
# of all images. They hold all dimensions, so that the receiver still has its choice of
# ``n_components``. A sender who knows it can ``take`` those dimensions first.

embedder = PatchEmbedder()


def embed(images):
    """Turn images into embeddings of shape (images, positions, dimensions)."""
    grids = embedder.transform(images)
    return grids.reshape(len(grids), -1, grids.shape[-1])


shards = [PatchMoments().update(embed(images)) for images in np.split(learnt, 3)]
total = PatchMoments()
for shard in reversed(shards):
    total.merge(shard)
gaussian = PatchGaussian(**settings)
merged = gaussian.fit_moments(total).score_samples(embed(new))
unmerged = gaussian.fit(embed(learnt)).score_samples(embed(new))
print(f"{total.n_samples} images in {len(shards)} shards; largest difference between the scores")
print(f"of the merged model and of one fitted at once: {np.abs(merged - unmerged).max():.6f}")

# %%
# What is kept
# ------------
#
# Left, the AUROC of the stream: when it no longer rises, more of the same images do not help.
# Right, the size of the moments. They have a row for each image while there are fewer images than
# dimensions, and have their full size from then on. The embeddings that they stand for go on
# growing.

kept = PatchMoments()
kept_size = []
for batch in batches:
    kept.update(embed(batch)[..., stream.components_])
    kept_size.append((kept.root if kept.scatter is None else kept.scatter).nbytes / 1e6)
one_image = len(total.mean) * settings["n_components"] * 4 / 1e6
print("moments in MB:", np.round(kept_size, 1))

fig, (ax, size_ax) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
ax.plot(n_seen, auroc, "o-", color="#0072B2")
ax.set(xlabel="images learnt from", ylabel="image AUROC", xscale="log")
ax.set_xticks(n_seen, n_seen)
ax.minorticks_off()
size_ax.plot(n_seen, kept_size, "o-", color="#0072B2", label="moments")
size_ax.plot(n_seen, one_image * np.array(n_seen), "s--", color="#D55E00", label="embeddings")
size_ax.set(xlabel="images learnt from", ylabel="size in MB", ylim=(0, None))
size_ax.legend()

# %%
# What to do
# ----------
#
# - If the images are files, call ``fit`` with their paths: it reads them batch by batch anyway.
# - If they come over time, call ``partial_fit`` with each batch, keep every tenth good image or so
#   aside, and ``calibrate`` with those before the first ``predict``, and again after each further
#   ``partial_fit``, which drops the threshold.
# - If they are on several machines, send moments, and merge.
#
# Limits: nothing is forgotten. If the parts or the light change for good, begin anew. A stream
# trusts its images: labels of -1 are left out, but a defect without label becomes part of what is
# normal. Merging makes a :class:`~skpadim.PatchGaussian`, which scores an image by its largest
# patch distance, not a :class:`~skpadim.PaDiM`, which smooths before. Moments of all dimensions are
# large, 8 bytes times positions times the square of the dimensions.
