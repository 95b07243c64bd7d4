"""Sizes, which are given in one way everywhere."""

import numpy as np
import pytest
from sklearn.base import clone

from skpadim import PatchEmbedder
from skpadim.datasets import make_inspection_images, read_masks
from skpadim.heatmaps import resize_heatmaps, to_heatmaps
from skpadim.images import center_crop_slices, iter_batches

# What each makes of a size, as the shape that comes out.
MAKERS = {
    "read_masks": lambda size: read_masks([None], size).shape[1:],
    "iter_batches": lambda size: next(iter_batches(np.zeros((1, 9, 9)), size)).shape[1:3],
    "crop": lambda size: next(iter_batches(np.zeros((1, 9, 9)), 128, size)).shape[1:3],
    "center_crop_slices": lambda size: tuple(
        kept.stop - kept.start for kept in center_crop_slices(128, size)
    ),
    "to_heatmaps": lambda size: to_heatmaps(np.zeros((1, 3, 3)), size).shape[1:],
    "resize_heatmaps": lambda size: resize_heatmaps(np.zeros((1, 3, 3)), size).shape[1:],
    "make_inspection_images": lambda size: (
        make_inspection_images(1, 0, image_size=size).images[0].shape[:2]
    ),
    "image_size": lambda size: PatchEmbedder(image_size=size).input_size,
    "crop_size": lambda size: PatchEmbedder(crop_size=size).input_size,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (70, (70, 70)),
        (np.int64(70), (70, 70)),
        (np.array(70), (70, 70)),
        ((70, 90), (70, 90)),
        ([70, 90], (70, 90)),
        ((np.uint8(70), 90), (70, 90)),
        (np.array([70, 90]), (70, 90)),
    ],
)
def test_a_size_is_one_number_or_two_in_any_form(make, size, expected):
    assert make(size) == expected


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    "size",
    [
        *(True, (70, True), np.array([True, True])),
        *(0, (70, -1)),
        *(70.0, np.array([70.0, 90.0]), "70", ("70", "70")),
        *((70,), (70, 70, 70), np.ones((2, 2), int), {70, 90}),
    ],
)
def test_what_is_no_size_is_refused(make, size):
    with pytest.raises(ValueError, match=r"size=(?s:.*) must be one .*integer.* or two, \(h"):
        make(size)


def test_an_array_of_two_numbers_is_a_size_of_images_to_embed():
    embedder = clone(PatchEmbedder(image_size=np.array([64, 96]), engine="torch"))
    assert embedder.fit().transform(np.zeros((1, 9, 9), np.uint8)).shape == (1, 8, 12, 176)
