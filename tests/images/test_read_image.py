"""A file becomes the array that it holds."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from skpadim.images import ImageSequence, read_image

ORIENTATION = 0x0112


@pytest.fixture
def rgb():
    # Smooth, so that JPEG keeps it recognisable, and without any symmetry.
    rows, columns = np.mgrid[0:24, 0:40]
    return np.stack([rows * 10, columns * 6, (rows + columns) * 3], axis=-1).astype(np.uint8)


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def assert_path_equals_array(path):
    """What holds for every file: one result, whether it is given as a path, array or PIL image."""
    stored = read_image(path)
    with Image.open(path) as image:
        of_path, of_array, of_image = (ImageSequence([form]) for form in (path, stored, image))
        np.testing.assert_array_equal(of_path[0], of_array[0])
        np.testing.assert_array_equal(of_path[0], of_image[0])
        assert of_path.sizes == of_array.sizes == of_image.sizes == [of_path[0].shape[:2]]
        assert of_path[0].dtype == np.uint8
        assert of_path[0].flags.c_contiguous


# ---------------------------------------------------------------------------- EXIF orientation


# By hand, from the EXIF standard: which side of the picture the stored row 0 and column 0 are.
TURNED = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: stored.transpose(1, 0, 2)[:, ::-1],
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: stored.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_the_exif_orientation_is_applied(tmp_path, rgb, suffix, orientation):
    path = tmp_path / f"part.{suffix}"
    Image.fromarray(rgb).save(path, exif=exif(orientation), quality=95)
    expected = TURNED[orientation](rgb)
    read = read_image(path)
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).max() < 40  # the next orientation is off by > 200
    assert_path_equals_array(path)


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (b"eXIf", exif(6).tobytes()[6:]),
        (b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<a tiff:Orientation="6"/>'),
    ],
)
def test_a_png_may_carry_its_orientation_behind_the_pixels(tmp_path, rgb, name, data):
    content = io.BytesIO()
    Image.fromarray(rgb).save(content, "PNG")
    end = png_chunk(b"IEND", b"")
    path = tmp_path / "part.png"
    path.write_bytes(content.getvalue().removesuffix(end) + png_chunk(name, data) + end)
    np.testing.assert_array_equal(read_image(path), TURNED[6](rgb))
    assert ImageSequence([path]).sizes == [(40, 24)]
    assert_path_equals_array(path)


def test_an_orientation_that_exif_does_not_know_is_ignored(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "part.png", exif=exif(9))
    np.testing.assert_array_equal(read_image(tmp_path / "part.png"), rgb)


def test_malformed_exif_is_ignored(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "part.png", exif=b"neither II nor MM")
    np.testing.assert_array_equal(read_image(tmp_path / "part.png"), rgb)
    assert_path_equals_array(tmp_path / "part.png")


def test_the_users_pil_image_is_left_as_it_is(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "part.png", exif=exif(6))
    with Image.open(tmp_path / "part.png") as image:
        assert ImageSequence([image])[0].shape == (40, 24, 3)
        assert image.size == (40, 24)
        assert image.getexif()[ORIENTATION] == 6


# --------------------------------------------------------------------------------------- modes


def saved(tmp_path, image, suffix, **options):
    path = tmp_path / f"part.{suffix}"
    image.save(path, **options)
    with Image.open(path) as stored:
        assert stored.mode == image.mode  # the file holds what the test is about
    assert_path_equals_array(path)
    return path


def test_rgb_and_grey_are_read_as_stored(tmp_path, rgb):
    path = saved(tmp_path, Image.fromarray(rgb), "png")
    np.testing.assert_array_equal(read_image(path), rgb)
    path = saved(tmp_path, Image.fromarray(rgb[..., 0]), "bmp")
    np.testing.assert_array_equal(read_image(path), rgb[..., 0])
    np.testing.assert_array_equal(ImageSequence([path])[0], rgb[..., 0])


def test_what_is_read_can_be_written_to(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "part.png")
    assert read_image(tmp_path / "part.png").flags.writeable


def test_a_palette_becomes_rgb(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    path = saved(tmp_path, image, "png")
    expected = [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("transparency", [1, b"\x00\x80\xff"])
def test_a_palette_with_transparency_becomes_rgb_unblended(tmp_path, transparency):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    path = saved(tmp_path, image, "png", transparency=transparency)
    expected = [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]
    np.testing.assert_array_equal(read_image(path), expected)


def test_alpha_is_read_and_then_dropped_unblended(tmp_path, rgb):
    alpha = rgb[..., :1]
    rgba = np.concatenate([rgb, alpha], axis=-1)
    path = saved(tmp_path, Image.fromarray(rgba), "png")
    np.testing.assert_array_equal(read_image(path), rgba)
    np.testing.assert_array_equal(ImageSequence([path])[0], rgb)
    np.testing.assert_array_equal(
        ImageSequence([path])[0], np.asarray(Image.fromarray(rgba).convert("RGB"))
    )


def test_grey_with_alpha_becomes_grey(tmp_path, rgb):
    grey_alpha = np.ascontiguousarray(rgb[..., :2])
    path = saved(tmp_path, Image.fromarray(grey_alpha, "LA"), "png")
    np.testing.assert_array_equal(read_image(path), grey_alpha)
    np.testing.assert_array_equal(ImageSequence([path])[0], rgb[..., 0])


def test_a_transparent_colour_changes_nothing(tmp_path, rgb):
    path = saved(tmp_path, Image.fromarray(rgb), "png", transparency=(10, 12, 9))
    np.testing.assert_array_equal(ImageSequence([path])[0], rgb)


def test_one_bit_images_become_black_and_white(tmp_path):
    bits = np.array([[True, False, True], [False, False, True]])
    path = saved(tmp_path, Image.fromarray(bits), "png")
    np.testing.assert_array_equal(read_image(path), bits)
    assert read_image(path).dtype == bool
    np.testing.assert_array_equal(ImageSequence([path])[0], [[255, 0, 255], [0, 0, 255]])


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_grey_is_read_whole_and_keeps_its_high_byte(tmp_path, suffix):
    grey = np.array([[0, 255, 256], [511, 43690, 65535]], np.uint16)
    path = saved(tmp_path, Image.fromarray(grey), suffix)
    np.testing.assert_array_equal(read_image(path), grey)
    assert read_image(path).dtype == np.uint16
    np.testing.assert_array_equal(ImageSequence([path])[0], [[0, 0, 1], [1, 170, 255]])


def test_big_endian_sixteen_bit_tiff_gives_the_same_pixels(tmp_path):
    grey = np.array([[0, 255, 256], [511, 43690, 65535]], np.uint16)
    image = Image.frombytes("I;16B", (3, 2), grey.astype(">u2").tobytes())
    path = saved(tmp_path, image, "tiff")
    np.testing.assert_array_equal(read_image(path), grey)
    assert read_image(path).dtype.isnative
    np.testing.assert_array_equal(ImageSequence([path])[0], grey >> 8)


@pytest.mark.parametrize(("maxval", "white"), [(65535, 65535), (1023, 1023)])
def test_sixteen_bit_grey_map_is_scaled_by_its_header(tmp_path, maxval, white):
    path = tmp_path / "part.pgm"
    pixels = np.array([[0, white]], ">u2")
    path.write_bytes(b"P5 2 1 %d\n" % maxval + pixels.tobytes())
    assert read_image(path).dtype == np.uint16
    np.testing.assert_array_equal(read_image(path), [[0, 65535]])
    np.testing.assert_array_equal(ImageSequence([path])[0], [[0, 255]])
    assert_path_equals_array(path)


def test_sixteen_bit_rgb_png_has_the_high_byte_as_well(tmp_path):
    colours = np.array([[[0, 511, 65535], [256, 43690, 255]]], ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in colours)
    path = tmp_path / "part.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(ImageSequence([path])[0], colours >> 8)


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", "tiff"), ("CMYK", "jpg"), ("LAB", "tiff")])
def test_other_colour_spaces_become_rgb(tmp_path, rgb, mode, suffix):
    original = Image.fromarray(rgb)
    if mode == "LAB":
        original = ImageCms.profileToProfile(
            original, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode=mode
        )
    path = saved(tmp_path, original.convert(mode), suffix)
    read = read_image(path)
    assert read.shape == rgb.shape
    assert np.abs(read.astype(int) - rgb).max() < 40


@pytest.mark.parametrize("mode", ["HSV", "YCbCr"])
def test_pil_images_of_other_colour_spaces_become_rgb(rgb, mode):
    image = ImageSequence([Image.fromarray(rgb).convert(mode)])[0]
    assert np.abs(image.astype(int) - rgb).max() < 12


def test_floating_point_tiff_is_rounded_to_255_steps(tmp_path):
    values = np.array([[0, 0.5, 1], [0.2, 1 / 255, 254 / 255]], np.float32)
    path = saved(tmp_path, Image.fromarray(values), "tiff")
    np.testing.assert_array_equal(read_image(path), values)
    np.testing.assert_array_equal(ImageSequence([path])[0], [[0, 128, 255], [51, 1, 254]])


@pytest.mark.parametrize("suffix", ["tiff", "png", "gif", "webp", "mpo"])
def test_of_several_frames_or_pages_the_first_is_read_with_a_warning(tmp_path, rgb, suffix):
    path = tmp_path / f"pages.{suffix}"
    first, second = Image.fromarray(rgb), Image.fromarray(255 - rgb)
    first.save(tmp_path / f"first.{suffix}", lossless=True)
    first.save(path, save_all=True, append_images=[second], lossless=True)
    message = r"pages\.\w+': several frames or pages, of which only the first is read"
    with pytest.warns(UserWarning, match=message):
        read = read_image(path)
    np.testing.assert_array_equal(
        ImageSequence([read])[0], ImageSequence([read_image(tmp_path / f"first.{suffix}")])[0]
    )
    with pytest.warns(UserWarning, match="several frames or pages"):
        assert_path_equals_array(path)


def test_files_with_more_pages_are_named_in_one_warning(tmp_path, rgb):
    paths = [tmp_path / f"{number}.tiff" for number in range(6)]
    for path in paths[1:]:
        Image.fromarray(rgb).save(path, save_all=True, append_images=[Image.fromarray(rgb)])
    Image.fromarray(rgb).save(paths[0])
    with pytest.warns(UserWarning, match="several frames") as told:
        ImageSequence(paths)
    assert len(told) == 1
    message = str(told[0].message)
    assert "X[1], " in message
    assert "3.tiff' and 2 more: " in message
    assert "0.tiff" not in message


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_compressed_tiff_is_read(tmp_path, rgb, compression):
    path = saved(tmp_path, Image.fromarray(rgb), "tiff", compression=compression)
    np.testing.assert_array_equal(read_image(path), rgb)


def test_gif_is_read(tmp_path, rgb):
    path = tmp_path / "part.gif"
    Image.fromarray(rgb).quantize(16).save(path)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB")))
    assert_path_equals_array(path)


# -------------------------------------------------------------------------------------- errors


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.png' does not exist"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"text\.png' is not an image"):
        read_image(str(tmp_path / "text.png"))
    with pytest.raises(ValueError, match="is a directory"):
        read_image(tmp_path)


@pytest.mark.parametrize("category", ["bottle", "grid"])
def test_real_photographs_are_read_as_pillow_reads_them(real_data, category):
    for path in real_data(category).X_train[:1]:
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        read = ImageSequence([path])[0]
        read = read if read.ndim == 3 else np.repeat(read[..., np.newaxis], 3, axis=2)
        np.testing.assert_array_equal(read, expected)
        assert_path_equals_array(path)
