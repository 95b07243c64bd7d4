"""Images in folders: which files are taken, and what is said of the others."""

import inspect
import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

from skpadim._image_files import (
    IMAGE_EXTENSIONS,
    PILLOW_FORMATS,
    PassedOver,
    find_images,
    iter_images,
)


@pytest.fixture
def touch(tmp_path):
    def touch(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return touch


@pytest.fixture
def search(tmp_path):
    """Search a folder; return the names of images, and what was passed over."""

    def search(folder=tmp_path, leave_out=()):
        passed_over = PassedOver()
        paths = list(iter_images(folder, passed_over, leave_out))
        return [path.relative_to(folder).as_posix() for path in paths], passed_over

    return search


@pytest.mark.parametrize("ending", IMAGE_EXTENSIONS)
def test_a_file_is_opened_as_the_format_that_its_ending_stands_for(ending):
    file = io.BytesIO()
    grey = Image.fromarray(np.full((16, 24), 255, np.uint8))
    grey.convert("1" if ending == ".pbm" else "L").save(file, IMAGE_EXTENSIONS[ending])
    with Image.open(file, formats=PILLOW_FORMATS) as image:
        assert image.format == IMAGE_EXTENSIONS[ending]
        assert image.convert("L").getpixel((5, 5)) == 255


def test_all_files_that_may_be_opened_are_found(tmp_path):
    for ending in IMAGE_EXTENSIONS:
        (tmp_path / f"part{ending}").touch()
        (tmp_path / f"PART{ending.upper()}").touch()
    assert len(find_images(tmp_path, argument="DIR")) == 2 * len(IMAGE_EXTENSIONS)


def test_what_starts_another_program_is_no_image():
    assert not {"EPS", "WMF", "PDF"} & set(PILLOW_FORMATS)


def test_files_of_other_kinds_are_counted_by_their_endings(touch, search):
    touch("a.png", "b.txt", "c.TXT", "deep/d.heic", "README", "deep/e.txt", ".hidden.txt")
    touch("Thumbs.db", "desktop.ini", "@eaDir/thumbnail.txt")
    found, passed_over = search()
    assert found == ["a.png"]
    assert passed_over.kinds == "3 .txt, 1 .heic, 1 without an ending"
    assert passed_over.troubles == []


def test_many_endings_are_told_in_one_short_line(touch, search):
    touch("a.png", *(f"{n}.{n:04}" for n in range(30)), "x.txt", "y.txt")
    kinds = search()[1].kinds
    assert kinds.startswith("2 .txt, 1 .0000, 1 ")
    assert kinds.endswith(", 21 more")


def test_python_is_warned_of_what_was_passed_over(touch, tmp_path):
    touch("a.png", "b.txt")
    with pytest.warns(UserWarning, match=rf"^good, {tmp_path}: passed over: 1 \.txt\.$") as warned:
        find_images(tmp_path, argument="good")
    assert warned[0].filename == __file__


def test_an_error_of_a_folder_without_images_tells_what_is_in_it(touch, tmp_path):
    touch("b.heic")
    with pytest.raises(ValueError, match=r"good has no image: .* In it: passed over: 1 \.heic\."):
        find_images(tmp_path, argument="good")


def test_what_is_left_out_is_not_counted(touch, search, tmp_path):
    touch("a.png", "b/c.png", "b/d.txt", "e.txt")
    found, passed_over = search(leave_out=[tmp_path / "b", tmp_path / "e.txt", tmp_path])
    assert found == ["a.png"]
    assert passed_over == PassedOver()


def test_links_to_folders_elsewhere_are_followed(touch, search, tmp_path):
    touch("line/a.png", "elsewhere/b.png", "elsewhere/deep/c.png")
    (tmp_path / "line/link").symlink_to(tmp_path / "elsewhere")
    found, passed_over = search(tmp_path / "line")
    assert found == ["a.png", "link/b.png", "link/deep/c.png"]
    assert passed_over == PassedOver()


@pytest.mark.parametrize("target", [".", "sub", "..", "/"])
def test_a_link_to_what_is_searched_anyway_is_named_and_no_image_comes_twice(
    touch, search, tmp_path, target
):
    touch("line/a.png", "line/sub/b.png")
    link = tmp_path / "line/aa"
    link.symlink_to(tmp_path / "line" / target)
    found, passed_over = search(tmp_path / "line")
    assert found == ["a.png", "sub/b.png"]
    assert passed_over.links == [link]
    assert passed_over.troubles[0].startswith(f"{str(link)!r} is not followed")


def test_two_links_to_one_folder_are_followed_once(touch, search, tmp_path):
    touch("line/a.png", "elsewhere/b.png", "elsewhere/deep/c.png")
    for name, target in [("one", "elsewhere"), ("two", "elsewhere/deep"), ("zero", ".")]:
        (tmp_path / "line" / name).symlink_to(tmp_path / target)
    found, passed_over = search(tmp_path / "line")
    assert found == ["a.png", "one/b.png", "one/deep/c.png"]
    assert [link.name for link in passed_over.links] == ["two", "zero"]


def test_a_link_into_a_folder_that_is_left_out_is_not_followed(touch, search, tmp_path):
    touch("bad/a.png", "good/b.png")
    (tmp_path / "bad/link").symlink_to(tmp_path / "good")
    assert search(tmp_path / "bad", leave_out=[tmp_path / "good"])[0] == ["a.png"]


def test_links_that_lead_nowhere_stop_nothing(touch, search, tmp_path):
    touch("b.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "a.png")  # to itself
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    found, passed_over = search()
    assert found == ["b.png"]
    assert sorted(path.name for path in passed_over.unread) == ["a.png", "gone"]
    assert passed_over.troubles[0] == f"{str(tmp_path / 'a.png')!r} is a link that leads nowhere"


def test_a_pipe_is_named(touch, search, tmp_path):
    touch("b.png")
    os.mkfifo(tmp_path / "a.png")
    found, passed_over = search()
    assert found == ["b.png"]
    assert list(passed_over.unread) == [tmp_path / "a.png"]


def test_a_folder_that_cannot_be_read_stops_nothing(touch, search, unreadable):
    touch("a.png", "c.png")
    folder = unreadable("b")
    found, passed_over = search()
    assert found == ["a.png", "c.png"]
    assert list(passed_over.unread) == [folder]
    assert passed_over.troubles[0].endswith(" cannot be read: File name too long")


def test_folders_may_lie_deeper_than_functions_may_call_each_other(touch, search):
    touch("d/" * 150 + "a.png")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        found, _ = search()
    finally:
        sys.setrecursionlimit(limit)
    assert found == ["d/" * 150 + "a.png"]
