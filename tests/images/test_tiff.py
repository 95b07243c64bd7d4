"""TIFF files as their headers mean them; written byte by byte, as Pillow does not write them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from skpadim.datasets import load_folder, read_masks
from skpadim.images import ImageSequence, read_image

BLACK_IS_ZERO, WHITE_IS_ZERO, RGB, YCBCR = 1, 0, 2, 6
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
UNSPECIFIED, ALPHA = 0, 2
ORIENTATION, COMPRESSION = 274, 259

WIDTH, HEIGHT = 6, 4
GREY = (np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH) * 11).astype(np.uint8)


def tiff(pixels, bits, photometric, *, n_samples=1, order="<", **tags):
    """Little-endian TIFF of one strip, or big-endian with order=">"."""
    fields = {
        256: [WIDTH],
        257: [HEIGHT],
        258: [bits] * n_samples,
        COMPRESSION: [1],
        262: photometric,
        273: [8],
        277: [n_samples],
        278: [HEIGHT],
        279: [len(pixels)],
    } | {int(number.removeprefix("tag")): values for number, values in tags.items()}
    fields = {number: values for number, values in fields.items() if values is not None}
    place = 8 + len(pixels)
    behind = place + 2 + 12 * len(fields) + 4
    directory, more = struct.pack(f"{order}H", len(fields)), b""
    for number, values in sorted(fields.items()):
        if isinstance(values, bytes):
            kind, value = 1, values
        else:
            kind, value = 4, struct.pack(f"{order}{len(values)}I", *values)
        if len(value) > 4:
            value, more = struct.pack(f"{order}I", behind + len(more)), more + value
        directory += struct.pack(f"{order}HHI", number, kind, len(values)) + value
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", place)
    return head + pixels + directory + struct.pack(f"{order}I", 0) + more


@pytest.fixture
def write(tmp_path):
    def write(*arguments, **tags):
        (tmp_path / "part.tiff").write_bytes(tiff(*arguments, **tags))
        return tmp_path / "part.tiff"

    return write


def assert_read(path, expected):
    """The same from the path, from the array and from Pillow's image."""
    read = read_image(path)
    assert read.dtype == expected.dtype
    np.testing.assert_array_equal(read, expected)
    with Image.open(path) as image:
        for form in (path, read, image):
            images = ImageSequence([form])
            np.testing.assert_array_equal(images[0], ImageSequence([expected])[0])
            assert images.sizes == [expected.shape[:2]]


# By hand, from the standard: which side of the picture the stored row 0 and column 0 are.
TURNED = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.T,
    6: lambda stored: stored.T[:, ::-1],
    7: lambda stored: stored[::-1, ::-1].T,
    8: lambda stored: stored.T[::-1],
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_file_on_its_side_is_turned_once(tmp_path, orientation, dtype, compression):
    stored = (GREY / 255).astype(dtype) if dtype == np.float32 else GREY.astype(dtype)
    path = tmp_path / "part.tiff"
    Image.fromarray(stored).save(path, compression=compression, tiffinfo={ORIENTATION: orientation})
    assert_read(path, TURNED[orientation](stored))


def test_the_orientation_tag_counts_before_that_of_xmp(write):
    xmp = b'<a tiff:Orientation="3"/>'
    fields = {"tag274": [6], "tag700": xmp}
    assert_read(write(GREY.tobytes(), 8, [BLACK_IS_ZERO], **fields), TURNED[6](GREY))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_mask_has_an_orientation_of_its_own(tmp_path, orientation, compression):
    mask = np.zeros((WIDTH, WIDTH), bool)
    mask[1, :2] = True
    Image.fromarray(np.uint8(255) * mask).save(
        tmp_path / "mask.tiff", compression=compression, tiffinfo={ORIENTATION: orientation}
    )
    read = read_masks([tmp_path / "mask.tiff"], (WIDTH, WIDTH))
    np.testing.assert_array_equal(read, [TURNED[orientation](mask)])


@pytest.mark.parametrize(("of_image", "of_mask"), [(6, 8), (6, None), (None, 6)])
def test_images_and_masks_are_compared_as_they_are_to_be_seen(tmp_path, of_image, of_mask):
    for folder, orientation in (("bad", of_image), ("masks", of_mask), ("good", None)):
        (tmp_path / folder).mkdir()
        tags = {} if orientation is None else {ORIENTATION: orientation}
        stored = GREY if tags else GREY.T
        Image.fromarray(stored).save(tmp_path / folder / "1.tiff", tiffinfo=tags)
    folders = {"defective": tmp_path / "bad", "masks": tmp_path / "masks"}
    assert len(load_folder(tmp_path / "good", **folders).X) == 2
    Image.fromarray(GREY).save(tmp_path / "masks" / "1.tiff")
    with pytest.raises(ValueError, match=r"has 6 x 4 pixels, but its image .* has 4 x 6"):
        load_folder(tmp_path / "good", **folders)


TWELVE = np.array([0, 4095, 1, 2048, 100, 4000] * HEIGHT, np.uint16)


@pytest.mark.parametrize("compression", [1, 8])
def test_twelve_bits_are_brought_to_sixteen(write, compression):
    pairs = TWELVE.reshape(-1, 2).astype(int)
    packed = b"".join(int(a << 12 | b).to_bytes(3, "big") for a, b in pairs)
    pixels = packed if compression == 1 else zlib.compress(packed)
    path = write(pixels, 12, [BLACK_IS_ZERO], tag259=[compression])
    # White stays white; the high bits are repeated behind the low ones.
    expected = np.array([0, 65535, 16, 32776, 1600, 64015] * HEIGHT, np.uint16)
    assert_read(path, expected.reshape(HEIGHT, WIDTH))
    assert np.abs(expected - TWELVE * (65535 / 4095)).max() < 1


