"""Compare the heatmaps of skpadim.recipes.anomalib with those of anomalib 2.7.

On a category laid out like MVTec AD. Both have the same weights and the same channels, and
anomalib's part is its own torch model, in an environment of its own as for compare_anomalib.py.

    python benchmarks/parity_anomalib.py ROOT bottle

Printed are the largest differences of a pixel and of the score of an image, relative to anomalib's;
without pixels below a thousandth of the score, such as those of a background that is always white,
where there is nothing but rounding. The border is what the Gaussian filter, of a radius of 16
pixels, reaches from beyond the edge. ResNet-18 has random weights, so that nothing is downloaded;
EfficientNet-Lite0 has ImageNet's.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from compare_anomalib import ENVIRONMENTS, environment, lite0_weights, positive, run_worker
from PIL import Image

from skpadim import recipes
from skpadim.datasets import load_mvtec_ad
from skpadim.images import read_image

SIZE, RADIUS = 256, 16
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

# What anomalib's part differs in: whether its Gaussians are in float64, and whether it resizes.
ANOMALIB = {
    "as it is, on the pixels that Pillow resizes": {"float64": False, "own_resize": False},
    "the same, its Gaussians in float64": {"float64": True, "own_resize": False},
    "as it is, on the pixels that it resizes": {"float64": False, "own_resize": True},
}
# What skpadim's does.
SKPADIM = {
    "the recipe": {},
    "with scipy's border": {"smoothing__mode": "reflect"},
}


def networks(folder):
    """Names for skpadim and anomalib, files of weights, layers and statistics of the input."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        resnet = timm.create_model("resnet18")
    torch.save(resnet.state_dict(), folder / "resnet18.pth")
    layers = ["layer1", "layer2", "layer3"]
    yield "timm/resnet18", "resnet18", folder / "resnet18.pth", layers, IMAGENET
    layers = ["blocks.1", "blocks.2", "blocks.4"]
    statistics = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}
    yield "efficientnet_lite0", "tf_efficientnet_lite0", lite0_weights(), layers, statistics


def some(paths, count):
    """As many of the paths as wanted, or all."""
    return list(paths[np.linspace(0, len(paths) - 1, min(max(count, 2), len(paths))).astype(int)])


def compare(expected, heatmaps):
    scores, expected_scores = (maps.max(axis=(1, 2)) for maps in (heatmaps, expected))
    compared = expected >= 1e-3 * expected_scores[:, np.newaxis, np.newaxis]
    difference = np.zeros_like(expected)
    np.divide(np.abs(heatmaps - expected), expected, out=difference, where=compared)
    inside = np.zeros((SIZE, SIZE), dtype=bool)
    inside[RADIUS:-RADIUS, RADIUS:-RADIUS] = True
    return (
        difference[:, inside].max(),
        difference[:, ~inside].max(),
        (np.abs(scores - expected_scores) / expected_scores).max(),
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category")
    parser.add_argument(
        "--env",
        type=Path,
        default=ENVIRONMENTS,
        metavar="FOLDER",
        help="where the environment is, or is made: a folder called anomalib; default: %(default)s",
    )
    parser.add_argument(
        "--images",
        type=positive,
        default=60,
        metavar="N",
        help="training images, and a third as many test images, spread over all there are; "
        "default: 60",
    )
    arguments = parser.parse_args()
    try:
        data = load_mvtec_ad(arguments.root, arguments.category)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    python = environment(arguments.env / "anomalib", "anomalib")
    with tempfile.TemporaryDirectory(prefix="skpadim-benchmark-") as temporary:
        folder = Path(temporary)
        good, new = some(data.X_train, arguments.images), some(data.X_test, arguments.images // 3)
        files = {"good": good, "new": new}
        images = {name: [read_image(path) for path in paths] for name, paths in files.items()}
        images = {
            name: [
                image if image.ndim == 3 else image[..., np.newaxis].repeat(3, axis=2)
                for image in of_one
            ]
            for name, of_one in images.items()
        }
        for name, of_one in images.items():
            small = [
                np.asarray(Image.fromarray(i).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
                for i in of_one
            ]
            np.save(folder / f"{name}-True.npy", np.stack(of_one))
            np.save(folder / f"{name}-False.npy", np.stack(small))
        print("| backbone | anomalib | skpadim | inside | at the border | scores |")
        print("|---" * 6 + "|")
        for backbone, name, weights, layers, statistics in networks(folder):
            detector = recipes.anomalib(backbone, weights=weights, random_state=0)
            detector.set_params(n_components=100, embedder__engine="torch").fit(good)
            own = {}
            for title, parameters in SKPADIM.items():
                detector.set_params(smoothing__mode="mirror").set_params(**parameters)
                own[title] = detector.predict_heatmap(new)
            for settings, how in ANOMALIB.items():
                request = {
                    **how,
                    **statistics,
                    "images": {n: str(folder / f"{n}-{how['own_resize']}.npy") for n in images},
                    "backbone": name,
                    "layers": layers,
                    "weights": str(weights),
                    "kept": detector.components_.tolist(),
                    "heatmaps": str(folder / "heatmaps.npy"),
                }
                versions = run_worker(name, "anomalib_parity", python, request)
                expected = np.load(folder / "heatmaps.npy").astype(np.float64)
                for title, heatmaps in own.items():
                    cells = " | ".join(f"{value:.1e}" for value in compare(expected, heatmaps))
                    print(f"| {backbone} | {settings} | {title} | {cells} |", flush=True)
    print(
        f"\n{arguments.category}: {len(good)} training and {len(new)} test images; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
    )


if __name__ == "__main__":
    main()
