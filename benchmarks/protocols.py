"""How the preparation of images and their number change the accuracy.

On categories laid out like MVTec AD, with the default detector, in Markdown:

- moved: the paper's test of parts that are not aligned. Training and test images are resized to
  256, rotated by up to 10 degrees, and cropped to 224 at random places; masks follow. Where a
  rotation leaves nothing, images are black.
- resizing: 224 at once, or 256 and the middle 224 of it.
- sizes: random subsets of the training images, and what the default threshold does with them.

    python benchmarks/protocols.py ROOT bottle grid
    python benchmarks/protocols.py ROOT bottle --only sizes --sizes 5 10 20 --draws 10

Means are given with their standard errors over the draws.
"""

import argparse
import tempfile
import warnings

import numpy as np
from _evaluation import ImageSet, accuracy, print_head, print_row, read_category
from PIL import Image
from sklearn.metrics import roc_auc_score

from skpadim import PaDiM, PatchEmbedder
from skpadim.heatmaps import heatmap_scores

# Of the paper, in pixels and degrees.
RESIZED, CROPPED, ANGLE = 256, 224, 10
# In pixels: wide enough for nearly all that is black.
MARGIN = 32
MEASURES = ("image AUROC", "pixel AUROC", "PRO")


def resized(images, size):
    shape = (size, size)
    return np.stack([Image.fromarray(i).resize(shape, Image.Resampling.BICUBIC) for i in images])


def moved(data, seed):
    """Rotate and crop all images at random, and the masks, which are 256 x 256, with them."""
    rng = np.random.default_rng(seed)
    no_masks = np.zeros((len(data.train), RESIZED, RESIZED), bool)
    train, _ = _moved(data.train, no_masks, rng)
    test, masks = _moved(data.test, data.masks, rng)
    return ImageSet(data.name, train, test, data.y, masks)


def _moved(images, masks, rng):
    parts = []
    for image, mask in zip(resized(images, RESIZED), masks, strict=True):
        angle = rng.uniform(-ANGLE, ANGLE)
        top, left = rng.integers(0, RESIZED - CROPPED + 1, size=2)
        window = (left, top, left + CROPPED, top + CROPPED)
        parts.append(
            [
                np.asarray(Image.fromarray(pixels).rotate(angle, resample).crop(window))
                for pixels, resample in (
                    (image, Image.Resampling.BICUBIC),
                    (mask.view(np.uint8), Image.Resampling.NEAREST),
                )
            ]
        )
    images, masks = zip(*parts, strict=True)
    return np.stack(images), np.stack(masks).view(bool)


def middle(masks):
    """Cut out what a centre crop leaves."""
    margin = (RESIZED - CROPPED) // 2
    return masks[:, margin : margin + CROPPED, margin : margin + CROPPED]


def judge(data, size=None, **embedder):
    """Fit, and return heatmaps of a size, which by default is the network's, and scores."""
    detector = PaDiM(embedder=PatchEmbedder(**embedder)).fit(data.train)
    heatmaps = detector.predict_heatmap(data.test, size)
    scores = heatmap_scores(heatmaps) if size is None else detector.score_samples(data.test)
    return scores, heatmaps


def in_words(draws):
    """Mean and standard error of each column."""
    draws = np.asarray(draws)
    means = draws.mean(axis=0)
    if len(draws) == 1:
        return [f"{mean:.3f}" for mean in means]
    errors = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    return [f"{mean:.3f} ± {error:.3f}" for mean, error in zip(means, errors, strict=True)]


def parts_that_are_moved(categories, arguments):
    print_head("", "images", *MEASURES, f"image AUROC, but for {MARGIN} pixels at the border")
    for data in categories:
        aligned = data._replace(masks=middle(data.masks))
        row = with_and_without_border(aligned, image_size=RESIZED, crop_size=CROPPED)
        print_row(data.name, "aligned", *in_words([row]))
        draws = [with_and_without_border(moved(data, seed)) for seed in range(arguments.draws)]
        print_row(data.name, "rotated and cropped", *in_words(draws))


