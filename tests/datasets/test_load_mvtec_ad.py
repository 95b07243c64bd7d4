"""MVTec AD's layout, on a tiny replica and on the real thing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skpadim.datasets import load_mvtec_ad


@pytest.fixture
def root(write_image, tmp_path):
    for category in ("nut", "zipper"):
        for name in ("000", "001", "002"):
            write_image(f"{category}/train/good/{name}.png")
        write_image(f"{category}/test/good/000.png")
        for defect in ("bent", "scratch"):
            for name in ("000", "001"):
                write_image(f"{category}/test/{defect}/{name}.png")
                write_image(f"{category}/ground_truth/{defect}/{name}_mask.png")
    (tmp_path / "readme.txt").touch()
    return tmp_path


def test_training_images_are_those_of_train_good(root):
    nut = load_mvtec_ad(root, "nut")
    folder = root / "nut" / "train" / "good"
    assert list(nut.X_train) == [str(folder / f"{i}.png") for i in ("000", "001", "002")]


def test_test_images_come_defect_by_defect(root):
    nut = load_mvtec_ad(root, "nut")
    folder = root / "nut" / "test"
    names = ["bent/000", "bent/001", "good/000", "scratch/000", "scratch/001"]
    assert list(nut.X_test) == [str(folder / f"{name}.png") for name in names]
    assert list(nut.defects_test) == ["bent", "bent", "good", "scratch", "scratch"]


def test_good_is_plus_one_and_defective_minus_one(root):
    np.testing.assert_array_equal(load_mvtec_ad(root, "nut").y_test, [-1, -1, 1, -1, -1])


def test_defective_images_have_masks_and_good_ones_none(root):
    masks = load_mvtec_ad(root, "nut").masks_test
    folder = root / "nut" / "ground_truth"
    assert masks[2] is None
    assert masks[0] == str(folder / "bent" / "000_mask.png")
    assert masks[4] == str(folder / "scratch" / "001_mask.png")


def test_all_fields_can_be_indexed_by_labels(root):
    nut = load_mvtec_ad(root, "nut")
    defective = nut.y_test == -1
    assert len(nut.X_test[defective]) == len(nut.masks_test[defective]) == 4
    assert all(nut.masks_test[defective])


def test_the_category_and_a_description_come_along(root):
    nut = load_mvtec_ad(str(root), "nut")
    assert nut.category == "nut"
    assert "CC BY-NC-SA 4.0" in nut.DESCR


def test_images_may_have_any_usual_extension(root, write_image):
    write_image("nut/train/good/003.JPG")
    write_image("nut/train/good/004.tiff")
    (root / "nut" / "train" / "good" / "Thumbs.db").touch()
    (root / "nut" / "train" / "good" / "._000.png").touch()
    names = [Path(path).name for path in load_mvtec_ad(root, "nut").X_train[3:]]
    assert names == ["003.JPG", "004.tiff"]


def test_numbers_in_names_count_as_numbers(root, write_image):
    write_image("nut/train/good/1000.png")
    write_image("nut/train/good/200.png")
    names = [Path(path).name for path in load_mvtec_ad(root, "nut").X_train[3:]]
    assert names == ["200.png", "1000.png"]


@pytest.mark.parametrize("category", [None, 3, ["nut"]])
def test_a_category_that_is_no_name_is_an_error(root, category):
    with pytest.raises(TypeError, match="category must be the name of one category"):
        load_mvtec_ad(root, category)


@pytest.mark.parametrize("folder", ["@eaDir", ".cache"])
def test_a_folder_of_thumbnails_is_no_defect(root, write_image, folder):
    write_image(f"nut/test/{folder}/thumbnail.png")
    assert set(load_mvtec_ad(root, "nut").defects_test) == {"bent", "good", "scratch"}


def test_a_missing_mask_is_named(root):
    mask = root / "nut" / "ground_truth" / "bent" / "001_mask.png"
    mask.unlink()
    with pytest.raises(FileNotFoundError, match=r"001\.png has no mask: .*001_mask\.png is"):
        load_mvtec_ad(root, "nut")


def test_a_mask_without_image_is_named(root):
    (root / "nut" / "test" / "bent" / "001.png").unlink()
    with pytest.raises(ValueError, match=r"001_mask\.png is the mask of no image: .*001\.\*"):
        load_mvtec_ad(root, "nut")


@pytest.mark.parametrize("folder", ["test", "ground_truth/bent"])
def test_a_missing_folder_is_named(root, folder):
    shutil.rmtree(root / "nut" / folder)
    with pytest.raises(FileNotFoundError, match=folder):
        load_mvtec_ad(root, "nut")


def test_a_folder_without_images_is_named(root):
    for image in (root / "nut" / "train" / "good").iterdir():
        image.unlink()
    with pytest.raises(ValueError, match=r"train/good has no image: .* \.bmp, \.dib"):
        load_mvtec_ad(root, "nut")


@pytest.mark.parametrize(
    ("category", "n_train", "n_test", "n_good"), [("bottle", 209, 83, 20), ("grid", 240, 81, 24)]
)
def test_real_categories_are_complete(real_data, category, n_train, n_test, n_good):
    data = real_data(category)
    assert len(data.X_train) == n_train
    assert len(data.X_test) == n_test
    assert np.sum(data.y_test == 1) == n_good
    for image, mask in zip(data.X_test, data.masks_test, strict=True):
        if mask is not None:
            with Image.open(image) as opened_image, Image.open(mask) as opened_mask:
                assert opened_image.size == opened_mask.size