@pytest.mark.parametrize("bits", [10, 14])
def test_other_depths_are_refused_with_their_number(write, bits):
    path = write(bytes(100), bits, [BLACK_IS_ZERO])
    with pytest.raises(ValueError, match=rf"part\.tiff' is a TIFF .* with 1 samples of {bits} bit"):
        read_image(path)
    with pytest.raises(ValueError, match="save it in 8 or 16 bits"):
        ImageSequence([path])


@pytest.mark.parametrize(("bits", "white"), [(2, 3), (4, 15)])
def test_fewer_bits_are_brought_to_eight(write, bits, white):
    row = sum(value << bits * place for place, value in enumerate([0, white, 0, white, 0, white]))
    n_bytes = -(-WIDTH * bits // 8)
    packed = (row << 8 * n_bytes - WIDTH * bits).to_bytes(n_bytes, "big") * HEIGHT
    expected = np.array([[255, 0, 255, 0, 255, 0]] * HEIGHT, np.uint8)
    assert_read(write(packed, bits, [BLACK_IS_ZERO]), expected)


@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize(
    ("stored", "bits", "kind", "expected"),
    [
        (GREY, 8, UNSIGNED, 255 - GREY),
        (GREY.astype("<u2") * 257, 16, UNSIGNED, 65535 - GREY.astype(np.uint16) * 257),
        (GREY.astype("<f4") / 256, 32, FLOAT, 1 - GREY.astype(np.float32) / 256),
    ],
)
def test_where_white_is_zero_pixels_are_inverted_once(
    write, stored, bits, kind, expected, compression
):
    pixels = stored.tobytes() if compression == 1 else zlib.compress(stored.tobytes())
    path = write(pixels, bits, [WHITE_IS_ZERO], tag339=[kind], tag259=[compression])
    assert_read(path, expected)


def test_a_mask_where_white_is_zero_is_inverted_too(write):
    stored = np.full((HEIGHT, WIDTH), 65535, "<u2")
    stored[1, 2] = 0
    path = write(stored.tobytes(), 16, [WHITE_IS_ZERO])
    assert np.argwhere(read_masks([path], (HEIGHT, WIDTH))[0]).tolist() == [[1, 2]]


RGB16 = np.stack([GREY, GREY + 1, GREY + 2]).astype("<u2") * 256


@pytest.mark.parametrize(
    ("arguments", "tags", "message"),
    [
        ((GREY.tobytes(), 8, [BLACK_IS_ZERO]), {"tag339": [SIGNED]}, "signed pixels of 8 bits"),
        ((GREY.tobytes(), 8, None), {}, "does not say whether 0 is black or white"),
        (
            (RGB16.tobytes(), 16, [RGB]),
            {"n_samples": 3, "tag284": [2], "tag273": [8, 56, 104], "tag279": [48] * 3},
            "16 bits lie in planes",
        ),
        ((GREY.tobytes() * 3, 8, [YCBCR]), {"n_samples": 3, "tag530": [2, 2]}, "YCbCr"),
        ((bytes(144), 8, [BLACK_IS_ZERO]), {"n_samples": 6}, "with 6 samples of 8 bits"),
    ],
)
def test_what_pillow_would_misread_is_refused(write, arguments, tags, message):
    path = write(*arguments, **tags)
    with pytest.raises(ValueError, match=message):
        read_image(path)
    with pytest.raises(ValueError, match=rf"X\[0\], .*part\.tiff', .*{message}"):
        ImageSequence([path])
    with pytest.raises(ValueError, match=rf"mask_paths\[0\], .*part\.tiff, .*{message}"):
        read_masks([path], (HEIGHT, WIDTH))


def test_signed_sixteen_bits_are_refused(write):
    path = write(GREY.astype("<i2").tobytes(), 16, [BLACK_IS_ZERO], tag339=[SIGNED])
    with pytest.raises(TypeError, match="of which nobody knows which value is white"):
        ImageSequence([path])


@pytest.mark.parametrize("bands", [None, [UNSPECIFIED]])
def test_a_fourth_band_that_is_no_alpha_is_warned_of(write, bands):
    colours = np.arange(HEIGHT * WIDTH * 4, dtype=np.uint8).reshape(HEIGHT, WIDTH, 4)
    path = write(colours.tobytes(), 8, [RGB], n_samples=4, tag338=bands)
    message = r"part\.tiff': bands that are neither colours nor alpha"
    with pytest.warns(UserWarning, match=message):
        np.testing.assert_array_equal(ImageSequence([path])[0], colours[..., :3])
    with pytest.warns(UserWarning, match=message):
        np.testing.assert_array_equal(read_image(path)[..., :3], colours[..., :3])


def test_alpha_is_no_such_band(write):
    colours = np.arange(HEIGHT * WIDTH * 4, dtype=np.uint8).reshape(HEIGHT, WIDTH, 4)
    path = write(colours.tobytes(), 8, [RGB], n_samples=4, tag338=[ALPHA])
    assert_read(path, colours)


def test_bands_that_are_stored_as_rows_of_pages_are_refused(tmp_path):
    path = tmp_path / "bands.tiff"
    rows = [Image.fromarray(np.zeros((64, 6), np.uint8)) for _ in range(8)]
    rows[0].save(path, save_all=True, append_images=rows[1:])
    with pytest.raises(ValueError, match=r"bands\.tiff', .* many pages of 64 x 6 pixels"):
        ImageSequence([path])


def test_a_mask_of_several_pages_is_warned_of(tmp_path):
    path = tmp_path / "mask.tiff"
    Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(GREY)])
    with pytest.warns(UserWarning, match=r"mask_paths\[0\], .*mask\.tiff: several frames or pages"):
        read_masks([path], (HEIGHT, WIDTH))
