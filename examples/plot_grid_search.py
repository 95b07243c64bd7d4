"""
=============================================
How many dimensions? Search without embedding
=============================================

PaDiM keeps some of the embedding's dimensions, ``n_components`` of them. The model grows with their
square, so it pays to know how few are enough. ``GridSearchCV`` tells, as for every scikit-learn
estimator. But a network that embeds the same images again for every candidate would take nearly
all of the time, and labels that are used the wrong way mislead silently. This example shows two
ways that embed no more than they must, and two ways not to go.
"""

# %%
# Good parts, and a few defective ones
# ------------------------------------
#
# A search needs defective parts to compare candidates. They are never learnt from. As in all of
# scikit-learn's outlier detection, +1 is good and -1 is defective. Parts to test the outcome on
# are put aside: the search must not see them.

import tempfile
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV

from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim.datasets import make_inspection_images
from skpadim.gaussian import PatchMoments
from skpadim.model_selection import InlierKFold, image_roc_auc

parts = make_inspection_images(n_good=90, n_defective=40, random_state=0)
is_fresh = np.zeros(len(parts.y), dtype=bool)
is_fresh[60:90] = is_fresh[110:] = True
images, y = parts.images[~is_fresh], parts.y[~is_fresh]
fresh_images, fresh_y = parts.images[is_fresh], parts.y[is_fresh]
print(f"to search: {np.sum(y == 1)} good, {np.sum(y == -1)} defective")
print(f"put aside: {np.sum(fresh_y == 1)} good, {np.sum(fresh_y == -1)} defective")

# %%
# ``InlierKFold`` cuts the good parts into folds. A candidate is fitted to the good parts outside of
# a fold, and ranks those in the fold against the defective ones. ``image_roc_auc`` is the share of
# pairs in the right order.

candidates = [4, 8, 16, 32, 64]
folds = InlierKFold(n_splits=4, shuffle=True, random_state=0)

# %%
# Form (a): search the whole detector, remember embeddings
# --------------------------------------------------------
#
# ``memory`` names a folder in which embeddings of all dimensions are kept. Candidates share them,
# so the network sees an image at most once a fold, however many candidates there are. What is
# kept are batches, and each fold cuts the images into other batches. With ``batch_size=1`` the
# folds share them too, and an image is embedded once in all; on a GPU, large batches may still be
# faster. ``refit=True``, the default, is safe: ``fit`` leaves out images that are labelled -1.

with tempfile.TemporaryDirectory() as folder:
    detector = PaDiM(embedder=PatchEmbedder(batch_size=1), memory=folder, random_state=0)
    search = GridSearchCV(
        detector, {"n_components": candidates}, cv=folds, scoring=image_roc_auc, error_score="raise"
    )
    start = time.perf_counter()
    search.fit(images, y)
    seconds_a = time.perf_counter() - start
    n_embedded = len(list(Path(folder).rglob("output.pkl")))

n_fits = len(candidates) * folds.get_n_splits() + 1
print(f"form (a): {seconds_a:.1f} s for {n_fits} fits; {n_embedded} images were embedded")
print(
    f"refitted to {search.best_estimator_.n_samples_seen_} of {len(images)} images, the good ones"
)

# %%
# Form (b): embed once, search the Gaussians
# ------------------------------------------
#
# What comes after the embedding is an estimator of its own. Nothing is written to disk and no
# network is loaded for a fit, but all embeddings have to fit into memory. ``PatchGaussian``
# scores an image by its largest patch distance, ``PaDiM`` by the maximum of the smoothed heatmap,
# so that the two forms differ slightly. (``PaDiM(embedder="passthrough")`` on embeddings scores as
# ``PaDiM`` does on the images.)
#
# Which dimensions are kept is drawn at random. A fit is cheap now, so the search can afford several
# draws, and tell luck from merit.

start = time.perf_counter()
embeddings = PatchEmbedder().fit().transform(images)
seconds_embedding = time.perf_counter() - start

draws = [0, 1, 2]
start = time.perf_counter()
draws_search = GridSearchCV(
    PatchGaussian(),
    {"n_components": candidates, "random_state": draws},
    cv=folds,
    scoring=image_roc_auc,
    refit=False,
    error_score="raise",
).fit(embeddings, y)
seconds_b = time.perf_counter() - start
n_fits = len(candidates) * len(draws) * folds.get_n_splits()
print(f"form (b): {seconds_embedding:.1f} s to embed, {seconds_b:.1f} s for {n_fits} fits")

# %%
# One might go further: the moments of all dimensions contain those of every subset, so that all
# candidates of a fold could share them. The package has no such search. Moments are quickly made;
# more of the time of the larger candidates goes into factors and leave-one-out distances, which
# each needs for itself. (``benchmarks/search.py`` has a prototype, and its times.)

