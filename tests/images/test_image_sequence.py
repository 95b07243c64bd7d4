"""Every form of X is one sequence of uint8 images, or an error that says what to do."""

import gc
import os
import pickle
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from skpadim.images import ImageSequence, read_image


@pytest.fixture
def stack():
    """Three RGB images of 5 x 7 pixels."""
    return np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)


@pytest.fixture
def paths(tmp_path, stack):
    """The same as PNG files."""
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(paths, stack, strict=True):
        Image.fromarray(image).save(path)
    return paths


def assert_holds(images, expected):
    assert len(images) == len(expected)
    for image, wanted in zip(images, expected, strict=True):
        np.testing.assert_array_equal(image, wanted, strict=True)
        assert image.flags.c_contiguous
    assert images.sizes == [wanted.shape[:2] for wanted in expected]


# ------------------------------------------------------------------------------------ forms of X


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        lambda paths: [str(path) for path in paths],
        lambda paths: np.array([str(path) for path in paths]),
        lambda paths: np.array([str(path) for path in paths], dtype=np.dtypes.StringDType()),
        lambda paths: np.array(paths, dtype=object),
        lambda paths: pd.Series(paths, index=[7, 8, 9]),
        lambda paths: pd.Series([str(path) for path in paths]),
        lambda paths: [Image.open(path) for path in paths],
        lambda paths: [read_image(path) for path in paths],
    ],
)
def test_paths_and_pil_images_in_any_container(paths, stack, form):
    assert_holds(ImageSequence(form(paths)), stack)


def test_a_stack_of_rgb_images(stack):
    assert_holds(ImageSequence(stack), stack)


def test_a_stack_of_grey_images(stack):
    assert_holds(ImageSequence(stack[..., 0]), np.ascontiguousarray(stack[..., 0]))


def test_one_channel_is_grey(stack):
    assert_holds(ImageSequence(stack[..., :1]), stack[..., 0])


def test_the_second_of_two_channels_and_the_fourth_of_four_are_alpha(stack):
    rgba = np.concatenate([stack, stack[..., :1]], axis=-1)
    assert_holds(ImageSequence(rgba), stack)
    assert_holds(ImageSequence(stack[..., :2]), stack[..., 0])


def test_a_list_may_mix_sizes_channels_and_kinds(stack, paths):
    images = ImageSequence([stack[0], stack[1, :4, :, 0], paths[2], Image.fromarray(stack[0])])
    assert_holds(images, [stack[0], stack[1, :4, :, 0], stack[2], stack[0]])


def test_an_array_of_unequal_arrays(stack):
    objects = np.empty(2, dtype=object)
    objects[0], objects[1] = stack[0], stack[1, :4]
    assert_holds(ImageSequence(objects), [stack[0], stack[1, :4]])


def test_tensors_have_their_channels_first(stack):
    tensor = torch.from_numpy(stack).permute(0, 3, 1, 2)
    assert_holds(ImageSequence(tensor), stack)
    assert_holds(ImageSequence(list(tensor)), stack)
    assert_holds(ImageSequence(tensor[:, :1]), stack[..., 0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.bfloat16])
def test_tensors_may_require_gradients_in_any_precision(dtype):
    tensor = torch.tensor([0.0, 0.5, 1.0], dtype=dtype).reshape(1, 1, 1, 3).requires_grad_()
    assert_holds(ImageSequence(tensor), [np.array([[0, 128, 255]], np.uint8)])


def test_subclasses_of_tensors_are_tensors():
    parameter = torch.nn.Parameter(torch.ones(1, 3, 2, 2))
    assert_holds(ImageSequence(parameter), np.full((1, 2, 2, 3), 255, np.uint8))


def test_a_sequence_of_a_sequence_is_an_equal_view(paths, stack):
    images = ImageSequence(paths)
    paths[0].unlink()  # a second check would fail
    again = ImageSequence(images[1:])
    assert_holds(again, stack[1:])


