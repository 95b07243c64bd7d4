"""Images listed in a table."""

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skpadim.datasets import load_manifest

TABLE = """\
path,label,mask,defect,split,camera
ok/1.png,1,,,train,a
ok/2.png,good,,good,val,a

ok/3.png,1,,,test,b
ng/4.png,-1,masks/4.png,scratch,test,b
ng/5.png,anomaly,,,test,b
"""


@pytest.fixture
def folder(write_image, tmp_path):
    for name in ("ok/1.png", "ok/2.png", "ok/3.png", "ng/4.png", "ng/5.png", "masks/4.png"):
        write_image(name)
    return tmp_path


@pytest.fixture
def load(folder):
    def load(table, **parameters):
        path = folder / "manifest.csv"
        path.write_bytes(table if isinstance(table, bytes) else table.encode())
        return load_manifest(path, **parameters)

    return load


def names(paths):
    return [Path(path).name for path in paths]


def without(table, *columns):
    frame = pd.read_csv(StringIO(table)).drop(columns=list(columns))
    return frame.to_csv(index=False)


def test_a_column_of_splits_tells_what_to_learn_from(load, folder):
    data = load(TABLE)
    assert data.X_train[0] == str(folder / "ok/1.png")
    assert (names(data.X_train), names(data.X_val)) == (["1.png"], ["2.png"])
    assert names(data.X_test) == ["3.png", "4.png", "5.png"]
    np.testing.assert_array_equal(data.y_test, [1, -1, -1])
    assert list(data.defects_test) == ["good", "scratch", "defective"]
    assert list(data.masks_test) == [None, str(folder / "masks/4.png"), None]
    assert "5 images" in data.DESCR


def test_without_splits_all_images_come_together(load):
    data = load(without(TABLE, "split"))
    assert names(data.X) == ["1.png", "2.png", "3.png", "4.png", "5.png"]
    np.testing.assert_array_equal(data.y, [1, 1, 1, -1, -1])


def test_path_and_label_are_enough(load):
    data = load(without(TABLE, "split", "mask", "defect", "camera"))
    assert list(data.defects) == ["good"] * 3 + ["defective"] * 2
    assert not any(data.masks)


def test_a_data_frame_is_as_good_as_a_file(load, folder):
    data = load(TABLE)
    frame = pd.read_csv(folder / "manifest.csv")
    other = load_manifest(frame, root=folder)
    for key in data:
        if key != "DESCR":
            np.testing.assert_array_equal(other[key], data[key])


class PolarsFrame:
    """What load_manifest may use of a DataFrame of polars, which itself takes 180 MB."""

    def __init__(self, columns):
        self._columns = columns

    @property
    def columns(self):
        return list(self._columns)

    def to_dicts(self):
        return [
            dict(zip(self._columns, row, strict=True))
            for row in zip(*self._columns.values(), strict=True)
        ]

    def to_dict(self, *, as_series=True):
        return self._columns


def test_a_data_frame_of_polars_is_as_good(folder):
    columns = {
        "path": ["ok/1.png", "ng/4.png"],
        "label": [1, -1],
        "mask": [None, "masks/4.png"],
        "defect": [None, "scratch"],
    }
    data = load_manifest(PolarsFrame(columns), root=folder)
    assert names(data.X) == ["1.png", "4.png"]
    assert list(data.masks) == [None, str(folder / "masks/4.png")]
    assert list(data.defects) == ["good", "scratch"]
    with pytest.raises(ValueError, match="manifest, row 1: label must be"):
        load_manifest(PolarsFrame({**columns, "label": [1, 0]}), root=folder)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_cells_of_a_data_frame_may_be_missing(folder, missing):
    frame = pd.DataFrame(
        {"path": ["ok/1.png", "ng/4.png"], "label": [1.0, -1.0], "mask": [missing, "masks/4.png"]}
    )
    assert load_manifest(frame, root=folder).masks[0] is None


def test_relative_paths_of_a_data_frame_are_relative_to_the_current_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    data = load_manifest(pd.DataFrame({"path": ["ok/1.png"], "label": [1]}))
    assert data.X[0] == str(Path("ok/1.png"))


def test_a_root_may_be_given_and_paths_may_be_absolute(load, folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "list.csv"
    elsewhere.write_text(f"path,label\n1.png,1\n{folder / 'ng/4.png'},-1\n")
    assert names(load_manifest(elsewhere, root=folder / "ok").X) == ["1.png", "4.png"]


def test_spreadsheets_may_write_a_mark_first(load):
    assert len(load(b"\xef\xbb\xbf" + TABLE.encode()).X_train) == 1


def test_masks_in_a_video_can_be_named(load, folder):
    np.save(folder / "video.npy", np.zeros((3, 4, 6)))
    data = load("path,label,mask\nng/4.png,-1,video.npy/2\n")
    assert data.masks[0] == str(folder / "video.npy" / "2")


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("ok/9.png,1,,,test,", FileNotFoundError, r"there is no file .*ok.9\.png"),
        ("ng/4.png,-1,no.png,,test,", FileNotFoundError, r"there is no file .*no\.png"),
        ("ok/1.png,0,,,test,", ValueError, "label must be 1 .* or -1 .*; got '0'"),
        ("ok/1.png,,,,test,", ValueError, "label must be 1"),
        (",1,,,test,", ValueError, "path is empty"),
        ("ok/1.png,1,,dent,test,", ValueError, "a good image has the defect 'dent'"),
        ("ng/4.png,-1,,good,test,", ValueError, "a defective image has the defect 'good'"),
        ("ng/4.png,-1,,,train,", ValueError, "a defective image is of the split 'train'"),
        ("ok/1.png,1,,,Test,", ValueError, "split must be train, val or test; got 'Test'"),
    ],
)
def test_a_wrong_line_is_named(load, line, error, message):
    with pytest.raises(error, match=rf"manifest, .*manifest\.csv, line 8: {message}"):
        load(f"{TABLE}{line}\n")


def test_a_line_with_another_number_of_values_is_named(load):
    with pytest.raises(ValueError, match=r"line 8, does not have the 6 values"):
        load(f"{TABLE}ok/1.png,1,,,test,a,b\n")


def test_a_mask_of_another_size_is_named(load, write_image):
    write_image("masks/4.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"masks.4\.png has 5 x 4 pixels, .* has 6 x 4"):
        load(TABLE)


def test_a_wrong_row_of_a_data_frame_is_named(folder):
    frame = pd.DataFrame({"path": ["ok/1.png", "no.png"], "label": [1, 1]}, index=["a", "b"])
    with pytest.raises(FileNotFoundError, match=r"manifest, row 'b': there is no file .*no\.png"):
        load_manifest(frame, root=folder)


def test_columns_must_be_there(load, folder):
    with pytest.raises(ValueError, match=r"line 1: there is no column 'label', only 'path', 'y'"):
        load("path,y\nok/1.png,1\n")
    with pytest.raises(ValueError, match=r"manifest: there is no column 'path', only 'label'"):
        load_manifest(pd.DataFrame({"label": [1]}), root=folder)
    with pytest.raises(ValueError, match="no column 'path', 'label', only none"):
        load("")


def test_a_table_without_images_is_an_error(load):
    with pytest.raises(ValueError, match="manifest lists no image"):
        load("path,label\n")


def test_a_missing_file_and_what_is_no_table_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manifest: there is no file .*none\.csv"):
        load_manifest(tmp_path / "none.csv")
    with pytest.raises(TypeError, match="or a DataFrame; got list"):
        load_manifest([1])
