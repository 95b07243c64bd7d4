"""Masks from files, at the size of heatmaps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skpadim.datasets import read_masks
from skpadim.images import ImageSequence

PIXELS = np.array([[0, 255, 0], [255, 255, 0]], dtype=np.uint8)


def test_masks_are_true_where_the_file_is_not_black(write_image):
    masks = read_masks([write_image("mask.png", PIXELS)], (2, 3))
    assert masks.dtype == bool
    np.testing.assert_array_equal(masks, [PIXELS > 0])


def test_none_is_an_image_without_a_defect(write_image):
    masks = read_masks([None, str(write_image("mask.png", PIXELS)), None], (2, 3))
    assert masks.sum(axis=(1, 2)).tolist() == [0, 3, 0]


def test_one_number_is_height_and_width():
    assert read_masks([None], 5).shape == (1, 5, 5)


def test_no_masks_are_an_empty_array():
    assert read_masks([], (2, 3)).shape == (0, 2, 3)


def test_masks_grow_pixel_by_pixel(write_image):
    masks = read_masks([write_image("mask.png", PIXELS)], (4, 9))
    np.testing.assert_array_equal(masks[0], np.kron(PIXELS > 0, np.ones((2, 3), dtype=bool)))


def test_masks_shrink_to_the_nearest_pixels(write_image):
    large = np.kron(PIXELS, np.ones((5, 5), dtype=np.uint8))
    np.testing.assert_array_equal(
        read_masks([write_image("mask.png", large)], (2, 3)), [PIXELS > 0]
    )


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda mask: Image.fromarray(mask).convert("1"), id="one bit"),
        pytest.param(lambda mask: Image.fromarray(mask).convert("RGB"), id="RGB"),
        pytest.param(lambda mask: Image.fromarray(mask).convert("RGBA"), id="RGBA"),
        pytest.param(lambda mask: Image.fromarray(~mask).convert("P"), id="palette, inverted"),
        pytest.param(lambda mask: Image.fromarray(mask // 255), id="class numbers"),
        pytest.param(lambda mask: Image.fromarray((mask // 255).astype(np.uint16)), id="16 bits"),
    ],
)
def test_the_way_a_mask_is_stored_does_not_matter(tmp_path, convert):
    image = convert(PIXELS)
    if image.mode == "P":  # index 0 is white, and 255 black
        image.putpalette([255 - value // 3 for value in range(768)])
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_masks([tmp_path / "mask.png"], (2, 3)), [PIXELS > 0])


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (3, lambda stored: stored[::-1, ::-1]),
        (6, lambda stored: np.rot90(stored, -1)),
        (8, np.rot90),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_a_mask_that_lies_on_its_side_is_turned_as_its_image_is(
    tmp_path, suffix, orientation, turn
):
    path = tmp_path / f"mask.{suffix}"
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(PIXELS).convert("RGB").save(path, exif=tags, lossless=True)
    expected = turn(PIXELS) > 0
    np.testing.assert_array_equal(read_masks([path], expected.shape), [expected])
    np.testing.assert_array_equal(ImageSequence([path])[0].max(axis=2) > 0, expected)


def test_a_jpeg_is_defective_from_half_of_white_on(tmp_path):
    mask = np.zeros((32, 32), np.uint8)
    mask[5:21, 9:27] = 255
    Image.fromarray(mask).save(tmp_path / "mask.jpg", quality=60)
    with Image.open(tmp_path / "mask.jpg") as image:
        assert not set(np.unique(image)) <= {0, 255}  # what compression leaves
    np.testing.assert_array_equal(read_masks([tmp_path / "mask.jpg"], 32), [mask > 0])


def test_a_jpeg_with_class_numbers_is_refused(write_image):
    path = write_image("mask.jpg", np.full((8, 8), 3, np.uint8))
    with pytest.raises(ValueError, match=r"mask_paths\[1\], .*mask\.jpg, .* brightest pixel is 3"):
        read_masks([None, path], 8)


def test_a_black_jpeg_has_no_defect(write_image):
    assert not read_masks([write_image("mask.jpg", np.zeros((8, 8), np.uint8))], 8).any()


def test_of_a_folder_of_masks_the_union_counts(write_image, tmp_path):
    write_image("000/000.png", np.array([[255, 0, 0]], np.uint8))
    write_image("000/001.png", np.array([[0, 0, 128]], np.uint8))
    masks = read_masks([tmp_path / "000"], (1, 3))
    np.testing.assert_array_equal(masks, [[[True, False, True]]])


def test_masks_of_one_image_must_have_one_size(write_image, tmp_path):
    write_image("000/000.png", np.zeros((2, 3), np.uint8))
    write_image("000/001.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match=r"mask_paths\[0\], .*000, has masks of 2 sizes"):
        read_masks([tmp_path / "000"], 4)


def test_a_folder_without_a_mask_is_named(tmp_path):
    (tmp_path / "000").mkdir()
    with pytest.raises(ValueError, match=r"mask_paths\[0\] has no image: .*000"):
        read_masks([tmp_path / "000"], 4)


def test_numpy_files_hold_one_mask_or_those_of_a_video(tmp_path):
    stack = np.array([PIXELS, ~PIXELS])
    np.save(tmp_path / "video.npy", stack)
    np.save(tmp_path / "mask.npy", PIXELS)
    paths = [tmp_path / "video.npy" / "1", str(tmp_path / "mask.npy"), tmp_path / "video.npy/0"]
    np.testing.assert_array_equal(
        read_masks(paths, (2, 3)), np.array([~PIXELS, PIXELS, PIXELS]) > 0
    )


@pytest.mark.parametrize("name", ["2", "-1", "x"])
def test_a_mask_that_is_not_in_the_video_is_named(tmp_path, name):
    np.save(tmp_path / "video.npy", np.array([PIXELS, PIXELS]))
    with pytest.raises(ValueError, match=rf"video.npy has the shape \(2, 2, 3\).* no mask {name}"):
        read_masks([tmp_path / "video.npy" / name], 4)


def test_the_whole_video_is_no_mask(tmp_path):
    np.save(tmp_path / "video.npy", np.array([PIXELS, PIXELS]))
    with pytest.raises(ValueError, match=r"shape \(2, 2, 3\); a mask has .* name one: .*npy/0"):
        read_masks([tmp_path / "video.npy"], 4)


@pytest.mark.parametrize("content", [b"", b"not an array"])
def test_a_file_that_is_no_numpy_file_is_named(tmp_path, content):
    (tmp_path / "mask.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"mask_paths\[0\], .*mask.npy, cannot be read as a NumPy"):
        read_masks([tmp_path / "mask.npy"], 4)
    with pytest.raises(FileNotFoundError, match=r"mask_paths\[0\]: there is no file .*none.npy"):
        read_masks([tmp_path / "none.npy" / "0"], 4)


def test_a_missing_file_is_named_with_its_index(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mask_paths\[1\]: there is no file .*mask\.png"):
        read_masks([None, tmp_path / "mask.png"], 4)


def test_a_file_that_is_no_image_is_named_with_its_index(tmp_path):
    (tmp_path / "mask.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"mask_paths\[0\], .*is not an image in a format"):
        read_masks([tmp_path / "mask.png"], 4)


def test_a_decompression_bomb_is_named_with_its_index(write_image, monkeypatch):
    path = write_image("mask.png", PIXELS)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    with pytest.raises(ValueError, match=r"mask_paths\[1\], .*mask\.png, is too large"):
        read_masks([None, path], 4)


@pytest.mark.parametrize("path", ["mask.png", Path("mask.png")])
def test_one_path_is_no_list(path):
    with pytest.raises(TypeError, match=r"mask_paths is one path, 'mask\.png'.*\[mask_paths\]"):
        read_masks(path, 4)


@pytest.mark.parametrize("element", [3, b"mask.png", np.zeros((2, 3))])
def test_an_element_that_is_no_path_is_named_before_a_file_is_read(element):
    with pytest.raises(TypeError, match=r"mask_paths\[1\] has type .*; it must be a path"):
        read_masks(["missing.png", element], 4)


@pytest.mark.parametrize("size", [0, -3, (4,), (4, 0), (1, 2, 3), 4.5, None, "4"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(
        ValueError,
        match=r"^size=.* must be one positive integer or two, \(height, w",
    ):
        read_masks([None], size)


def test_real_masks_keep_their_share_of_the_picture(real_data):
    paths = real_data("bottle").masks_test
    shares = read_masks(paths, 450).mean(axis=(1, 2))
    reduced = read_masks(paths, 224).mean(axis=(1, 2))
    np.testing.assert_allclose(reduced, shares, rtol=0.02, atol=3e-4)
    assert np.all((shares > 0) == np.array([path is not None for path in paths]))