# ---------------------------------------------------------------------------------- pixel rules


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2)))
def test_division_by_255_is_undone_exactly(pixels):
    for dtype in (np.float16, np.float32, np.float64):
        assert_holds(ImageSequence([(pixels / 255).astype(dtype)]), [pixels])


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.bool_]),
        st.tuples(*[st.integers(1, 6)] * 3, st.integers(1, 4)),
    )
)
def test_every_image_is_contiguous_uint8_whatever_the_dtype_and_channels(pixels):
    pixels_8 = {
        np.dtype(np.uint8): lambda: pixels,
        np.dtype(np.uint16): lambda: pixels // 256,
        np.dtype(np.bool_): lambda: np.where(pixels, 255, 0),
    }[pixels.dtype]().astype(np.uint8)
    assert_holds(
        ImageSequence(pixels), pixels_8[..., :3] if pixels.shape[3] > 2 else pixels_8[..., 0]
    )


def test_negative_zero_is_black():
    assert_holds(ImageSequence([np.array([[-0.0, 1]])]), [np.array([[0, 255]], np.uint8)])


@pytest.mark.parametrize("bad", [-0.01, 1.01, 255.0])
def test_floating_point_outside_zero_to_one_is_refused(bad):
    X = np.full((3, 5, 7), 0.5)
    X[2, 1, 1] = bad
    with pytest.raises(ValueError, match=r"X\[2\] has floating-point pixels from .* \[0, 1\]"):
        ImageSequence(X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_floating_point_that_is_not_finite_is_refused(bad):
    images = np.full((3, 5, 7), 0.5)
    images[2, 1, 1] = bad
    with pytest.raises(ValueError, match=r"X\[2\] has NaN or infinite pixels"):
        ImageSequence(images)


def test_the_range_of_alpha_does_not_matter_as_it_is_dropped():
    X = np.ones((1, 2, 2, 4))
    X[..., 3] = 255
    assert_holds(ImageSequence(X), np.full((1, 2, 2, 3), 255, np.uint8))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint32, np.uint64])
def test_integers_of_unknown_white_are_refused(dtype):
    with pytest.raises(TypeError, match=r"X\[0\] has pixels of type .*astype\('uint8'\)"):
        ImageSequence(np.zeros((2, 3, 5), dtype))


@pytest.mark.parametrize("dtype", [complex, "S1", "M8[s]", object, "U1"])
def test_other_dtypes_are_refused(dtype):
    X = [np.zeros((3, 5), np.uint8), np.zeros((3, 5)).astype(dtype)]
    with pytest.raises(TypeError, match=r"X\[1\] has dtype .*; pixels must be uint8"):
        ImageSequence(X)


def test_a_pil_image_of_unknown_white_is_refused():
    with pytest.raises(TypeError, match=r"X\[0\] has pixels of type int32"):
        ImageSequence([Image.new("I", (3, 2))])


def test_a_file_of_unknown_white_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "depth.tiff"
    Image.new("I", (3, 2)).save(path)
    with pytest.raises(TypeError, match=r"X\[0\], .*depth\.tiff', has pixels of type int32"):
        ImageSequence([path])


# ----------------------------------------------------------------------------- what is no images


@pytest.mark.parametrize("X", [[], (), np.zeros((0, 4, 4, 3), np.uint8), pd.Series([], dtype=str)])
def test_empty_is_refused(X):
    with pytest.raises(ValueError, match="X is empty"):
        ImageSequence(X)


def test_one_path_is_no_list(paths):
    for path in (paths[0], str(paths[0])):
        with pytest.raises(ValueError, match=r"X is one path, .*0\.png', .* write \[X\]"):
            ImageSequence(path)


def test_one_directory_is_for_load_folder(tmp_path):
    with pytest.raises(ValueError, match=r"X is a directory, .*skpadim\.datasets\.load_folder"):
        ImageSequence(tmp_path)


def test_a_directory_among_paths_is_refused(paths, tmp_path):
    with pytest.raises(ValueError, match=r"X\[1\], .* is a directory; .*load_folder"):
        ImageSequence([paths[0], tmp_path])


def test_one_pil_image_is_no_list():
    with pytest.raises(ValueError, match=r"X is one PIL image, .* write \[X\]"):
        ImageSequence(Image.new("L", (3, 2)))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 1), (5, 7, 4)])
def test_one_array_is_no_stack(shape):
    with pytest.raises(ValueError, match=r"Write X\[None\] if it is one"):
        ImageSequence(np.zeros(shape, np.uint8))


