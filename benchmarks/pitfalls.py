"""Figures of docs/pitfalls.md: what the wrong way costs, and what the right way gives.

    python benchmarks/pitfalls.py ROOT

ROOT holds the categories `bottle` and `grid`, laid out like MVTec AD.
"""

import argparse
import io
import warnings

import numpy as np
from _evaluation import read_rgb
from PIL import Image
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, check_cv

from skpadim import PaDiM, PatchEmbedder
from skpadim.datasets import load_mvtec_ad
from skpadim.embedding import Passthrough
from skpadim.model_selection import InlierKFold

# Embeddings are made once, and heatmaps stay on their grid. A cell is 8 pixels, so this is the
# default smoothing.
ON_EMBEDDINGS = {"embedder": Passthrough(stride=1), "smoothing": 0.5}
FOLDS = InlierKFold(5, shuffle=True, random_state=0)


class Category:
    """Images of a category, their embeddings and the default detector."""

    def __init__(self, root, name):
        data = load_mvtec_ad(root, name)
        self.name = name
        self.train, self.test = read_rgb(data.X_train), read_rgb(data.X_test)
        self.y_test = data.y_test
        self.good = self.test[self.y_test == 1]
        self.defective = self.test[self.y_test == -1]
        self.detector = PaDiM().fit(self.train)
        self.heatmaps = self.detector.predict_heatmap(self.test)
        self.scores = -self.heatmaps.max(axis=(1, 2)).astype(np.float64)
        embedder = PatchEmbedder()
        self.E_train = embedder.transform(self.train)
        self.E_test = embedder.transform(self.test)
        self.E = np.concatenate([self.E_train, self.E_test])
        self.y = np.concatenate([np.ones(len(self.train), int), self.y_test])


def count(called):
    return f"{np.sum(called)}/{len(called)}"


def auroc(y, scores):
    return roc_auc_score(y == -1, -scores)


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}")


def in_sample_thresholds(category):
    good = category.E[category.y == 1]
    called = {"contamination=0.05": [], "false_alarm_rate=0.05": []}
    for train, test in FOLDS.split(good):
        for name, alarms in called.items():
            key, value = name.split("=")
            detector = PaDiM(**ON_EMBEDDINGS, **{key: float(value)}).fit(good[train])
            alarms.append(detector.predict(good[test]) == -1)
    for name, alarms in called.items():
        alarms = np.concatenate(alarms)
        print(
            f"{category.name}: {name}: good called defective {count(alarms)} = {alarms.mean():.1%}"
        )


def labels_and_signs(category):
    y_defect = (category.y_test == -1).astype(int)
    predicted = np.where(category.scores < category.detector.offset_, -1, 1)
    print(
        f"{category.name}: AUROC of score_samples, 1 = defect: "
        f"{roc_auc_score(y_defect, category.scores):.3f}, "
        f"of +1 = good: {roc_auc_score(category.y_test, category.scores):.3f}; "
        f"accuracy of predict, 1 = defect: {accuracy_score(y_defect, predicted):.3f}, "
        f"+1 = good: {accuracy_score(category.y_test, predicted):.3f}"
    )


def folds(category):
    X, y = category.E, category.y
    integer = check_cv(5, y, classifier=False).split(X, y)
    both = sum(len(np.unique(y[test])) == 2 for _, test in integer)
    print(f"{category.name}: cv=5, good images first: folds with both kinds {both}/5")
    stratified = StratifiedKFold(5, shuffle=True, random_state=0)
    ways = {
        "StratifiedKFold, fit without labels": (stratified, None),
        "StratifiedKFold, fit with labels +1 and -1": (stratified, y),
        "InlierKFold": (FOLDS, y),
    }
    for way, (splitter, labels) in ways.items():
        values, found, alarms = [], [], []
        for train, test in splitter.split(X, y):
            known = None if labels is None else labels[train]
            detector = PaDiM(**ON_EMBEDDINGS).fit(X[train], known)
            scores = detector.score_samples(X[test])
            called = scores < detector.offset_
            values.append(auroc(y[test], scores))
            found.append(called[y[test] == -1])
            alarms.append(called[y[test] == 1])
        print(
            f"{category.name}: {way}: defects in a test fold "
            f"{sorted({len(fold) for fold in found})}, "
            f"AUROC {np.mean(values):.3f} (from {min(values):.3f} to {max(values):.3f}), "
            f"defects found {np.concatenate(found).mean():.1%}, "
            f"good called defective {np.concatenate(alarms).mean():.1%}"
        )