def with_and_without_border(data, **embedder):
    scores, heatmaps = judge(data, **embedder)
    inner = heatmap_scores(heatmaps[:, MARGIN:-MARGIN, MARGIN:-MARGIN])
    return *accuracy(data.y, scores, data.masks, heatmaps), roc_auc_score(data.y == -1, -inner)


def ways_to_resize(categories, arguments):
    print_head("", "images", "pixels compared", *MEASURES)
    crop = {"image_size": RESIZED, "crop_size": CROPPED}
    for data in categories:
        for images, pixels, judged, masks in (
            ("224", "all", judge(data, RESIZED, image_size=CROPPED), data.masks),
            ("256", "all", judge(data, image_size=RESIZED), data.masks),
            ("256, cropped to 224", "all", judge(data, RESIZED, **crop), data.masks),
            ("256, cropped to 224", "of the crop", judge(data, **crop), middle(data.masks)),
        ):
            scores, heatmaps = judged
            row = accuracy(data.y, scores, masks, heatmaps)
            print_row(data.name, images, pixels, *in_words([row]))


def numbers_of_images(categories, arguments):
    print_head("", "training images", *MEASURES, "false alarms", "promised, at most", "found")
    # Test images are embedded once.
    with tempfile.TemporaryDirectory() as memory:
        for data in categories:
            rng = np.random.default_rng(0)
            n_all = len(data.train)
            for n in [*(n for n in arguments.sizes if n < n_all), n_all]:
                subsets = [rng.permutation(n_all)[:n] for _ in range(arguments.draws)]
                subsets = subsets if n < n_all else subsets[:1]
                rows = [with_some(data, subset, memory) for subset in subsets]
                measures = in_words([row[:3] for row in rows])
                alarms, found = (in_percent([row[i] for row in rows]) for i in (3, 4))
                print_row(data.name, str(n), *measures, alarms, f"{promised(n):.1%}", found)


def with_some(data, subset, memory):
    with warnings.catch_warnings():
        # That the rate cannot be promised.
        warnings.simplefilter("ignore", UserWarning)
        detector = PaDiM(memory=memory).fit(data.train[subset])
    heatmaps = detector.predict_heatmap(data.test)
    scores = heatmap_scores(heatmaps)
    called = scores < detector.offset_
    measures = accuracy(data.y, scores, data.masks, heatmaps)
    return *measures, called[data.y == 1].mean(), called[data.y == -1].mean()


def in_percent(shares):
    if len(shares) == 1:
        return f"{shares[0]:.1%}"
    return f"{np.mean(shares):.1%} ± {np.std(shares, ddof=1) / np.sqrt(len(shares)):.1%}"


def promised(n, rate=0.05):
    """Probability that a fresh good image is below the threshold of n good ones, at most."""
    return max(int((n + 1) * rate + 1e-9), 1) / (n + 1)


# With the size of the masks of each.
PROTOCOLS = {
    "moved": (parts_that_are_moved, RESIZED),
    "resizing": (ways_to_resize, RESIZED),
    "sizes": (numbers_of_images, CROPPED),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category", nargs="+")
    parser.add_argument("--only", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument(
        "--draws", type=int, default=5, metavar="N", help="seeds and subsets; default: 5"
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        default=[5, 10, 20, 50, 100],
        metavar="N",
        help="numbers of training images, besides all; default: 5 10 20 50 100",
    )
    arguments = parser.parse_args()
    if arguments.draws < 2:
        parser.error(f"--draws must be 2 or more, for a standard error; got {arguments.draws}")
    if min(arguments.sizes) < 2:
        parser.error(f"--sizes must be 2 or more; got {min(arguments.sizes)}")
    for name in arguments.only:
        protocol, mask_size = PROTOCOLS[name]
        categories = [read_category(arguments.root, c, mask_size) for c in arguments.category]
        print(f"\n{name}\n")
        protocol(categories, arguments)


if __name__ == "__main__":
    main()
