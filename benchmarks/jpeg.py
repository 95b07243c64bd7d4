"""What decoding JPEG files at a reduced scale saves, and what it changes.

The images of categories of a data set laid out like MVTec AD are enlarged and saved as JPEG. They
are read and resized to the network's input by one thread: whole, and reduced by the decoder to no
less than some multiple of that input. A detector that has learnt from whole images scores all.

    python benchmarks/jpeg.py ROOT bottle grid --side 1800
"""

import argparse
import io
import time

import numpy as np
from PIL import Image

from skpadim import PaDiM
from skpadim.datasets import load_mvtec_ad

SIZE = 224
# Of the network's input. skpadim's jpeg_draft has three.
FACTORS = (3, 2, 1)
N_TRAIN = 60


def compressed(path, side):
    content = io.BytesIO()
    with Image.open(path) as image:
        large = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    large.save(content, "JPEG", quality=90)
    return content.getvalue()


def read(content, factor):
    image = Image.open(io.BytesIO(content))
    if factor:
        image.draft("RGB", (factor * SIZE, factor * SIZE))
    return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def read_all(contents, factor):
    """Read files, and tell the milliseconds for each."""
    start = time.perf_counter()
    images = np.stack([read(content, factor) for content in contents])
    return images, 1e3 * (time.perf_counter() - start) / len(contents)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category", nargs="+")
    parser.add_argument("--side", type=int, default=1800, help="of the enlarged images, in pixels")
    arguments = parser.parse_args()
    print(f"{'':<24} ms  levels of 255  scores: median  largest  other decisions")
    for category in arguments.category:
        data = load_mvtec_ad(arguments.root, category)
        files = [*data.X_train[:N_TRAIN], *data.X_test]
        contents = [compressed(file, arguments.side) for file in files]
        whole, milliseconds = read_all(contents, None)
        print(f"{f'{category}, whole':<20} {milliseconds:6.1f}")
        detector = PaDiM().fit(whole[:N_TRAIN])
        scores = detector.score_samples(whole[N_TRAIN:])
        for factor in FACTORS:
            images, milliseconds = read_all(contents, factor)
            drafts = detector.score_samples(images[N_TRAIN:])
            change = np.abs(drafts / scores - 1)
            decisions = (drafts < detector.offset_) != (scores < detector.offset_)
            print(
                f"{f'{category}, {factor} x {SIZE}':<20} {milliseconds:6.1f}"
                f"  {np.abs(images.astype(int) - whole).max():13}"
                f"  {np.median(change):14.4f}  {change.max():7.4f}"
                f"  {decisions.sum()} of {len(decisions)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