good = embeddings[y == 1]
grids = good.reshape(len(good), -1, good.shape[-1])
PatchMoments().update(grids[:2])  # the first call of all takes longer
start = time.perf_counter()
PatchMoments().update(grids)
seconds_moments = time.perf_counter() - start
start = time.perf_counter()
PatchGaussian(n_components=candidates[-1], random_state=0).fit(good)
seconds_fit = time.perf_counter() - start
print(f"moments of all {good.shape[-1]} dimensions: {seconds_moments:.2f} s")
print(f"one fit with n_components={candidates[-1]}: {seconds_fit:.2f} s")

# %%
# Look, and take the smallest that is good enough
# ------------------------------------------------
#
# Left: the mean over folds, with the spread (one standard deviation) of form (a). Where several
# means hardly differ, taking the best is taking noise; the smallest within its spread costs less.
# Right: the size of the factors, which are nearly all of a model. It grows with the square of
# ``n_components`` while 5/8 of them are fewer than the images, and then in proportion.

results = search.cv_results_
mean, spread = results["mean_test_score"], results["std_test_score"]
best = int(mean.argmax())
chosen = int(np.flatnonzero(mean >= mean[best] - spread[best])[0])
sizes = [
    PatchGaussian(n_components=n, random_state=0).fit(good).factor_.nbytes / 1e6 for n in candidates
]
print("n_components  AUROC (a)  spread    MB")
for n, auroc, deviation, size in zip(candidates, mean, spread, sizes, strict=True):
    print(f"{n:12}  {auroc:9.3f}  {deviation:6.3f}  {size:4.1f}")
print(f"best mean: {candidates[best]}; smallest within its spread: {candidates[chosen]}")

fig, (ax, size_ax) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
ax.fill_between(candidates, mean - spread, mean + spread, color="#0072B2", alpha=0.2, lw=0)
ax.plot(candidates, mean, "o-", color="#0072B2", label="form (a), spread over folds")
by_draw = draws_search.cv_results_["mean_test_score"].reshape(len(candidates), len(draws))
for draw, scores in zip(draws, by_draw.T, strict=True):
    label = "form (b), one line a draw" if draw == draws[0] else None
    ax.plot(candidates, scores, "x--", color="#D55E00", lw=0.8, label=label)
ax.axvline(candidates[chosen], color="black", ls=":", label="chosen")
ax.set(ylabel="image AUROC", ylim=(None, 1.005))
ax.legend(loc="lower right")
size_ax.plot(candidates, sizes, "s-", color="black")
size_ax.axvline(candidates[chosen], color="black", ls=":")
size_ax.set(ylabel="size of the factors in MB", yscale="log")
for panel in (ax, size_ax):
    panel.set_xscale("log", base=2)
    panel.set_xticks(candidates, candidates)
    panel.set_xlabel("n_components")

# %%
# Two ways not to go
# ------------------
#
# An integer ``cv`` cuts the images in the order in which they come, here good ones first. A test
# fold of one class only has nothing to rank.
#
# Labels with 1 for defective: "roc_auc" expects larger scores for the class 1, so that the result
# would be turned around, and the search would choose the worst candidate; and as none is labelled
# -1, the defective parts in the training folds of ``StratifiedKFold`` would not be left out. So
# the package refuses them. (With +1 and -1, ``StratifiedKFold`` does no harm here. It does with
# scikit-learn's own outlier detectors, which learn from whatever they are given.)

wrong = GridSearchCV(
    PatchGaussian(random_state=0), {"n_components": candidates}, cv=4, scoring=image_roc_auc
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    wrong_results = wrong.set_params(refit=False).fit(embeddings, y).cv_results_
undefined = [np.isnan(wrong_results[f"split{fold}_test_score"]).all() for fold in range(4)]
print(f"cv=4: {sum(undefined)} of 4 folds have no score")

try:
    PatchGaussian().fit(embeddings, (y == -1).astype(int))
except ValueError as error:
    print(error)

# %%
# What to do
# ----------
#
# Take form (b) to try out much, and form (a) for what belongs to the whole detector, such as
# ``smoothing``, or where the embeddings do not fit into memory. Give labels +1 and -1, and
# ``cv=InlierKFold()``. Fit the outcome to all good images, and judge it on images that the search
# has not seen: the best of several scores is optimistic.

final = PaDiM(n_components=candidates[chosen], random_state=0).fit(images[y == 1])
decisions = final.predict(fresh_images)
print(f"n_components={candidates[chosen]} on parts that were put aside:")
print(f"AUROC {image_roc_auc(final, fresh_images, fresh_y):.3f}")
print(f"false alarms: {np.sum(decisions[fresh_y == 1] == -1)} of {np.sum(fresh_y == 1)}")
print(f"defects found: {np.sum(decisions[fresh_y == -1] == -1)} of {np.sum(fresh_y == -1)}")

# %%
# Limits: these defects are drawn, and what they need says nothing about yours. Each fold is
# tested on the same defective parts, so that the spread shows the luck of the good ones only. If
# the defects that matter have not occurred yet, there is nothing to search with: keep the
# default, which keeps all dimensions.
