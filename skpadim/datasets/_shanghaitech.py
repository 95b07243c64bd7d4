"""Surveillance of a campus: frames of videos, scene by scene."""

import re
from os import PathLike
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skpadim._image_files import find_folders, find_images
from skpadim._masks import open_array
from skpadim.datasets._samples import Sample, check_mask, split
from skpadim.datasets._source import Source

_SHANGHAITECH = Source(
    "ShanghaiTech Campus",
    "https://svip-lab.github.io/dataset/campus_dataset.html",
    "BSD 2-Clause",
    """\
<root>/training/frames/<scene>_<video>/*.jpg
<root>/testing/frames/<scene>_<video>/*.jpg
<root>/testing/test_frame_mask/<scene>_<video>.npy
<root>/testing/test_pixel_mask/<scene>_<video>.npy""",
)


def load_shanghaitech(root: str | PathLike[str], category: str) -> Bunch:
    """Load the file names of the frames of one scene of ShanghaiTech Campus.

    The data set [1]_ is not downloaded: it comes from
    https://svip-lab.github.io/dataset/campus_dataset.html; anomalib tells BSD 2-Clause of its
    licence. It has 13 scenes, 274515 frames to train and 42883 to test, of 856 x 480 pixels. The
    layout is

    .. code-block:: text

        root/
            training/frames/01_001/*.jpg
            testing/frames/01_0014/*.jpg
            testing/test_frame_mask/01_0014.npy
            testing/test_pixel_mask/01_0014.npy

    where the number of the scene comes first in the name of a video. Training videos come as .avi
    files in ``training/videos``: make frames of them first, for instance with

    .. code-block:: text

        mkdir -p training/frames/01_001
        ffmpeg -i training/videos/01_001.avi -q:v 2 -start_number 0 training/frames/01_001/%03d.jpg

    Parameters
    ----------
    root : str or path-like
        Folder that holds the folders training and testing.
    category : str
        Number of a scene, from "01" to "13".

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        As of :func:`load_mvtec_ad`, in the order of videos and frames. The defect of all frames
        with an abnormal event is "abnormal". A mask is one of a file, ``01_0014.npy/17``, which
        :func:`read_masks` reads alone. And

        groups_train, groups_test : ndarray of shape (n_frames,), str
            The videos, as "01_0014".

        A scene without test videos has no test frames.

    Raises
    ------
    FileNotFoundError
        If the root, a folder of the layout, or a file of masks is missing.
    ValueError
        If there is no such scene below the root, a file of masks cannot be read, or has another
        number or size than the frames of its video. Of these, the size of the first is read.
    TypeError
        If `category` is no str.

    References
    ----------
    .. [1] Liu, Luo, Lian, Gao: "Future Frame Prediction for Anomaly Detection - A New Baseline",
       CVPR 2018.

    Examples
    --------
    >>> from skpadim.datasets import load_shanghaitech
    >>> scene = load_shanghaitech("shanghaitech", "01")  # doctest: +SKIP
    """
    place = _SHANGHAITECH.root(root)
    if not (place / "training" / "frames").is_dir() and (place / "training" / "videos").is_dir():
        raise FileNotFoundError(
            f"{place / 'training'} has videos but no frames. Make them first, with ffmpeg for "
            "instance, as load_shanghaitech tells. " + _SHANGHAITECH.expected()
        )
    train_videos = _videos(place, "training")
    scenes = sorted({path.name.partition("_")[0] for path in train_videos})
    _SHANGHAITECH.category(place, category, scenes, "01")
    train = [
        path
        for video in train_videos
        if video.name.startswith(f"{category}_")
        for path in find_images(video, argument=video.name)
    ]
    test = [
        sample
        for video in _videos(place, "testing")
        if video.name.startswith(f"{category}_")
        for sample in _test_frames(place, video)
    ]
    return split(
        train,
        test,
        check=False,  # one of each video has been
        groups_train=np.array([path.parent.name for path in train], dtype=np.str_),
        groups_test=np.array([sample.image.parent.name for sample in test], dtype=np.str_),
        category=category,
        DESCR=_SHANGHAITECH.description(f"scene {category}, official split, from {place}"),
    )


def _videos(root: Path, part: str) -> list[Path]:
    folder = _SHANGHAITECH.part(root, part, "frames")
    return [path for path in find_folders(folder) if re.fullmatch(r"\d+_\d+", path.name)]


def _test_frames(root: Path, video: Path) -> list[Sample]:
    frames = find_images(video, argument=video.name)
    files = [
        _SHANGHAITECH.part(root, "testing", f"test_{kind}_mask", f"{video.name}.npy")
        for kind in ("frame", "pixel")
    ]
    abnormal, pixels = (open_array(file, "mask") for file in files)
    for file, array, n_axes in zip(files, (abnormal, pixels), (1, 3), strict=True):
        if array.ndim != n_axes or len(array) != len(frames):
            raise ValueError(
                f"{file} has the shape {array.shape}, but {video} has {len(frames)} frames, which "
                "come first."
            )
    check_mask(Sample(frames[0], "abnormal", files[1] / "0"))
    return [
        Sample(path, "abnormal", files[1] / str(index)) if abnormal[index] else Sample(path)
        for index, path in enumerate(frames)
    ]