def test_one_tensor_is_no_stack():
    with pytest.raises(ValueError, match=r"X\[None\] if it is one image, X\[:, None\] if"):
        ImageSequence(torch.zeros(3, 5, 7))


@pytest.mark.parametrize("shape", [(), (5,), (2, 5, 7, 5), (2, 5, 7, 3, 1), (2, 5, 7, 0)])
@pytest.mark.parametrize("make", [np.zeros, torch.zeros])
def test_other_shapes_are_refused(make, shape):
    with pytest.raises(ValueError, match="it must be") as error:
        ImageSequence(make(shape))
    assert str(tuple(shape)) in str(error.value)


def test_channels_on_the_wrong_side_are_recognised():
    with pytest.raises(ValueError, match=r"Write np\.moveaxis\(X, 1, -1\)"):
        ImageSequence(np.zeros((2, 3, 50, 70)))
    with pytest.raises(ValueError, match=r"Write X\.movedim\(-1, 1\)"):
        ImageSequence(torch.zeros(2, 50, 70, 3))
    with pytest.raises(ValueError, match=r"X\[1\] .* Write np\.moveaxis\(X\[i\], 0, -1\)"):
        ImageSequence([np.zeros((50, 70)), np.zeros((3, 50, 70))])


@pytest.mark.parametrize("element", [np.zeros(5), np.zeros((5, 7, 5)), torch.zeros(50, 70, 3)])
def test_an_element_of_another_shape_is_refused(element):
    with pytest.raises(ValueError, match=r"X\[1\] is an? .* of shape .*; it must be"):
        ImageSequence([np.zeros((5, 7)), element])


@pytest.mark.parametrize("X", [np.zeros((2, 0, 5)), [np.zeros((5, 0, 3))], torch.zeros(1, 3, 0, 5)])
def test_images_without_pixels_are_refused(X):
    with pytest.raises(ValueError, match=r"X\[0\] has no pixels"):
        ImageSequence(X)


def test_a_file_without_pixels_is_refused(tmp_path):
    path = tmp_path / "empty.pgm"
    path.write_bytes(b"P5 0 2 255\n")
    with pytest.raises(ValueError, match=r"X\[0\], .*empty\.pgm'"):
        ImageSequence([path])


@pytest.mark.parametrize(
    "X",
    [
        None,
        3,
        {"a": 1},
        {"a.png"},
        b"a.png",
        (path for path in ["a.png"]),
        pd.DataFrame({"path": ["a.png"]}),
        range(3),
    ],
)
def test_other_types_are_refused(X):
    with pytest.raises(TypeError, match=rf"X has type {type(X).__name__}\. It must be a list of"):
        ImageSequence(X)


@pytest.mark.parametrize("element", [None, 3, float("nan"), [[1, 2]], b"a.png", pd.NA])
def test_elements_of_other_types_are_refused(element, paths):
    with pytest.raises(TypeError, match=r"X\[1\] has type .*; it must be a path"):
        ImageSequence([paths[0], element])


def test_an_array_of_bytes_is_refused_with_the_way_to_decode_it():
    with pytest.raises(
        TypeError, match=r"array of bytes, .*\[os\.fsdecode\(path\) for path in X\]"
    ):
        ImageSequence(np.array([b"a.png", b"b.png"]))


def test_a_table_of_paths_is_refused(paths):
    with pytest.raises(ValueError, match=r"shape \(1, 3\); it must have one axis"):
        ImageSequence(np.array([paths], dtype=object))


# -------------------------------------------------------------------------------- damaged files


def test_a_missing_file_is_named_with_its_index(paths):
    paths[1].unlink()
    with pytest.raises(ValueError, match=r"X\[1\], .*1\.png', does not exist"):
        ImageSequence(paths)


def test_a_file_that_is_no_image_is_named_with_its_index(paths):
    paths[2].write_text("not an image")
    with pytest.raises(ValueError, match=r"X\[2\], .*2\.png', is not an image"):
        ImageSequence(paths)


