"""Which files are opened at all, and what looking at them costs."""

import io
import os
import struct
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from skpadim.datasets import load_folder, read_masks
from skpadim.images import ImageSequence, read_image

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture(scope="module")
def processes():
    """Names of what Python reports when it starts a process, for as long as the list is in use."""
    started = []
    kinds = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn")
    in_use = [True]

    def hook(event, _):  # which stays for the rest of the session
        if in_use and event in kinds:
            started.append(event)

    sys.addaudithook(hook)
    yield started
    in_use.clear()


def test_no_file_starts_a_process(tmp_path, processes, monkeypatch):
    for folder in ("good", "bad", "masks"):
        (tmp_path / folder).mkdir()
    part = tmp_path / "bad" / "part.png"
    Image.new("L", (8, 8)).save(tmp_path / "good" / "0.png")
    part.write_bytes(EPS)
    Image.new("L", (8, 8)).save(tmp_path / "masks" / "part.png")
    processes.clear()
    folders = {"defective": tmp_path / "bad", "masks": tmp_path / "masks"}
    for read in (
        lambda: read_image(part),
        lambda: ImageSequence([part]),
        lambda: read_masks([part], (8, 8)),
        lambda: load_folder(tmp_path / "good", **folders),
    ):
        with pytest.raises(
            ValueError, match=r"part\.png.* is not an image in a format that skpadim"
        ):
            read()
    assert processes == []
    # What Pillow alone does with it.
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with pytest.raises(OSError), Image.open(part) as image:  # noqa: PT011 (whatever it says)
        image.load()
    assert processes != []


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "tiff", "bmp", "dib", "gif", "ppm", "pgm", "webp", "jp2", "tga"]
)
def test_these_formats_are_read(tmp_path, suffix):
    picture = Image.fromarray(np.full((5, 7), 100, np.uint8))
    picture.save(tmp_path / f"part.{suffix}")
    (tmp_path / f"part.{suffix}").rename(tmp_path / "part")  # whatever a file is called
    read = read_image(tmp_path / "part")
    assert read.shape[:2] == (5, 7)
    assert np.abs(read.astype(int) - 100).max() <= 1
    assert ImageSequence([tmp_path / "part"]).sizes == [(5, 7)]


@pytest.mark.parametrize("suffix", ["ico", "pcx", "sgi"])
def test_other_formats_of_pillow_are_not_read(tmp_path, suffix):
    path = tmp_path / f"part.{suffix}"
    Image.fromarray(np.full((32, 32), 100, np.uint8)).save(path)
    with pytest.raises(ValueError, match="is not an image in a format that skpadim reads"):
        ImageSequence([path])


# ------------------------------------------------------------------------- PNG, chunk by chunk


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


XMP = chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<a tiff:Orientation="6"/>')
END = chunk(b"IEND", b"")


def png(pixels, behind=b""):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue().removesuffix(END) + behind + END


def test_the_check_of_a_png_decodes_no_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 24), dtype=np.uint8)
    content = bytearray(png(pixels, XMP))
    start = content.index(b"IDAT") + 4
    content[start : start + 100] = bytes(100)
    (tmp_path / "part.png").write_bytes(content)
    images = ImageSequence([tmp_path / "part.png"])
    assert images.sizes == [(24, 40)]  # and yet it knows what stands behind the pixels
    with pytest.raises(ValueError, match=r"part\.png', is damaged"):
        images[0]


def test_the_check_of_a_png_does_not_read_its_pixels(tmp_path):
    content = png(np.zeros((4, 6), np.uint8))
    path = tmp_path / "part.png"
    with open(path, "wb") as file:
        file.write(content[:33] + struct.pack(">I4s", 2**29, b"IDAT"))
        file.seek(2**29 + 4, os.SEEK_CUR)  # a hole, which takes no disk
        file.write(END)
    tracemalloc.start()
    assert ImageSequence([path]).sizes == [(4, 6)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_the_check_of_a_png_takes_a_small_part_of_the_time_of_decoding(tmp_path):
    path = tmp_path / "part.png"
    path.write_bytes(png(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8), XMP))

    def seconds(work):
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    images = ImageSequence([path])
    check = min(seconds(lambda: ImageSequence([path])) for _ in range(5))
    assert check < min(seconds(lambda: images.decoded(0)) for _ in range(3)) / 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(np.zeros((4, 6), np.uint8))[: -len(END)], "ends before its end chunk"),
        (png(np.zeros((4, 6), np.uint8))[:33] + END, "has no pixels"),
        (png(np.zeros((4, 6), np.uint8), XMP[:-20]), "ends before its end chunk"),
        (png(np.zeros((4, 6), np.uint8), b"\x7f\xff\xff\xfftEXt"), "ends before its end chunk"),
    ],
)
def test_a_png_with_a_broken_chain_of_chunks_is_found_on_construction(tmp_path, content, message):
    (tmp_path / "part.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"X\[0\], .*part\.png', is .*{message}"):
        ImageSequence([tmp_path / "part.png"])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "1"])
def test_an_image_takes_two_copies_of_its_pixels_at_most(tmp_path, mode):
    # In NumPy's and Python's memory: beside these there is Pillow's, of up to four bytes a pixel.
    n_rows = 3000
    path = tmp_path / "part.png"
    Image.new(mode, (1000, n_rows)).save(path)
    images = ImageSequence([path])
    tracemalloc.start()
    images.decoded(0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1000 * n_rows * 1.2 + 2**24


def test_damage_among_the_pixels_of_a_png_is_an_error_when_it_is_decoded(tmp_path):
    path = tmp_path / "part.png"
    pixels = np.random.default_rng(0).integers(100, 120, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    whole = path.read_bytes()
    for end in range(20, 400, 10):  # the end chunk stays
        path.write_bytes(whole[: -end - 40] + bytes(40) + whole[-end:])
        images = ImageSequence([path])
        with pytest.raises(ValueError, match=r"X\[0\], '.*part.png', is damaged"):
            images[0]
        with pytest.raises(ValueError, match=r"part.png, is damaged"):
            read_masks([path], 64)