def average_precision(category):
    # As in production, most images are good: five defective ones among all the good ones.
    rng = np.random.default_rng(0)
    train, held_out = next(FOLDS.split(category.E[category.y == 1]))
    good = category.E[category.y == 1]
    bad = rng.permutation(category.E[category.y == -1])[:5]
    X = np.concatenate([good[held_out], bad])
    y = np.repeat([1, -1], [len(held_out), len(bad)])
    detector = PaDiM(**ON_EMBEDDINGS).fit(good[train])
    noise = rng.normal(size=(200, len(y)))
    for name, draws in {"PaDiM": [detector.score_samples(X)], "random scores": noise}.items():
        wrong = np.mean([average_precision_score(y, scores) for scores in draws])
        right = np.mean([average_precision_score(y == -1, -scores) for scores in draws])
        print(
            f"{category.name}: {len(held_out)} good, {len(bad)} defective: {name}: "
            f"average_precision {wrong:.3f}, image_average_precision {right:.3f}"
        )


def scores_across_n_components(category):
    fitted = {}
    for k in (22, 44, 88, 176):
        detector = PaDiM(**ON_EMBEDDINGS, n_components=k, random_state=0).fit(category.E_train)
        fitted[k] = detector, detector.score_samples(category.E_test)
    for k, (detector, scores) in fitted.items():
        good = category.y_test == 1
        likelihood = detector.score(category.E_test[good])
        own, foreign = scores < detector.offset_, scores < fitted[88][0].offset_
        print(
            f"{category.name}: n_components={k}: median score of good "
            f"{np.median(scores[good]):.1f}, offset_ {detector.offset_:.1f}, "
            f"score {likelihood:.0f}, AUROC {auroc(category.y_test, scores):.3f}; good called "
            f"defective and found: {count(own[good])}, {count(own[~good])}; by the threshold of "
            f"88: {count(foreign[good])}, {count(foreign[~good])}"
        )


def colour_order(category):
    if category.name == "grid":
        print("grid: its images are grey")
        return
    scores = category.detector.score_samples(category.test[..., ::-1])
    good, offset = category.y_test == 1, category.detector.offset_
    print(
        f"{category.name}: good called defective: RGB {count(category.scores[good] < offset)}, BGR "
        f"{count(scores[good] < offset)}; median score of good: RGB "
        f"{np.median(category.scores[good]):.1f}, BGR {np.median(scores[good]):.1f}; offset_ "
        f"{offset:.1f}; AUROC: RGB {auroc(category.y_test, category.scores):.3f}, "
        f"BGR {auroc(category.y_test, scores):.3f}"
    )


def resized(images, size, resample):
    return np.stack([Image.fromarray(image).resize(size, resample) for image in images])


def without_antialiasing(images, size):
    """Resize as OpenCV's default and torch's interpolate do."""
    import torch

    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    tensor = torch.nn.functional.interpolate(tensor, size, mode="bilinear", align_corners=False)
    return tensor.permute(0, 2, 3, 1).round().byte().numpy()


