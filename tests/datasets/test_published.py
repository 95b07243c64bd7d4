"""Published data sets, on tiny replicas of how they lie on disk."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skpadim import datasets
from skpadim.datasets import (
    load_btad,
    load_dagm2007,
    load_hyper_kvasir,
    load_kolektor_sdd,
    load_kolektor_sdd2,
    load_lag,
    load_magnetic_tile,
    load_mpdd,
    load_mvtec_ad,
    load_mvtec_ad_2,
    load_mvtec_loco_ad,
    load_shanghaitech,
    load_visa,
    read_masks,
)

SIZE = (16, 24)
DEFECT = np.zeros(SIZE, np.uint8)
DEFECT[8:16, 8:20] = 255
BLACK = np.zeros(SIZE, np.uint8)


class Disk:
    """Writes pictures below a root."""

    def __init__(self, root):
        self.root = root

    def images(self, *names):
        for name in names:
            self.picture(name, np.full(SIZE, 90, np.uint8))

    def masks(self, *names):
        for name in names:
            self.picture(name, DEFECT)

    def picture(self, name, pixels):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    def text(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def array(self, name, values):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.asarray(values))


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path / "root")


def write_mvtec(disk, category):
    disk.images(*(f"{category}/train/good/{i:03}.png" for i in range(3)))
    disk.images(f"{category}/test/good/000.png", f"{category}/test/hole/000.png")
    disk.masks(f"{category}/ground_truth/hole/000_mask.png")


def write_loco(disk, category):
    disk.images(*(f"{category}/train/good/{i:03}.png" for i in range(3)))
    disk.images(f"{category}/validation/good/000.png", f"{category}/test/good/000.png")
    for kind in ("logical", "structural"):
        disk.images(f"{category}/test/{kind}_anomalies/000.png")
    left, right = DEFECT.copy(), DEFECT.copy()
    left[:, 12:] = right[:, :12] = 0
    truth = f"{category}/ground_truth"
    disk.picture(f"{truth}/logical_anomalies/000/000.png", left)
    disk.picture(f"{truth}/logical_anomalies/000/001.png", right)
    disk.masks(f"{truth}/structural_anomalies/000/000.png")


def write_ad_2(disk, category):
    disk.images(*(f"{category}/train/good/{i:03}_regular.png" for i in range(3)))
    disk.images(f"{category}/validation/good/000_regular.png")
    disk.images(f"{category}/test_public/good/000_regular.png")
    disk.images(f"{category}/test_public/bad/000_shift_1.png")
    disk.masks(f"{category}/test_public/ground_truth/bad/000_shift_1_mask.png")
    disk.images(f"{category}/test_private/000_regular.png")
    disk.images(*(f"{category}/test_private_mixed/00{i}_mixed.png" for i in range(2)))


def write_btad(disk, category):
    disk.images(*(f"{category}/train/ok/{i:04}.bmp" for i in range(3)))
    disk.images(f"{category}/test/ok/0000.bmp", f"{category}/test/ko/0000.bmp")
    disk.masks(f"{category}/ground_truth/ko/0000.png")


def write_visa(disk, category):
    normal = [f"{category}/Data/Images/Normal/{i:04}.JPG" for i in range(4)]
    disk.images(*normal, f"{category}/Data/Images/Anomaly/000.JPG")
    disk.picture(f"{category}/Data/Masks/Anomaly/000.png", DEFECT // 85)  # class 3
    table = disk.root / "split_csv" / "1cls.csv"
    if not table.exists():
        disk.text("split_csv/1cls.csv", "object,split,label,image,mask\n")
    with table.open("a") as file:
        for path in (normal[2], normal[0], normal[3]):
            file.write(f"{category},train,normal,{path},\n")
        file.write(f"{category},test,normal,{normal[1]},\n")
        file.write(
            f"{category},test,anomaly,{category}/Data/Images/Anomaly/000.JPG,"
            f"{category}/Data/Masks/Anomaly/000.png\n"
        )


def write_dagm(disk, category):
    disk.images(*(f"{category}/Train/{i:04}.PNG" for i in range(4)))
    disk.masks(f"{category}/Train/Label/0001_label.PNG")
    disk.images(*(f"{category}/Test/{i:04}.PNG" for i in range(2)))
    disk.masks(f"{category}/Test/Label/0001_label.PNG")
    disk.text(f"{category}/Test/Label/Labels.txt", "1\n")


def write_shanghaitech(disk, category):
    disk.images(*(f"training/frames/{category}_001/{i:03}.jpg" for i in range(3)))
    disk.images(*(f"testing/frames/{category}_0014/{i:03}.jpg" for i in range(2)))
    disk.array(f"testing/test_frame_mask/{category}_0014.npy", np.array([0, 1], np.int8))
    disk.array(f"testing/test_pixel_mask/{category}_0014.npy", np.array([BLACK, DEFECT]) // 255)


def write_kolektor_sdd(disk):
    for item in ("kos10", "kos02"):
        disk.images(f"{item}/Part0.jpg", f"{item}/Part1.jpg")
        disk.picture(f"{item}/Part0_label.bmp", BLACK)
        disk.masks(f"{item}/Part1_label.bmp")


def write_kolektor_sdd2(disk):
    for part, numbers in (("train", (10, 11, 12, 13)), ("test", (20, 21))):
        disk.images(*(f"{part}/{number}.png" for number in numbers))
        for number in numbers:
            disk.picture(f"{part}/{number}_GT.png", DEFECT if number in (11, 21) else BLACK)


def write_magnetic_tile(disk):
    disk.images(*(f"MT_Free/Imgs/exp1_num_{i}.jpg" for i in (1, 2, 10)))
    disk.picture("MT_Free/Imgs/exp1_num_1.png", BLACK)
    for defect in ("Crack", "Blowhole"):
        disk.images(f"MT_{defect}/Imgs/exp1_num_5.jpg")
        disk.masks(f"MT_{defect}/Imgs/exp1_num_5.png")


def write_hyper_kvasir(disk):
    landmarks = "labeled-images/lower-gi-tract/anatomical-landmarks"
    disk.images(*(f"{landmarks}/cecum/{name}.jpg" for name in "abcd"))
    disk.images("segmented-images/images/p.jpg")
    disk.masks("segmented-images/masks/p.jpg")


def write_lag(disk):
    disk.images(*(f"non_glaucoma/image/{i:04}.jpg" for i in range(1, 5)))
    disk.images("suspicious_glaucoma/image/0005.jpg")
    disk.images("suspicious_glaucoma/attention_map/0005.jpg")


# Loader, replica, two categories, what tells where to get it, mask of a defective image.
WITH_CATEGORIES = {
    "mvtec_ad": (load_mvtec_ad, write_mvtec, ("screw", "tile"), "www.mvtec.com"),
    "mvtec_loco_ad": (load_mvtec_loco_ad, write_loco, ("pushpins", "screw_bag"), "mvtec-loco"),
    "mvtec_ad_2": (load_mvtec_ad_2, write_ad_2, ("vial", "rice"), "mvtec-ad-2"),
    "btad": (load_btad, write_btad, ("01", "02"), "VT-ADL"),
    "mpdd": (load_mpdd, write_mvtec, ("tubes", "connector"), "stepanje/MPDD"),
    "visa": (load_visa, write_visa, ("candle", "pcb1"), "amazon-science/spot-diff"),
    "dagm2007": (load_dagm2007, write_dagm, ("Class1", "Class10"), "hci.iwr.uni-heidelberg.de"),
    "shanghaitech": (load_shanghaitech, write_shanghaitech, ("01", "02"), "svip-lab"),
}
WITHOUT_CATEGORIES = {
    "kolektor_sdd": (load_kolektor_sdd, write_kolektor_sdd, "vicos.si/resources/kolektorsdd/"),
    "kolektor_sdd2": (load_kolektor_sdd2, write_kolektor_sdd2, "vicos.si/resources/kolektorsdd2/"),
    "magnetic_tile": (load_magnetic_tile, write_magnetic_tile, "abin24/Magnetic-tile"),
    "hyper_kvasir": (load_hyper_kvasir, write_hyper_kvasir, "datasets.simula.no"),
    "lag": (load_lag, write_lag, "smilell/AG-CNN"),
}
NAMES = [*WITH_CATEGORIES, *WITHOUT_CATEGORIES]


@pytest.fixture
def load(request, disk):
    """Load the first category of the replica of a data set, which is written first."""
    name = request.param
    if name in WITH_CATEGORIES:
        loader, write, categories, _ = WITH_CATEGORIES[name]
        for category in categories:
            write(disk, category)
        return lambda: loader(disk.root, categories[0])
    loader, write, _ = WITHOUT_CATEGORIES[name]
    write(disk)
    return lambda: loader(str(disk.root))


def arrays_of(data):
    """Images, labels, masks and defects, of a data set with or without a split."""
    part = "_test" if "X_test" in data else ""
    return [data[f"{name}{part}"] for name in ("X", "y", "masks", "defects")]


def test_each_loader_of_a_published_data_set_is_tested_here():
    loaders = {name.removeprefix("load_") for name in datasets.__all__ if "load_" in name}
    assert loaders - {"folder", "manifest"} == set(NAMES)


@pytest.mark.parametrize("load", NAMES, indirect=True)
def test_images_labels_masks_and_defects_belong_together(load):
    data = load()
    images, labels, masks, defects = arrays_of(data)
    assert len(images) == len(labels) == len(masks) == len(defects) > 0
    assert set(labels) == {1, -1}
    np.testing.assert_array_equal(labels == 1, defects == "good")
    for image in [*images, *data.get("X_train", [])]:
        with Image.open(image) as opened:
            assert opened.size == SIZE[::-1]
            assert np.asarray(opened).mean() == pytest.approx(90, abs=1)  # no mask


@pytest.mark.parametrize("load", NAMES, indirect=True)
def test_masks_of_all_forms_are_read(load, request):
    _, labels, masks, _ = arrays_of(load())
    if request.node.callspec.params["load"] == "lag":
        assert not any(masks)
        return
    assert [mask is not None for mask in masks] == list(labels == -1)
    expected = (labels == -1)[:, None, None] & (DEFECT > 0)
    np.testing.assert_array_equal(read_masks(masks, SIZE), expected)


@pytest.mark.parametrize(
    "load", [n for n in NAMES if n not in ("kolektor_sdd", "magnetic_tile")], indirect=True
)
def test_no_image_is_both_learnt_from_and_tested(load):
    data = load()
    assert len(data.X_train) == 3
    assert len(set(data.X_train)) == 3
    assert not set(data.X_train) & set(data.X_test)


@pytest.mark.parametrize("load", NAMES, indirect=True)
def test_the_description_tells_source_and_licence(load, request):
    name = request.node.callspec.params["load"]
    *_, url = {**WITH_CATEGORIES, **WITHOUT_CATEGORIES}[name]
    assert url in load().DESCR


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_data_sets_has_a_row_with_source_and_loader(name):
    *_, url = {**WITH_CATEGORIES, **WITHOUT_CATEGORIES}[name]
    page = Path(__file__).parents[2] / "docs" / "datasets.md"
    assert any(url in line and f"load_{name}`" in line for line in page.read_text().splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_root_is_an_error_that_tells_source_and_layout(tmp_path, name):
    loader, *_, url = {**WITH_CATEGORIES, **WITHOUT_CATEGORIES}[name]
    arguments = ["x"] if name in WITH_CATEGORIES else []
    with pytest.raises(FileNotFoundError, match=rf"(?s)nowhere.*{url}.*layout:\n<root>/"):
        loader(tmp_path / "nowhere", *arguments)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_root_is_an_error_that_tells_source_and_layout(tmp_path, name):
    loader, *_, url = {**WITH_CATEGORIES, **WITHOUT_CATEGORIES}[name]
    arguments = ["x"] if name in WITH_CATEGORIES else []
    with pytest.raises(FileNotFoundError, match=rf"(?s)can be had from .*{url}.*layout:\n<root>/"):
        loader(tmp_path, *arguments)


@pytest.mark.parametrize("name", WITH_CATEGORIES)
def test_an_unknown_category_is_an_error_with_a_suggestion(disk, name):
    loader, write, categories, _ = WITH_CATEGORIES[name]
    for category in categories:
        write(disk, category)
    misspelt = f"{categories[0]}_"
    there = ", ".join(sorted(categories))
    with pytest.raises(ValueError, match=rf"Did you mean '{categories[0]}'\? There are: {there}\."):
        loader(disk.root, misspelt)
    with pytest.raises(TypeError, match="category must be the name of one category"):
        loader(disk.root, 1)


MASKS = {
    "mvtec_ad": "screw/ground_truth/hole/000_mask.png",
    "mvtec_loco_ad": "pushpins/ground_truth/structural_anomalies/000/000.png",
    "mvtec_ad_2": "vial/test_public/ground_truth/bad/000_shift_1_mask.png",
    "btad": "01/ground_truth/ko/0000.png",
    "mpdd": "tubes/ground_truth/hole/000_mask.png",
    "visa": "candle/Data/Masks/Anomaly/000.png",
    "dagm2007": "Class1/Test/Label/0001_label.PNG",
    "kolektor_sdd": "kos02/Part1_label.bmp",
    "kolektor_sdd2": "test/21_GT.png",
    "magnetic_tile": "MT_Crack/Imgs/exp1_num_5.png",
    "hyper_kvasir": "segmented-images/masks/p.jpg",
}


@pytest.mark.parametrize(("load", "mask"), MASKS.items(), indirect=["load"])
def test_a_mask_of_another_size_than_its_image_is_named(load, mask, disk):
    disk.picture(mask, DEFECT[:, 1:])
    with pytest.raises(ValueError, match=r"has 23 x 16 pixels, but its image .* has 24 x 16"):
        load()


@pytest.mark.parametrize(("load", "mask"), MASKS.items(), indirect=["load"])
def test_a_mask_that_is_no_picture_is_named(load, mask, disk):
    (disk.root / mask).write_text("not a picture")
    with pytest.raises(ValueError, match=rf"{Path(mask).name},? (cannot be read|is not an image)"):
        load()


@pytest.mark.parametrize(
    ("load", "mask"),
    [(name, mask) for name, mask in MASKS.items() if name not in ("mvtec_loco_ad", "dagm2007")],
    indirect=["load"],
)
def test_a_missing_mask_is_an_error(load, mask, disk):
    (disk.root / mask).unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=r"no mask|no image|no file"):
        load()


def test_an_image_that_the_camera_turned_has_the_size_that_is_seen(disk):
    write_mvtec(disk, "screw")
    turned = Image.Exif()
    turned[0x0112] = 6
    path = disk.root / "screw/test/hole/000.png"
    Image.fromarray(BLACK.T.copy()).save(path, exif=turned)
    assert len(load_mvtec_ad(disk.root, "screw").X_test) == 2


def test_a_mask_may_be_turned_as_its_image_is(disk):
    write_mvtec(disk, "screw")
    turned = Image.Exif()
    turned[0x0112] = 6
    for path in ("screw/test/hole/000.png", "screw/ground_truth/hole/000_mask.png"):
        Image.fromarray(BLACK.T.copy()).save(disk.root / path, exif=turned)
    assert len(load_mvtec_ad(disk.root, "screw").X_test) == 2


def test_an_image_with_a_mask_that_cannot_be_read_is_named(disk):
    write_mvtec(disk, "screw")
    (disk.root / "screw/test/hole/000.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"hole.000\.png is not an image in a format"):
        load_mvtec_ad(disk.root, "screw")


# What is particular to each.


def test_mvtec_loco_has_a_folder_of_masks_for_each_image(disk):
    write_loco(disk, "pushpins")
    data = load_mvtec_loco_ad(disk.root, "pushpins")
    folder = disk.root / "pushpins"
    assert data.masks_test[1] == str(folder / "ground_truth" / "logical_anomalies" / "000")
    assert list(data.defects_test) == ["good", "logical_anomalies", "structural_anomalies"]
    assert list(data.X_val) == [str(folder / "validation" / "good" / "000.png")]


def test_a_missing_folder_of_masks_is_named(disk):
    write_loco(disk, "pushpins")
    truth = disk.root / "pushpins" / "ground_truth" / "logical_anomalies"
    shutil.rmtree(truth / "000")
    with pytest.raises(FileNotFoundError, match=r"000\.png has no mask: .*000.000\.png is missing"):
        load_mvtec_loco_ad(disk.root, "pushpins")
    shutil.rmtree(truth)
    with pytest.raises(FileNotFoundError, match=r"ground_truth/logical_anomalies must be a folder"):
        load_mvtec_loco_ad(disk.root, "pushpins")


def test_mvtec_ad_2_has_private_images_beside_the_public_ones(disk):
    write_ad_2(disk, "vial")
    data = load_mvtec_ad_2(disk.root, "vial")
    assert (len(data.X_val), len(data.X_private), len(data.X_private_mixed)) == (1, 1, 2)
    assert list(data.defects_test) == ["bad", "good"]
    shutil.rmtree(disk.root / "vial" / "test_private")
    assert len(load_mvtec_ad_2(disk.root, "vial").X_private) == 0


def test_btad_calls_good_parts_ok(disk):
    write_btad(disk, "01")
    assert list(load_btad(disk.root, "01").defects_test) == ["ko", "good"]


def test_visa_is_split_by_the_official_file(disk):
    write_visa(disk, "candle")
    data = load_visa(disk.root, "candle")
    assert [Path(path).name for path in data.X_train] == ["0002.JPG", "0000.JPG", "0003.JPG"]
    assert [Path(path).name for path in data.X_test] == ["0001.JPG", "000.JPG"]


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("candle,train,normal", ValueError, "line 7, does not have the 5 values"),
        ("candle,train,anomaly,a.JPG,m.png", FileNotFoundError, "line 7: there is no file .*a.JPG"),
        (
            "candle,train,anomaly,{0},{1}",
            ValueError,
            "line 7: split and label must be .* 'anomaly'",
        ),
        ("candle,val,normal,{0},", ValueError, "line 7: split and label must be .* got 'val'"),
        ("candle,test,anomaly,{0},", ValueError, "line 7: there is no mask of the anomaly"),
        ("candle,test,anomaly,{0},no.png", FileNotFoundError, "line 7: there is no file .*no.png"),
        ('candle,"train,normal', ValueError, "line 7: unexpected end of data"),
    ],
)
def test_a_wrong_line_of_the_split_file_is_named(disk, line, error, message):
    write_visa(disk, "candle")
    image, mask = "candle/Data/Images/Normal/0000.JPG", "candle/Data/Masks/Anomaly/000.png"
    with (disk.root / "split_csv" / "1cls.csv").open("a") as file:
        file.write(line.format(image, mask))
    with pytest.raises(error, match=rf"split file, .*1cls\.csv, {message}"):
        load_visa(disk.root, "candle")


def test_a_split_file_without_a_column_or_in_another_encoding_is_named(disk):
    write_visa(disk, "candle")
    table = disk.root / "split_csv" / "1cls.csv"
    content = table.read_bytes()
    table.write_bytes(content.replace(b"mask\n", b"masks\n", 1))
    with pytest.raises(ValueError, match=r"line 1: there is no column 'mask', only 'object', "):
        load_visa(disk.root, "candle")
    table.write_bytes(content.replace(b"0000.JPG", b"\xe9.JPG", 1))
    with pytest.raises(ValueError, match=r"1cls\.csv, line 3, is not text in UTF-8"):
        load_visa(disk.root, "candle")


def test_dagm_leaves_defective_training_images_out(disk):
    write_dagm(disk, "Class1")
    data = load_dagm2007(disk.root, "Class1")
    assert [Path(path).name for path in data.X_train] == ["0000.PNG", "0002.PNG", "0003.PNG"]
    assert list(data.defects_test) == ["good", "defective"]


def test_a_label_without_image_is_named(disk):
    write_dagm(disk, "Class1")
    (disk.root / "Class1" / "Test" / "0001.PNG").unlink()
    with pytest.raises(ValueError, match=r"0001_label\.PNG is the mask of no image: .*0001\.\*"):
        load_dagm2007(disk.root, "Class1")


def test_shanghaitech_takes_frames_of_one_scene_in_their_order(disk):
    write_shanghaitech(disk, "01")
    write_shanghaitech(disk, "11")
    disk.images("training/frames/01_002/000.jpg", "training/frames/01_002/1000.jpg")
    data = load_shanghaitech(disk.root, "01")
    names = [Path(path).relative_to(disk.root).as_posix() for path in data.X_train]
    assert names[3:] == ["training/frames/01_002/000.jpg", "training/frames/01_002/1000.jpg"]
    assert list(data.groups_train) == ["01_001"] * 3 + ["01_002"] * 2
    assert list(data.groups_test) == ["01_0014"] * 2
    assert data.masks_test[1].endswith(str(Path("01_0014.npy", "1")))


def test_a_scene_without_test_videos_has_no_test_frames(disk):
    write_shanghaitech(disk, "01")
    disk.images("training/frames/13_001/000.jpg")
    data = load_shanghaitech(disk.root, "13")
    assert (len(data.X_train), len(data.X_test)) == (1, 0)


def test_videos_without_frames_are_an_error_that_tells_how_to_make_them(disk):
    write_shanghaitech(disk, "01")
    (disk.root / "training" / "frames").rename(disk.root / "training" / "videos")
    with pytest.raises(FileNotFoundError, match="has videos but no frames"):
        load_shanghaitech(disk.root, "01")


def test_masks_of_another_number_or_size_than_the_frames_are_named(disk):
    write_shanghaitech(disk, "01")
    pixels, frames = "testing/test_pixel_mask/01_0014.npy", "testing/test_frame_mask/01_0014.npy"
    disk.array(pixels, np.zeros((16, 24, 2)))
    with pytest.raises(ValueError, match=r"test_pixel_mask.* shape \(16, 24, 2\), .* has 2 frames"):
        load_shanghaitech(disk.root, "01")
    disk.array(pixels, np.zeros((2, 16, 23)))
    with pytest.raises(ValueError, match="has 23 x 16 pixels"):
        load_shanghaitech(disk.root, "01")
    disk.array(frames, np.zeros(3))
    with pytest.raises(ValueError, match=r"test_frame_mask.* shape \(3,\)"):
        load_shanghaitech(disk.root, "01")
    (disk.root / pixels).unlink()
    with pytest.raises(FileNotFoundError, match=r"01_0014\.npy"):
        load_shanghaitech(disk.root, "01")


def test_kolektor_sdd_groups_images_by_commutator(disk):
    write_kolektor_sdd(disk)
    data = load_kolektor_sdd(disk.root)
    assert list(data.groups) == ["kos02", "kos02", "kos10", "kos10"]
    np.testing.assert_array_equal(data.y, [1, -1, 1, -1])


def test_kolektor_sdd2_leaves_defective_training_images_out(disk):
    write_kolektor_sdd2(disk)
    data = load_kolektor_sdd2(disk.root)
    assert [Path(path).name for path in data.X_train] == ["10.png", "12.png", "13.png"]
    np.testing.assert_array_equal(data.y_test, [1, -1])


def test_magnetic_tiles_come_good_ones_first(disk):
    write_magnetic_tile(disk)
    data = load_magnetic_tile(disk.root)
    assert list(data.defects) == ["good"] * 3 + ["Blowhole", "Crack"]
    assert [Path(path).name for path in data.X[:3]] == [f"exp1_num_{i}.jpg" for i in (1, 2, 10)]


@pytest.mark.parametrize("load", ["hyper_kvasir", "lag"], indirect=True)
def test_the_same_images_are_drawn_each_time(load):
    np.testing.assert_array_equal(load().X_train, load().X_train)
    assert "3 training images drawn" in load().DESCR


def test_as_many_images_are_drawn_as_in_the_publication(disk):
    for number in range(1, 41):
        disk.images(f"non_glaucoma/image/{number:04}.jpg")
    disk.images("suspicious_glaucoma/image/0050.jpg")
    drawn = [load_lag(disk.root, random_state=seed).X_train for seed in (0, 1)]
    assert len(drawn[0]) == len(drawn[1]) == round(40 * 2343 / 3143)
    assert set(drawn[0]) != set(drawn[1])


def test_images_to_learn_from_can_be_named(disk):
    write_lag(disk)
    disk.text("train.txt", "0003.jpg\n\n0001.jpg\n")
    data = load_lag(disk.root, train=disk.root / "train.txt")
    assert [Path(path).name for path in data.X_train] == ["0001.jpg", "0003.jpg"]
    assert [Path(path).name for path in data.X_test] == ["0002.jpg", "0004.jpg", "0005.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0001.jpg\n0005.jpg\n", r"line 2: '0005\.jpg' is none of the 4 good images"),
        ("0001.jpg\n0001.jpg\n", r"line 2: '0001\.jpg' is named twice"),
        ("\n", "names no image"),
    ],
)
def test_a_wrong_list_of_images_is_named(disk, content, message):
    write_lag(disk)
    disk.text("train.txt", content)
    with pytest.raises(ValueError, match=rf"train, .*train\.txt, {message}"):
        load_lag(disk.root, train=disk.root / "train.txt")
    with pytest.raises(FileNotFoundError, match=r"train: there is no file .*none\.txt"):
        load_lag(disk.root, train=disk.root / "none.txt")
