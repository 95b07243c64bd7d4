"""Batches of one size, prepared by threads that nobody notices."""

import gc
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2.functional import center_crop

from skpadim.images import ImageSequence, center_crop_slices, iter_batches, read_image


@pytest.fixture
def images():
    """Seven RGB images of 20 x 30 pixels."""
    return np.random.default_rng(0).integers(0, 256, (7, 20, 30, 3), dtype=np.uint8)


@pytest.fixture
def paths(tmp_path, images):
    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


pytestmark = pytest.mark.usefixtures("all_cores")


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_batches_are_contiguous_uint8_rgb_and_the_last_may_be_smaller(images):
    batches = list(iter_batches(images, (20, 30), batch_size=3))
    assert [batch.shape for batch in batches] == [(3, 20, 30, 3), (3, 20, 30, 3), (1, 20, 30, 3)]
    assert all(batch.dtype == np.uint8 and batch.flags.c_contiguous for batch in batches)


def test_images_of_the_right_size_are_not_resampled(images):
    np.testing.assert_array_equal(np.concatenate(list(iter_batches(images, (20, 30)))), images)


def test_resizing_is_pillows_antialiased_bicubic_to_height_and_width(images):
    (batch,) = iter_batches(images, (8, 11))
    expected = [
        Image.fromarray(image).resize((11, 8), Image.Resampling.BICUBIC) for image in images
    ]
    np.testing.assert_array_equal(batch, np.stack([np.asarray(image) for image in expected]))


@pytest.mark.parametrize("resample", ["bilinear", "lanczos"])
def test_resizing_has_other_filters_of_pillow(images, resample):
    (batch,) = iter_batches(images, (8, 11), resample=resample)
    resampling = Image.Resampling[resample.upper()]
    expected = [np.asarray(Image.fromarray(image).resize((11, 8), resampling)) for image in images]
    np.testing.assert_array_equal(batch, np.stack(expected))


def test_the_centre_is_cropped_after_resizing(images):
    (whole,) = iter_batches(images, (16, 12))
    (crop,) = iter_batches(images, (16, 12), (8, 10))
    np.testing.assert_array_equal(crop, whole[:, 4:12, 1:11])
    assert crop.flags.c_contiguous


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_the_crop_is_that_of_torchvision(height, width, data):
    crop_size = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    image = np.arange(height * width, dtype=np.int32).reshape(height, width)
    expected = center_crop(torch.from_numpy(image)[None], list(crop_size)).numpy()[0]
    np.testing.assert_array_equal(image[center_crop_slices((height, width), crop_size)], expected)


def test_grey_images_are_resized_as_if_they_were_rgb(images):
    grey = images[..., 0]
    (from_grey,) = iter_batches(grey, (8, 11))
    (from_rgb,) = iter_batches(np.repeat(grey[..., np.newaxis], 3, axis=3), (8, 11))
    np.testing.assert_array_equal(from_grey, from_rgb)


def test_images_of_any_size_and_kind_share_a_batch(images, paths):
    mixed = [paths[0], images[1, :9, :7], images[2, ..., 0] / 255, Image.fromarray(images[3])]
    (batch,) = iter_batches(mixed, (20, 30))
    np.testing.assert_array_equal(batch[0], images[0])
    np.testing.assert_array_equal(batch[2], np.repeat(images[2, ..., :1], 3, axis=-1))
    np.testing.assert_array_equal(batch[3], images[3])


def test_paths_and_the_arrays_read_from_them_give_the_same_batches(paths):
    (from_paths,) = iter_batches(paths, (9, 9))
    (from_arrays,) = iter_batches([read_image(path) for path in paths], (9, 9))
    np.testing.assert_array_equal(from_paths, from_arrays)