def jpeg(images, quality):
    def compress(image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return np.stack([compress(image) for image in images])


def image_sizes(category):
    side = category.good.shape[1]
    wider = side // 6
    ways = {
        "as they are": lambda x: x,
        "a third wider (4:3), edges repeated": lambda x: np.pad(
            x, ((0, 0), (0, 0), (wider, wider), (0, 0)), mode="edge"
        ),
        "a tenth cut off at the right": lambda x: x[:, :, : -side // 10],
        "half the size": lambda x: resized(x, (side // 2, side // 2), Image.Resampling.LANCZOS),
        "a quarter of the size": lambda x: resized(
            x, (side // 4, side // 4), Image.Resampling.LANCZOS
        ),
        "to 224 by Pillow, bicubic": lambda x: resized(x, (224, 224), Image.Resampling.BICUBIC),
        "to 224, bilinear without antialiasing": lambda x: without_antialiasing(x, 224),
        "to 224, nearest": lambda x: resized(x, (224, 224), Image.Resampling.NEAREST),
        "JPEG, quality 95": lambda x: jpeg(x, 95),
        "JPEG, quality 75": lambda x: jpeg(x, 75),
        "JPEG, quality 25": lambda x: jpeg(x, 25),
    }
    for way, change in ways.items():
        scores = category.detector.score_samples(change(category.good))
        print(
            f"{category.name}: {way}: good called defective "
            f"{count(scores < category.detector.offset_)}, median score {np.median(scores):.1f}"
        )
    smaller = PaDiM().fit(jpeg(category.train, 25))
    print(
        f"{category.name}: fitted on JPEG of quality 25, given the same: good called defective "
        f"{count(smaller.predict(jpeg(category.good, 25)) == -1)}, found "
        f"{count(smaller.predict(jpeg(category.defective, 25)) == -1)}"
    )


def normalised_heatmaps(category):
    threshold = -category.detector.offset_
    for kind, label in {"good": 1, "defective": -1}.items():
        heatmaps = category.heatmaps[category.y_test == label]
        low = heatmaps.min(axis=(1, 2), keepdims=True)
        high = heatmaps.max(axis=(1, 2), keepdims=True)
        red = ((heatmaps - low) / (high - low) > 0.5).mean(axis=(1, 2))
        marked = (heatmaps > threshold).mean(axis=(1, 2))
        print(
            f"{category.name}, {kind}: pixels above half of the image's own range: in "
            f"{count(red > 0)} images, median {np.median(red):.1%}; above the threshold: in "
            f"{count(marked > 0)} images, median {np.median(marked):.1%}"
        )


def copies_of_the_model(category):
    gaussian = category.detector.gaussian_
    arrays = (value for value in vars(gaussian).values() if isinstance(value, np.ndarray))
    print(
        f"{category.name}: arrays of a fitted detector {sum(a.nbytes for a in arrays) / 2**20:.0f} "
        "MiB; several processes on a GPU: not measured"
    )


def few_images(category):
    rng = np.random.default_rng(0)
    good, bad = category.E[category.y == 1], category.E[category.y == -1]
    for n in (5, 10, 19, 50, 100):
        alarms, found = [], []
        for _ in range(5):
            order = rng.permutation(len(good))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                detector = PaDiM(**ON_EMBEDDINGS).fit(good[order[:n]])
            alarms.append(np.mean(detector.predict(good[order[n:]]) == -1))
            found.append(np.mean(detector.predict(bad) == -1))
        print(
            f"{category.name}: {n} images, mean of 5 draws: good called defective "
            f"{np.mean(alarms):.1%} (from {min(alarms):.1%} to {max(alarms):.1%}), defects found "
            f"{np.mean(found):.1%}"
        )


def window(images, down=0, right=0, degrees=0):
    """Cut out the middle, so that moved images hold real pixels to the border."""
    side, margin = images.shape[1], 32
    if degrees:
        turned = [Image.fromarray(i).rotate(degrees, Image.Resampling.BICUBIC) for i in images]
        images = np.stack(turned)
    return images[:, margin + down : side - margin + down, margin + right : side - margin + right]


def unaligned_parts(category):
    side = category.train.shape[1] - 64
    detector = PaDiM().fit(window(category.train))
    reach = round(0.04 * side)
    rng = np.random.default_rng(0)

    def strewn(images):
        moves = rng.integers(-reach, reach + 1, size=(len(images), 2))
        parts = [window(i[None], *move) for i, move in zip(images, moves, strict=True)]
        return np.concatenate(parts)

    for share in (0, 0.005, 0.01, 0.02, 0.04):
        pixels = round(share * side)
        moved = window(category.good, right=pixels)
        print(
            f"{category.name}: moved by {share:.1%} of the width ({pixels} of {side} pixels): good "
            f"called defective {count(detector.predict(moved) == -1)}"
        )
    for degrees in (1, 2, 5):
        turned = window(category.good, degrees=degrees)
        print(
            f"{category.name}: turned by {degrees} degrees: good called defective "
            f"{count(detector.predict(turned) == -1)}"
        )
    good, bad = strewn(category.good), strewn(category.defective)
    used = PaDiM().fit(strewn(category.train))
    for way, model in {"in place": detector, "moved alike": used}.items():
        print(
            f"{category.name}: moved at random by up to 4 %, trained on images {way}: AUROC "
            f"{auroc(category.y_test, model.score_samples(rejoin(category, good, bad))):.3f}, good "
            f"called defective {count(model.predict(good) == -1)}, found "
            f"{count(model.predict(bad) == -1)}"
        )
    print(
        f"{category.name}: all in place: AUROC "
        f"{auroc(category.y_test, detector.score_samples(window(category.test))):.3f}, found "
        f"{count(detector.predict(window(category.defective)) == -1)}"
    )


def rejoin(category, good, bad):
    images = np.empty((len(category.y_test), *good.shape[1:]), np.uint8)
    images[category.y_test == 1], images[category.y_test == -1] = good, bad
    return images


SECTIONS = {
    "Thresholds from the training scores": in_sample_thresholds,
    "Labels and signs": labels_and_signs,
    "Folds": folds,
    "Average precision": average_precision,
    "Scores across n_components": scores_across_n_components,
    "Colour order": colour_order,
    "Image sizes and compression": image_sizes,
    "Heatmaps normalised image by image": normalised_heatmaps,
    "GPU and n_jobs": copies_of_the_model,
    "Few images": few_images,
    "Unaligned parts": unaligned_parts,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", help="folder that holds the categories bottle and grid")
    categories = [Category(parser.parse_args().root, name) for name in ("bottle", "grid")]
    for text, section in SECTIONS.items():
        heading(text)
        for category in categories:
            section(category)


if __name__ == "__main__":
    main()