@pytest.fixture
def photograph():
    """Large enough that a file still has its header after losing its end."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(noise)


FORMATS = {
    "png": {},
    "jpg": {"quality": 90},
    "jpeg": {"progressive": True},
    "tiff": {},
    "tif": {"compression": "tiff_lzw"},
    "webp": {},
    "bmp": {},
    "gif": {},
    "ppm": {},
}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_truncated_file_is_found_on_construction(tmp_path, photograph, suffix, share):
    path = tmp_path / f"part.{suffix}"
    photograph.save(path, **FORMATS[suffix])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"X\[0\], .*part\..*', is "):
        ImageSequence([path])


@pytest.mark.parametrize("compress_level", [0, 6])
def test_a_changed_byte_among_the_pixels_of_a_png_is_found_on_access(
    tmp_path, photograph, compress_level
):
    path = tmp_path / "part.png"
    photograph.save(path, compress_level=compress_level)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    images = ImageSequence([path])
    with pytest.raises(ValueError, match=r"part\.png', is damaged"):
        images[0]


def test_a_changed_byte_in_the_header_of_a_png_is_found_on_construction(tmp_path, photograph):
    path = tmp_path / "part.png"
    photograph.save(path)
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"part\.png', is (damaged|not an image)"):
        ImageSequence([path])


@pytest.mark.parametrize("padding", [b"\0" * 16, b"\0" * 5000])
def test_bytes_behind_the_end_of_a_jpeg_do_no_harm(tmp_path, photograph, padding):
    path = tmp_path / "part.jpg"
    photograph.save(path)
    path.write_bytes(path.read_bytes() + padding)
    assert ImageSequence([path]).sizes == [(64, 64)]


def test_a_jpeg_smaller_than_the_bytes_looked_at_is_read(tmp_path):
    path = tmp_path / "tiny.jpg"
    Image.new("L", (1, 1)).save(path)
    assert_holds(ImageSequence([path]), [np.zeros((1, 1), np.uint8)])


def test_a_truncated_pil_image_is_found_on_construction(tmp_path, photograph):
    path = tmp_path / "part.jpg"
    photograph.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with (
        Image.open(path) as image,
        pytest.raises(ValueError, match=r"X\[0\] is damaged or cannot be read"),
    ):
        ImageSequence([image])


@pytest.mark.parametrize("limit", [4000, 2000])  # beyond the limit, and beyond twice the limit
def test_a_decompression_bomb_is_refused(tmp_path, photograph, monkeypatch, limit):
    photograph.save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=r"X\[0\], .*bomb\.png', is too large: .*4096 pixels"):
        ImageSequence([tmp_path / "bomb.png"])


def test_who_lifts_pillows_limit_may_read_large_files(tmp_path, photograph, monkeypatch):
    photograph.save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert ImageSequence([tmp_path / "large.png"])[0].shape == (64, 64, 3)


def test_the_limit_is_67_million_pixels_unless_pillows_is_set(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    Image.new("1", (8192, 8193)).save(path)
    with pytest.raises(ValueError, match=r"bomb\.png', is too large: .*8192 x 8193 .* 67108864"):
        ImageSequence([path])
    with pytest.raises(ValueError, match=r"bomb\.png' is too large"):
        read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8192 * 8193)
    assert ImageSequence([path]).sizes == [(8193, 8192)]


def test_a_file_replaced_by_a_larger_one_is_not_decoded(tmp_path, photograph):
    path = tmp_path / "part.png"
    photograph.save(path)
    images = ImageSequence([path])
    photograph.resize((65, 64)).save(path)
    with pytest.raises(ValueError, match=r"part\.png', .* another size than when it was checked"):
        images[0]


def test_the_users_warning_filters_are_kept(paths):
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ImageSequence, [paths * 20] * 8))
    assert warnings.filters == before


def test_a_file_damaged_after_the_check_is_named_with_its_index(tmp_path, photograph):
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path in paths:
        photograph.save(path)
    images = ImageSequence(paths)[1:][::2]
    paths[3].write_bytes(paths[3].read_bytes()[:1000])
    assert images[0].shape == (64, 64, 3)
    with pytest.raises(ValueError, match=r"X\[3\], .*3\.png', is damaged"):
        images[1]


@pytest.mark.parametrize(
    ("value", "message"),
    [(7.5, "from 0 to 7\\.5"), (np.nan, "NaN or infinite"), (np.inf, "NaN or infinite")],
)
def test_a_floating_point_file_out_of_range_is_found_on_construction(tmp_path, value, message):
    paths = [tmp_path / "height0.tiff", tmp_path / "height1.tiff"]
    for path, last in zip(paths, (1, value), strict=True):
        Image.fromarray(np.array([[0, last]], np.float32)).save(path)
    with pytest.raises(ValueError, match=rf"X\[1\], .*height1\.tiff', has .*{message}"):
        ImageSequence(paths)


def test_a_floating_point_file_in_range_is_read(tmp_path):
    pixels = np.array([[0, 0.5, 1]], np.float32)
    Image.fromarray(pixels).save(tmp_path / "height.tiff")
    assert_holds(ImageSequence([tmp_path / "height.tiff"]), [np.array([[0, 128, 255]], np.uint8)])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_refused_instead_of_waited_for(paths, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"X\[1\], .*pipe\.png', is a pipe, a socket or a device"):
        ImageSequence([paths[0], tmp_path / "pipe.png"])
    with pytest.raises(ValueError, match=r"pipe\.png' is a pipe"):
        read_image(tmp_path / "pipe.png")


# -------------------------------------------------------------------------------- as a sequence


def test_indices_count_from_either_end(stack):
    images = ImageSequence(stack)
    np.testing.assert_array_equal(images[-1], stack[-1])
    np.testing.assert_array_equal(images[np.int64(1)], stack[1])
    with pytest.raises(IndexError):
        images[3]


@given(st.slices(5), st.slices(5))
def test_slices_are_those_of_lists(first, second):
    values = list(range(5))
    images = ImageSequence([np.full((1, value + 1), value, np.uint8) for value in values])
    view = images[first][second]
    assert isinstance(view, ImageSequence)
    assert [image[0, 0] for image in view] == values[first][second]
    assert view.sizes == [(1, value + 1) for value in values[first][second]]


def test_a_list_changed_later_changes_nothing(stack):
    X = list(stack)
    images = ImageSequence(X)
    X.clear()
    assert_holds(images, stack)


def test_uint8_arrays_are_not_copied(stack):
    assert np.shares_memory(ImageSequence(stack)[1], stack)


def test_it_survives_pickling(paths, stack):
    assert_holds(pickle.loads(pickle.dumps(ImageSequence(paths))), stack)


def test_decoded_pixels_are_not_kept(tmp_path):
    path = tmp_path / "large.png"
    Image.new("RGB", (1000, 1000)).save(path)
    images = ImageSequence([path] * 10)
    for _ in images:
        pass
    gc.collect()
    tracemalloc.start()
    try:
        for _ in images:
            pass
        del _
        gc.collect()
        kept, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000  # a third of one image


# ---------------------------------------------------------------------------------- fingerprints


def test_the_fingerprint_of_a_file_changes_with_the_file(paths):
    images = ImageSequence(paths)
    before = images.fingerprint()
    assert before == ImageSequence(paths).fingerprint()
    status = os.stat(paths[1])
    os.utime(paths[1], ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    after = images.fingerprint()
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_the_fingerprint_of_a_file_changes_with_its_size_at_the_same_time(paths):
    images = ImageSequence(paths)
    before, status = images.fingerprint(), os.stat(paths[1])
    with open(paths[1], "ab") as file:
        file.write(b" ")
    os.utime(paths[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    after = images.fingerprint()
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_the_fingerprint_of_a_file_does_not_depend_on_the_working_directory(paths, monkeypatch):
    monkeypatch.chdir(paths[0].parent)
    relative = ImageSequence([path.name for path in paths])
    assert relative.fingerprint() == ImageSequence(paths).fingerprint()


def test_the_fingerprint_of_arrays_is_their_content(stack):
    before = ImageSequence(stack).fingerprint()
    assert before == ImageSequence([Image.fromarray(image) for image in stack]).fingerprint()
    stack[1, 0, 0, 0] ^= 1
    after = ImageSequence(stack).fingerprint()
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_the_fingerprint_of_a_slice_is_the_slice_of_the_fingerprint(paths, stack):
    for images in (ImageSequence(paths), ImageSequence(stack)):
        assert images[1:].fingerprint() == images.fingerprint()[1:]
        assert pickle.loads(pickle.dumps(images.fingerprint())) == images.fingerprint()


def test_the_fingerprint_of_a_file_that_disappeared_is_an_error(paths):
    images = ImageSequence(paths)
    Path(paths[2]).unlink()
    with pytest.raises(ValueError, match=r"X\[2\], .*2\.png', does not exist"):
        images.fingerprint()


def test_paths_are_those_of_the_files_and_none_in_memory(tmp_path):
    pixels = np.zeros((4, 4), np.uint8)
    path = tmp_path / "part.png"
    Image.fromarray(pixels).save(path)
    images = ImageSequence([path, pixels, str(path)])
    assert images.paths == [str(path), None, str(path)]
    assert images[1:].paths == [None, str(path)]


# --------------------------------------------------------------------------- files that are marked


@pytest.fixture
def marked(paths, tmp_path):
    """A missing file between good ones, and one behind them that is damaged inside."""
    damaged = tmp_path / "damaged.png"
    content = bytearray(paths[0].read_bytes())
    content[60] ^= 255
    damaged.write_bytes(content)
    return [paths[0], tmp_path / "none.png", paths[2], damaged]


def test_a_bad_file_is_marked_where_that_is_asked_for(marked, stack):
    images = ImageSequence(marked, on_error="mark")
    assert images.errors == {1: "does not exist."}
    assert images.sizes == [(5, 7), (0, 0), (5, 7), (5, 7)]
    assert images.decoded(1) is None
    assert images.decoded(3) is None  # the check has not seen it
    np.testing.assert_array_equal(images[0], stack[0])
    assert [images.error(position) is None for position in range(4)] == [True, False, True, False]
    assert images.errors[3].startswith("is damaged or cannot be read: ")


def test_what_is_marked_is_still_no_image(marked):
    images = ImageSequence(marked, on_error="mark")
    with pytest.raises(ValueError, match=r"X\[1\], .*none\.png', does not exist"):
        images[1]
    with pytest.raises(ValueError, match=r"X\[3\], .*damaged\.png', is damaged"):
        images[3]


def test_views_share_what_is_found_out_and_tell_their_part_of_it(marked):
    images = ImageSequence(marked, on_error="mark")
    part = images[2:]
    assert part.errors == {}
    assert part.decoded(1) is None
    assert list(part.errors) == [3]
    assert list(images.errors) == [1, 3]
    assert ImageSequence(images).errors == images.errors


def test_marks_survive_pickling(marked):
    part = pickle.loads(pickle.dumps(ImageSequence(marked, on_error="mark")[1:]))
    assert part.errors == {1: "does not exist."}
    assert part.decoded(2) is None
    assert list(part.errors) == [1, 3]


def test_strictly_a_bad_file_is_an_error_whenever_it_is_found(marked):
    images = ImageSequence(marked, on_error="mark")
    with pytest.raises(ValueError, match=r"X\[1\], .*none\.png', does not exist"):
        images.strict()
    rest = images[2:].strict()
    with pytest.raises(ValueError, match=r"X\[3\], .*damaged\.png', is damaged"):
        rest.decoded(1)


def test_what_could_never_be_an_image_is_not_marked():
    with pytest.raises(TypeError, match="has type int"):
        ImageSequence([3], on_error="mark")
    with pytest.raises(ValueError, match="X is empty"):
        ImageSequence([], on_error="mark")


def test_arrays_without_a_rule_are_marked():
    images = ImageSequence([np.zeros((5, 7)), np.full((5, 7), 2.0)], on_error="mark")
    assert list(images.errors) == [1]
    assert images.errors[1].startswith("has floating-point pixels from 2 to 2")


@pytest.mark.parametrize("on_error", ["skip", None, True])
def test_there_are_two_ways_to_go_on(paths, on_error):
    with pytest.raises(ValueError, match="must be 'raise' or 'mark'"):
        ImageSequence(paths, on_error=on_error)


def test_the_fingerprint_of_a_file_that_disappeared_marks_it(paths):
    images = ImageSequence(paths, on_error="mark")
    paths[1].unlink()
    assert images.fingerprint()[1] == (None,)
    assert images.errors == {1: "does not exist."}