@given(st.integers(1, 9))
def test_the_batch_size_changes_no_pixel(batch_size):
    images = np.random.default_rng(0).integers(0, 256, (7, 6, 5), dtype=np.uint8)
    batches = list(iter_batches(images, (4, 4), batch_size=batch_size))
    (whole,) = iter_batches(images, (4, 4))
    np.testing.assert_array_equal(np.concatenate(batches), whole)


def test_one_pil_image_may_occur_many_times(paths, images):
    with Image.open(paths[0]) as image:
        (batch,) = iter_batches([image] * 20, (20, 30))
    np.testing.assert_array_equal(batch, np.broadcast_to(images[0], (20, 20, 30, 3)))


def test_a_batch_belongs_to_the_caller(images):
    before = images.copy()
    for i, batch in enumerate(iter_batches(images, (20, 30), batch_size=1)):
        np.testing.assert_array_equal(batch[0], before[i])
        batch[:] = 0
    np.testing.assert_array_equal(images, before)


def test_a_slice_without_images_has_no_batches(images):
    assert list(iter_batches(ImageSequence(images)[:0], (20, 30))) == []


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("crop_size", [(21, 30), (20, 31)])
def test_a_crop_that_does_not_fit_is_an_error_at_once(images, crop_size):
    with pytest.raises(
        ValueError, match=r"crop_size=.* must not be larger than image_size=\(20, 30\)"
    ):
        iter_batches(images, (20, 30), crop_size)


def test_other_impossible_sizes_are_an_error_at_once(images):
    with pytest.raises(ValueError, match=r"image_size=\(0, 30\)"):
        iter_batches(images, (0, 30))
    with pytest.raises(ValueError, match="batch_size=0 must be at least 1"):
        iter_batches(images, (20, 30), batch_size=0)


def test_images_are_checked_at_once(paths):
    paths[6].unlink()
    with pytest.raises(ValueError, match=r"X\[6\], .* does not exist"):
        iter_batches(paths, (20, 30), batch_size=1)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_a_file_damaged_after_the_check_is_named_with_its_index(paths, batch_size):
    images = ImageSequence(paths)
    paths[4].write_bytes(paths[4].read_bytes()[:500])
    with pytest.raises(ValueError, match=r"X\[4\], .*4\.png', is damaged"):
        list(iter_batches(images[2:], (20, 30), batch_size=batch_size))


def test_a_file_that_is_marked_is_black_and_the_others_are_as_ever(paths, images):
    marked = ImageSequence([*paths, paths[0].parent / "none.png"], on_error="mark")
    paths[1].write_bytes(paths[1].read_bytes()[:500])
    batch = np.concatenate(list(iter_batches(marked, (16, 16), batch_size=2)))
    assert list(marked.errors) == [1, len(paths)]
    expected = np.concatenate(list(iter_batches(images, (16, 16))))
    expected[1] = 0
    np.testing.assert_array_equal(batch[:-1], expected)
    assert not batch[-1].any()


# --------------------------------------------------------------------------------------- threads


@pytest.fixture
def opened(monkeypatch):
    """Names of the files that Pillow opens, each once, in their order."""
    names = []
    open_ = Image.open

    def noting(file, *arguments, **options):
        name = Path(getattr(file, "name", "header")).name
        if name not in names:
            names.append(name)
        return open_(file, *arguments, **options)

    monkeypatch.setattr(Image, "open", noting)
    return names


def test_the_next_batch_is_prepared_while_the_present_one_is_used(paths, opened, wait_for):
    images = ImageSequence(paths)
    opened.clear()
    batches = iter_batches(images, (20, 30), batch_size=3)
    next(batches)
    wait_for(lambda: sorted(opened) == [f"{i}.png" for i in range(6)])
    batches.close()


def test_no_more_than_the_next_batch_is_prepared(paths, opened):
    images = ImageSequence(paths)
    opened.clear()
    for number, _ in enumerate(iter_batches(images, (20, 30), batch_size=2), start=1):
        assert len(opened) <= 2 * (number + 1)
    assert len(opened) == len(paths)


