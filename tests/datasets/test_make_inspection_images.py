"""Synthetic pictures: as many as asked for, reproducible, with masks that tell the truth."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.utils import check_random_state

from skpadim.datasets import make_inspection_images

DEFECTS = ["scratch", "dent", "stain", "missing_piece"]


@pytest.fixture(scope="module")
def parts():
    return make_inspection_images(4, 12, image_size=128, random_state=0)


@pytest.fixture(scope="module")
def before_and_after():
    """The same sixteen parts, flawless and damaged."""
    before = make_inspection_images(16, 0, image_size=128, random_state=1)
    after = make_inspection_images(0, 16, image_size=128, random_state=1)
    return before.images.astype(int), after.images.astype(int), after.masks


def test_there_are_as_many_pictures_as_asked_for_good_ones_first(parts):
    assert parts.images.shape == (16, 128, 128, 3)
    assert parts.images.dtype == np.uint8
    np.testing.assert_array_equal(parts.y, [1] * 4 + [-1] * 12)


def test_the_kinds_of_defects_take_turns(parts):
    assert list(parts.defects) == ["good"] * 4 + DEFECTS * 3


def test_masks_are_empty_for_good_parts_and_only_for_them(parts):
    assert parts.masks.shape == (16, 128, 128)
    assert parts.masks.dtype == bool
    np.testing.assert_array_equal(parts.masks.any(axis=(1, 2)), parts.y == -1)


def test_a_defect_covers_little_of_the_picture(parts):
    assert parts.masks.mean(axis=(1, 2)).max() < 0.05


def test_the_description_counts_the_pictures(parts):
    assert "4 good and 12 defective" in parts.DESCR


def test_outside_of_the_mask_a_defect_is_hardly_to_be_seen(before_and_after):
    before, after, masks = before_and_after
    # Below 6 grey levels in light; photon noise and rounding can move that by another two.
    assert np.abs(before - after).max(axis=3)[~masks].max() <= 8


def test_within_the_mask_a_defect_is_to_be_seen(before_and_after):
    before, after, masks = before_and_after
    visible = np.abs(before - after).max(axis=3) >= 5
    assert (visible & masks).any(axis=(1, 2)).all()
    assert visible[masks].mean() > 0.85  # the rest are gaps that were closed


def test_a_mask_follows_its_defect_to_the_pixel(before_and_after):
    before, after, masks = before_and_after
    visible = np.abs(before - after).max(axis=3) >= 9
    edges = masks & ~ndimage.binary_erosion(masks, structure=np.ones((1, 3, 3)))
    assert not (visible & ~masks).any()
    near = ndimage.binary_dilation(visible, structure=np.ones((1, 5, 5)))
    assert near[edges].mean() > 0.9


def test_the_same_seed_gives_the_same_bytes(parts):
    again = make_inspection_images(4, 12, image_size=128, random_state=0)
    assert again.images.tobytes() == parts.images.tobytes()
    assert again.masks.tobytes() == parts.masks.tobytes()


def test_another_seed_gives_other_pictures(parts):
    other = make_inspection_images(4, 0, image_size=128, random_state=2)
    assert np.all((other.images != parts.images[:4]).any(axis=(1, 2, 3)))


def test_a_random_state_is_advanced_by_each_call():
    rng = np.random.RandomState(0)
    first = make_inspection_images(1, 0, image_size=64, random_state=rng)
    second = make_inspection_images(1, 0, image_size=64, random_state=rng)
    assert (first.images != second.images).any()


def test_the_global_random_state_is_left_alone():
    global_state = check_random_state(None)
    before = global_state.get_state()[1].copy()
    make_inspection_images(1, 1, image_size=64, random_state=0)
    np.testing.assert_array_equal(global_state.get_state()[1], before)


def test_good_parts_stay_the_same_whatever_else_is_asked_for(parts):
    fewer = make_inspection_images(4, 1, image_size=128, random_state=0)
    np.testing.assert_array_equal(fewer.images[:4], parts.images[:4])


def test_good_parts_differ_a_little_from_each_other():
    images = make_inspection_images(12, 0, image_size=128, random_state=0).images.astype(float)
    spread = images.std(axis=0).mean()
    assert 2 < spread < 20  # grey levels


def test_pictures_use_the_range_of_the_sensor_without_clipping(parts):
    assert parts.images.min() < 30
    assert 200 < parts.images.max() <= 255
    assert (parts.images == 255).mean() < 0.01


@pytest.mark.parametrize("image_size", [(64, 96), (120, 80)])
def test_pictures_may_be_oblong(image_size):
    parts = make_inspection_images(1, 4, image_size=image_size, random_state=0)
    assert parts.images.shape == (5, *image_size, 3)
    assert parts.masks.shape == (5, *image_size)
    np.testing.assert_array_equal(parts.masks.any(axis=(1, 2)), parts.y == -1)


def test_no_defect_is_lost_in_small_pictures():
    masks = make_inspection_images(0, 400, image_size=64, random_state=1).masks
    assert masks.any(axis=(1, 2)).all()


def test_only_good_or_only_defective_parts_can_be_had():
    assert list(make_inspection_images(0, 1, image_size=64).y) == [-1]
    assert list(make_inspection_images(1, 0, image_size=64).y) == [1]


@pytest.mark.parametrize("argument", ["n_good", "n_defective"])
@pytest.mark.parametrize("number", [-1, 2.5, "3"])
def test_numbers_of_pictures_are_checked(argument, number):
    with pytest.raises(ValueError, match=f"{argument} must be an int of at least 0"):
        make_inspection_images(**{argument: number})


@pytest.mark.parametrize("image_size", [63, (64, 63), (64, 64, 3), 128.0])
def test_sizes_are_checked(image_size):
    with pytest.raises(ValueError, match=r"image_size=.* must be one integer of at least 64 or"):
        make_inspection_images(1, 1, image_size=image_size)
