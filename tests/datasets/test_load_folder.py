"""Images of one's own: folders of good and of defective ones, and of masks."""

from pathlib import Path

import numpy as np
import pytest

from skpadim.datasets import load_folder


@pytest.fixture
def parts(write_image, tmp_path):
    for name in ("ok/1.png", "ok/2.png", "ok/late shift/3.jpg", "ok/10.png"):
        write_image(f"parts/{name}")
    for name in ("ng/scratch/7.png", "ng/dent/8.png", "ng/9.png"):
        write_image(f"parts/{name}")
    for name in ("masks/scratch/7.bmp", "masks/dent/8_mask.png", "masks/9.png"):
        write_image(f"parts/{name}")
    return tmp_path / "parts"


def below(folder, paths):
    return [Path(path).relative_to(folder).as_posix() for path in paths]


def test_a_folder_of_good_images_is_all_it_takes(parts):
    data = load_folder(parts / "ok")
    assert below(parts / "ok", data.X) == ["1.png", "2.png", "10.png", "late shift/3.jpg"]
    assert list(data.y) == [1, 1, 1, 1]
    assert list(data.defects) == ["good"] * 4
    assert list(data.masks) == [None] * 4


def test_paths_begin_as_the_folder_was_given(parts, monkeypatch):
    monkeypatch.chdir(parts)
    assert load_folder("ok").X[0] == str(Path("ok") / "1.png")


def test_defective_images_follow_the_good_ones(parts):
    data = load_folder(parts / "ok", defective=parts / "ng")
    assert below(parts, data.X[4:]) == ["ng/9.png", "ng/dent/8.png", "ng/scratch/7.png"]
    np.testing.assert_array_equal(data.y, [1, 1, 1, 1, -1, -1, -1])


def test_subfolders_name_the_defects(parts):
    data = load_folder(parts / "ok", defective=parts / "ng")
    assert list(data.defects[4:]) == ["defective", "dent", "scratch"]


def test_deeper_subfolders_name_the_defects_with_all_their_names(parts, write_image):
    write_image("parts/ng/scratch/deep/11.png")
    data = load_folder(parts / "ok", defective=parts / "ng")
    assert data.defects[-1] == "scratch/deep"


def test_good_images_can_be_taken_by_their_label(parts):
    data = load_folder(parts / "ok", defective=parts / "ng")
    assert below(parts / "ok", data.X[data.y == 1]) == below(parts / "ok", data.X[:4])


def test_masks_lie_in_the_same_place_with_or_without_mask_in_their_names(parts):
    data = load_folder(parts / "ok", defective=parts / "ng", masks=parts / "masks")
    assert list(data.masks[:4]) == [None] * 4
    assert below(parts / "masks", data.masks[4:]) == ["9.png", "dent/8_mask.png", "scratch/7.bmp"]


def test_the_description_counts_the_images(parts):
    assert "4 good images" in load_folder(parts / "ok").DESCR
    assert "3 defective" in load_folder(parts / "ok", defective=parts / "ng").DESCR


def test_an_image_belongs_to_the_inner_one_of_two_folders(write_image, tmp_path):
    for name in ("test/good/1.png", "test/dent/2.png", "test/masks/dent/2.png"):
        write_image(name)
    test = tmp_path / "test"
    data = load_folder(test / "good", defective=test, masks=test / "masks")
    assert below(test, data.X) == ["good/1.png", "dent/2.png"]
    assert below(test, data.masks[1:]) == ["masks/dent/2.png"]


def test_a_folder_of_rejects_may_lie_within_that_of_good_images(write_image, tmp_path):
    for name in ("line/1.png", "line/rejects/2.png"):
        write_image(name)
    data = load_folder(tmp_path / "line", defective=tmp_path / "line" / "rejects")
    assert below(tmp_path / "line", data.X) == ["1.png", "rejects/2.png"]


def test_a_folder_of_rejects_called_good_is_refused(parts, write_image):
    write_image("parts/ng/good/11.png")
    with pytest.raises(ValueError, match="defective has a sub-folder called 'good'"):
        load_folder(parts / "ok", defective=parts / "ng")


def test_a_mask_of_another_size_than_its_image_is_named(parts, write_image):
    write_image("parts/masks/9.png", np.zeros((5, 6), np.uint8))
    with pytest.raises(ValueError, match=r"masks.9\.png has 6 x 5 pixels, but its image .* 6 x 4"):
        load_folder(parts / "ok", defective=parts / "ng", masks=parts / "masks")


def test_a_missing_folder_is_named_with_its_argument(parts):
    with pytest.raises(FileNotFoundError, match=r"defective must be a folder.*nowhere"):
        load_folder(parts / "ok", defective=parts / "nowhere")


def test_a_folder_without_images_is_an_error_that_lists_the_extensions(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"good has no image: .*\.jpg.*\.png.*\.webp"):
        load_folder(tmp_path)


def test_an_outer_folder_without_images_of_its_own_is_explained(write_image, tmp_path):
    write_image("test/good/1.png")
    with pytest.raises(ValueError, match=r"defective has no image: .* Not counted is .*good"):
        load_folder(tmp_path / "test" / "good", defective=tmp_path / "test")


def test_one_folder_cannot_be_both(parts):
    with pytest.raises(ValueError, match="must be different folders"):
        load_folder(parts / "ok", defective=parts / "ng" / ".." / "ok")


def test_masks_need_defective_images(parts):
    with pytest.raises(ValueError, match="give the folder `defective`"):
        load_folder(parts / "ok", masks=parts / "masks")


def test_a_defective_image_without_mask_is_named(parts):
    (parts / "masks" / "9.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"ng.9\.png has no mask"):
        load_folder(parts / "ok", defective=parts / "ng", masks=parts / "masks")


@pytest.mark.parametrize("folder", ["@eaDir", ".thumbnails", "late shift/@eaDir/3.jpg"])
def test_folders_of_thumbnails_are_left_out(parts, write_image, folder):
    before = list(load_folder(parts / "ok").X)
    write_image(f"parts/ok/{folder}/thumbnail.png")
    assert list(load_folder(parts / "ok").X) == before


def test_the_folder_given_may_itself_be_hidden(parts):
    (parts / "ok").rename(parts / ".ok")
    assert len(load_folder(parts / ".ok").X) == 4


def test_a_mask_without_image_is_named(parts, write_image):
    write_image("parts/masks/dent/77_mask.png")
    with pytest.raises(ValueError, match=r"77_mask\.png is the mask of no image: .*77\.\*"):
        load_folder(parts / "ok", defective=parts / "ng", masks=parts / "masks")


def test_two_masks_for_one_image_are_named(parts, write_image):
    write_image("parts/masks/9_mask.png")
    with pytest.raises(ValueError, match=r"9\.png has two masks, .*9\.png and .*9_mask\.png"):
        load_folder(parts / "ok", defective=parts / "ng", masks=parts / "masks")


def test_two_images_for_one_mask_are_named(parts, write_image):
    write_image("parts/ng/9.jpg")
    with pytest.raises(ValueError, match=r"9\.jpg and .*9\.png would share one mask"):
        load_folder(parts / "ok", defective=parts / "ng", masks=parts / "masks")