def test_memory_does_not_grow_with_the_number_of_images(images):
    def peak(n_images):
        sequence = ImageSequence([images[0]] * n_images)
        tracemalloc.start()
        try:
            for _ in iter_batches(sequence, (100, 100), batch_size=4):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(12)  # so that what is allocated once is not counted
    batch = 4 * 100 * 100 * 3
    assert peak(120) < peak(12) + batch
    assert peak(120) < 6 * batch


def test_closing_early_ends_the_threads(images):
    before = threading.active_count()
    batches = iter_batches(images, (20, 30), batch_size=1)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before


def test_an_abandoned_iterator_ends_the_threads(images):
    before = threading.active_count()
    for _ in iter_batches(images, (20, 30), batch_size=1):
        break
    gc.collect()
    assert threading.active_count() == before


def test_an_interrupt_ends_the_threads(images):
    before = threading.active_count()
    batches = iter_batches(images, (20, 30), batch_size=1)
    next(batches)
    with pytest.raises(KeyboardInterrupt):
        batches.throw(KeyboardInterrupt)
    assert threading.active_count() == before


def test_the_users_thread_may_be_any_thread(images):
    results = []

    def work():
        results.extend(iter_batches(images, (20, 30)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for batch in results:
        np.testing.assert_array_equal(batch, images)


# ---------------------------------------------------------------------------------- JPEG drafts


@pytest.fixture
def jpeg(tmp_path):
    """A smooth picture, stored on its side, of 640 x 800 pixels when it is upright."""
    rows, columns = np.mgrid[:800, :640]
    pixels = np.stack([rows / 800, columns / 640, 0.5 + 0.5 * np.sin(rows / 90)], axis=-1)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    path = tmp_path / "part.jpg"
    Image.fromarray((255 * pixels).astype(np.uint8)).save(path, quality=95, exif=exif)
    return path


@pytest.mark.parametrize(("wanted", "scale"), [((100, 60), 2), ((40, 40), 4), ((214, 100), 1)])
def test_a_draft_is_decoded_at_the_smallest_scale_of_three_times_the_size_wanted(
    jpeg, wanted, scale
):
    (batch,) = iter_batches([jpeg], wanted, jpeg_draft=True)
    with Image.open(jpeg) as image:
        image.draft("RGB", (640 // scale, 800 // scale))
        assert image.size == (640 // scale, 800 // scale)
        upright = image.transpose(Image.Transpose.ROTATE_270)
    expected = upright.resize(wanted[::-1], Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(batch[0], np.asarray(expected))


def test_a_draft_differs_little_from_the_whole_and_only_when_asked_for(jpeg):
    (whole,) = iter_batches([jpeg], (40, 40))
    (array,) = iter_batches([read_image(jpeg)], (40, 40))
    (draft,) = iter_batches([jpeg], (40, 40), jpeg_draft=True)
    np.testing.assert_array_equal(whole, array)
    difference = np.abs(draft.astype(int) - whole)
    assert 0 < difference.max() <= 4


def test_a_draft_changes_no_other_format_and_no_size(tmp_path, images):
    path = tmp_path / "part.png"
    Image.fromarray(images[0]).save(path)
    (batch,) = iter_batches([path], (5, 5), jpeg_draft=True)
    (expected,) = iter_batches([path], (5, 5))
    np.testing.assert_array_equal(batch, expected)
    assert ImageSequence([path]).with_draft(5).sizes == [images[0].shape[:2]]


# ----------------------------------------------------------------------------------- real images


def test_real_photographs_are_resized_as_pillow_does(real_data):
    paths = real_data("bottle").X_test[:5]
    batch = np.concatenate(list(iter_batches(paths, (256, 256), (224, 224), batch_size=2)))
    for pixels, path in zip(batch, paths, strict=True):
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((256, 256), Image.Resampling.BICUBIC)
            expected = resized.crop((16, 16, 240, 240))
        np.testing.assert_array_equal(pixels, np.asarray(expected))
