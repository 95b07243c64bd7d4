"""One checked, lazy view of every form in which images come."""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal, overload

import joblib
import numpy as np
from PIL import Image

from skpadim._formats import in_strips
from skpadim._sizes import Size
from skpadim.images._notes import note_of
from skpadim.images._pixels import (
    LOAD_FOLDER,
    LeftOut,
    check_file,
    check_image,
    check_pixels,
    read_file,
    to_uint8,
    unreadable,
    upright,
)

_CHANNELS = (1, 2, 3, 4)
_FORMS = (
    "It must be a list of paths, a uint8 array of shape (n_images, height, width, 3) or "
    "(n_images, height, width), a list of arrays or PIL images, or a torch tensor of shape "
    "(n_images, channels, height, width)"
)


class ImageSequence:
    """Images in any form, checked at once, read one at a time.

    Everything that can be known without decoding is checked on construction, so that a bad
    file is reported before hours of work and not after: every file exists, has an image
    header and ends where it should. Pixels are only read on access, and never kept. Then a file may
    turn out to be bad all the same: damaged inside, or changed since.

    Parameters
    ----------
    X : images in one of these forms
        - list, tuple, pandas Series or one-dimensional array of paths (str or os.PathLike);
        - ndarray of shape (n_images, height, width) or (n_images, height, width, channels)
          with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha) channels;
        - list of such arrays for one image each, of PIL images, or of torch tensors of shape
          (channels, height, width), of any sizes;
        - torch tensor of shape (n_images, channels, height, width) on any device.

        Pixels are uint8, uint16 (the high byte counts, so bring 12 bit images to 0 ... 65535
        first), bool, or floating point in [0, 1]. Alpha is dropped. EXIF orientation is applied
        to paths and PIL images.
        An `ImageSequence` is not checked again, and keeps its own `on_error`.
    on_error : {"raise", "mark"}, default="raise"
        What becomes of a file that cannot be read, on construction or later. With "raise" it is an
        error. With "mark" the work on the others goes on: a detector gives the image the score NaN
        and a heatmap of NaN, calls it defective, all of it, and warns in the end; `errors` has the
        reason. Learning (`fit`, `partial_fit`, `calibrate`) raises all the same, since what a model
        has seen should be known.

    Attributes
    ----------
    sizes : list of (int, int)
        Height and width of each image in pixels, EXIF orientation applied.
    errors : dict of int to str
        Reasons why images could not be read, as far as that is known yet.

    Raises
    ------
    TypeError
        If `X` or one of its elements is nothing that could be images, or has a dtype whose
        white is unknown, as int32.
    ValueError
        If `X` is empty or a single image, has an ambiguous or empty shape or floating-point
        values outside [0, 1], or if `on_error` is neither "raise" nor "mark". If a file is missing,
        damaged, no image in a format that is read, or larger than 67 million pixels (or
        ``PIL.Image.MAX_IMAGE_PIXELS``, if that is set). On access: if a file cannot be decoded, or
        has another size than when it was checked. Messages give the path and the index in the
        original `X`.

    Warns
    -----
    UserWarning
        If files have several frames or pages, of which the first is read, or bands that are neither
        colours nor alpha. They are named.

    See Also
    --------
    skpadim.images.iter_batches : Batches of one size from these images.
    skpadim.images.read_image : The array that a path stands for.

    Notes
    -----
    What the check of a file costs is the reading of its header; of a PNG file, of the headers of
    all chunks. JPEG files are only decoded if they lack an end marker, TIFF files if they are
    shorter than their strips, since nothing else can tell. Formats that hold no such marks (GIF,
    JPEG 2000, AVIF) are decoded, and so are files with floating-point pixels, whose range must be
    seen.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.images import ImageSequence
    >>> images = ImageSequence([np.zeros((4, 6, 3), np.uint8), np.ones((5, 5))])
    >>> len(images), images.sizes
    (2, [(4, 6), (5, 5)])
    >>> images[1].dtype, images[1].max()
    (dtype('uint8'), np.uint8(255))

    >>> images = ImageSequence(["no-such-file.png"], on_error="mark")
    >>> images.errors
    {0: 'does not exist.'}
    """

    def __init__(self, X: Any, on_error: Literal["raise", "mark"] = "raise") -> None:
        if on_error not in ("raise", "mark"):
            raise ValueError(f"on_error={on_error!r} must be 'raise' or 'mark'.")
        if isinstance(X, ImageSequence):
            self.__dict__.update(X.__dict__)
            return
        self._items = _as_items(X)
        if len(self._items) == 0:
            raise ValueError("X is empty; give at least one image.")
        # Views share the items and differ in these indices, which are those of the user's X.
        self._indices = np.arange(len(self._items))
        self._draft_size: int | None = None
        self._names: list[str] | None = None
        self._notes: np.ndarray | None = None
        self._hashes = False
        self._marks = on_error == "mark"
        # Of all views; in another process, of those that it sees.
        self._errors: dict[int, str] = {}
        left_out = LeftOut()
        checked = [self._check(index, left_out) for index in range(len(self._items))]
        self._sizes = [size for size, _ in checked]
        self._depths = [depth for _, depth in checked]
        left_out.warn()

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, key: slice | np.ndarray) -> "ImageSequence": ...
    @overload
    def __getitem__(self, key: int) -> np.ndarray: ...
    def __getitem__(self, key: int | slice | np.ndarray) -> "np.ndarray | ImageSequence":
        if isinstance(key, slice | np.ndarray):
            view = ImageSequence(self)
            view._indices = self._indices[key]
            view._notes = None  # which are of these positions
            return view
        index = int(self._indices[key])
        if index in self._errors:
            raise ValueError(f"{self._name(index)} {self._errors[index]}")
        pixels = self._decoded(index)
        return in_strips(pixels) if isinstance(pixels, Image.Image) else pixels

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[position] for position in range(len(self)))

    @property
    def sizes(self) -> list[Size]:
        """Height and width of each image, known without decoding.

        Returns
        -------
        list of (int, int)
            In pixels, EXIF orientation applied; (0, 0) for an image that did not pass the check.
        """
        return [self._sizes[index] for index in self._indices]

    @property
    def depths(self) -> list[str]:
        """Kind of number that each image holds, known without decoding.

        Returns
        -------
        list of str
            "8-bit", "16-bit", "1-bit" or "floating-point".
        """
        return [self._depths[index] for index in self._indices]

    @property
    def names(self) -> list[str]:
        """What warnings call the images.

        Returns
        -------
        list of str
            The path of each image, as Python writes it, or "X[i]" for an image in memory.
        """
        if self._names is not None:
            return [repr(self._names[index]) for index in self._indices.tolist()]
        items = ((index, self._items[index]) for index in self._indices.tolist())
        return [repr(item) if isinstance(item, str) else f"X[{index}]" for index, item in items]

    def described(self, paths: list[str], sizes: list[Size], depths: list[str]) -> "ImageSequence":
        """Return the same images, which are pictures of files, by what is known of the files.

        Parameters
        ----------
        paths : list of str
            The files that the images were made of, for `names`.
        sizes : list of (int, int)
            Their `sizes`.
        depths : list of str
            Their `depths`.

        Returns
        -------
        ImageSequence
            A view of all images, in their order.
        """
        view = ImageSequence(self)
        view._names, view._sizes, view._depths = paths, sizes, depths
        return view

    def noted(self, notes: np.ndarray, hashed: bool) -> "ImageSequence":
        """Return the same images, of which something is noted when they are made ready.

        Parameters
        ----------
        notes : ndarray of shape (n_images,), structured
            Where to write it, with the fields of ``skpadim.images._notes.NOTES``.
        hashed : bool
            Whether to note hashes.

        Returns
        -------
        ImageSequence
            A view. Views of its parts note nothing.
        """
        view = ImageSequence(self)
        view._notes, view._hashes = notes, hashed
        return view

    def note(self, position: int, picture: np.ndarray) -> None:
        """Note what was asked for of a picture; several threads may do so at once.

        Parameters
        ----------
        position : int
            Which image it was made of.
        picture : ndarray of shape (height, width, 3), uint8
            What the network sees.
        """
        if self._notes is not None:
            self._notes[position] = note_of(picture, hashed=self._hashes)

    @property
    def errors(self) -> dict[int, str]:
        """Reasons why images could not be read, as far as that is known yet.

        Returns
        -------
        dict of int to str
            By the index of the image in the original `X`; empty with ``on_error="raise"``.
        """
        indices = self._indices.tolist()
        return {index: self._errors[index] for index in indices if index in self._errors}

    def error_messages(self) -> list[str]:
        """Return what `errors` has, as messages that name the images.

        Returns
        -------
        list of str
            One message an image.
        """
        return [f"{self._name(index)} {reason}" for index, reason in self.errors.items()]

    def add_errors(self, errors: dict[int, str]) -> None:
        """Take over what was found out in another process.

        Parameters
        ----------
        errors : dict of int to str
            The `errors` of what was sent there.
        """
        self._errors.update(errors)

    def error(self, position: int) -> str | None:
        """Return why an image could not be read, as far as that is known yet.

        Parameters
        ----------
        position : int
            Which image.

        Returns
        -------
        str or None
            The reason, None if there is none.
        """
        return self._errors.get(int(self._indices[position]))

    def strict(self) -> "ImageSequence":
        """Return the same images, of which one that cannot be read is an error.

        Returns
        -------
        ImageSequence
            A view with ``on_error="raise"``.

        Raises
        ------
        ValueError
            If one of them is known to be bad.
        """
        for message in self.error_messages():
            raise ValueError(message)
        view = ImageSequence(self)
        view._marks = False
        return view

    def with_draft(self, size: int) -> "ImageSequence":
        """Return the same images, of which JPEG files are decoded at a reduced scale.

        Parameters
        ----------
        size : int
            Pixels that both sides keep, if they have as many.

        Returns
        -------
        ImageSequence
            A view. Its `sizes` are those of the files.
        """
        view = ImageSequence(self)
        view._draft_size = size
        return view

    def __getstate__(self) -> dict[str, Any]:
        # On the way to another process: with its own images only, still known by their indices in
        # the user's X, and with files that are found from another working directory.
        items, sizes, depths = {}, {}, {}
        for index in self._indices.tolist():
            item = self._items[index]
            items[index] = os.path.abspath(item) if isinstance(item, str) else item
            sizes[index], depths[index] = self._sizes[index], self._depths[index]
        seen = {"_items": items, "_sizes": sizes, "_depths": depths, "_errors": self.errors}
        return {**vars(self), **seen, "_notes": None}

    @property
    def paths(self) -> list[str | None]:
        """Where images come from.

        Returns
        -------
        list of (str or None)
            The path of each image, None for images in memory.
        """
        items = (self._items[index] for index in self._indices.tolist())
        return [item if isinstance(item, str) else None for item in items]

    def fingerprint(self) -> tuple:
        """Return a key that changes whenever the images may have changed.

        Files are known by path, time of change and size, arrays by their content.

        Returns
        -------
        tuple
            One hashable, picklable entry an image.

        Raises
        ------
        ValueError
            If a file has disappeared, with ``on_error="raise"``.
        """
        return tuple(self._fingerprint(index) for index in self._indices.tolist())

    def _fingerprint(self, index: int) -> tuple:
        item = self._items[index]
        if index in self._errors:
            return (None,)
        if not isinstance(item, str):
            return (joblib.hash(to_uint8(self._pixels(index), self._name(index))),)
        try:
            status = os.stat(item)
        except OSError as error:
            unread = unreadable(self._name(index), error)
            if not self._marks:
                raise unread from error
            self._mark(index, unread)
            return (None,)
        return os.path.abspath(item), status.st_mtime_ns, status.st_size

    def _name(self, index: int) -> str:
        """Return what errors call an image."""
        item = self._items[index]
        return f"X[{index}], {item!r}," if isinstance(item, str) else f"X[{index}]"

    def decoded(self, position: int) -> "np.ndarray | Image.Image | None":
        """Return what is resized: pixels of eight bits, in a Pillow image where there is one.

        Parameters
        ----------
        position : int
            Which image.

        Returns
        -------
        ndarray of shape (height, width) or (height, width, 3), uint8, or PIL.Image.Image
            The array that the sequence holds there, or an image of the same pixels: large ones
            need not be copied. None if it cannot be read and ``on_error="mark"``.
        """
        index = int(self._indices[position])
        if index in self._errors:
            return None
        try:
            return self._decoded(index)
        except (TypeError, ValueError) as error:
            if not self._marks:
                raise
            self._mark(index, error)
            return None

    def _mark(self, index: int, error: Exception) -> None:
        self._errors[index] = str(error).removeprefix(f"{self._name(index)} ")

    def _decoded(self, index: int) -> "np.ndarray | Image.Image":
        opened = self._open(index)
        name = self._name(index)
        if isinstance(opened, np.ndarray):
            return to_uint8(opened, name)
        if opened.mode in ("LA", "RGBA"):
            # Drops alpha, as to_uint8 does.
            opened = opened.convert(opened.mode[:-1])
        if opened.mode in ("L", "RGB"):
            return opened
        return in_strips(opened, lambda pixels: to_uint8(pixels, name))

    def _open(self, index: int) -> "np.ndarray | Image.Image":
        item = self._items[index]
        if isinstance(item, np.ndarray):
            return item
        name = self._name(index)
        if isinstance(item, str):
            return read_file(item, name, self._draft_size, self._sizes[index])
        try:
            return upright(item)
        except Exception as error:
            raise unreadable(name, error) from error

    def _pixels(self, index: int) -> np.ndarray:
        opened = self._open(index)
        return opened if isinstance(opened, np.ndarray) else in_strips(opened)

    def _check(self, index: int, left_out: LeftOut) -> tuple[Size, str]:
        """Return (height, width) and depth of an image; (0, 0) and "" of one that is marked."""
        item, name = self._items[index], self._name(index)
        try:
            if isinstance(item, np.ndarray):
                return check_pixels(item, name)
            if isinstance(item, str):
                return check_file(item, name, left_out)
            # This loads lazy PIL images, which two threads must not do at the same time.
            return check_image(item, name, left_out)
        except (TypeError, ValueError) as error:
            if not self._marks:
                raise
            self._mark(index, error)
            return (0, 0), ""


def _as_items(X: Any) -> Sequence | np.ndarray:
    """Bring any accepted form of X to paths (str), PIL images, and arrays of one image each."""
    if isinstance(X, (str, os.PathLike)):
        if os.path.isdir(X):
            raise ValueError(f"X is a directory, {os.fspath(X)!r}; {LOAD_FOLDER}.")
        raise ValueError(f"X is one path, {os.fspath(X)!r}, but must be a list: write [X].")
    if isinstance(X, Image.Image):
        raise ValueError("X is one PIL image, but must be a list: write [X].")
    if _is_a(X, "pandas", "Series") or (isinstance(X, np.ndarray) and X.dtype.kind in "OUT"):
        if X.ndim != 1:
            raise ValueError(f"X is an array of objects of shape {X.shape}; it must have one axis.")
        X = X.tolist()
    if isinstance(X, np.ndarray) and X.dtype.kind == "S":
        raise TypeError(
            f"X is an array of bytes, {X.dtype}; paths must be str: write [os.fsdecode(path) for "
            "path in X]."
        )
    if isinstance(X, (list, tuple)):
        return [_as_item(item, f"X[{index}]") for index, item in enumerate(X)]
    if _is_a(X, "torch", "Tensor"):
        return _from_tensors(X)
    if isinstance(X, np.ndarray):
        return _as_stack(X)
    raise TypeError(f"X has type {type(X).__name__}. {_FORMS}.")


def _as_item(item: Any, name: str) -> "str | np.ndarray | Image.Image":
    if isinstance(item, (str, os.PathLike)):
        return os.fsdecode(item)
    if isinstance(item, Image.Image):
        return item
    if _is_a(item, "torch", "Tensor"):
        if item.ndim != 3 or item.shape[0] not in _CHANNELS:
            raise ValueError(
                f"{name} is a tensor of shape {tuple(item.shape)}; it must be (channels, height, "
                "width) with 1 to 4 channels."
            )
        return np.moveaxis(_to_numpy(item), 0, -1)
    if isinstance(item, np.ndarray):
        if item.ndim == 2 or (item.ndim == 3 and item.shape[2] in _CHANNELS):
            return item
        channels_first = item.ndim == 3 and item.shape[0] in _CHANNELS
        hint = " Write np.moveaxis(X[i], 0, -1)." if channels_first else ""
        raise ValueError(
            f"{name} is an array of shape {item.shape}; it must be (height, width) or (height, "
            f"width, channels) with 1 to 4 channels.{hint}"
        )
    raise TypeError(
        f"{name} has type {type(item).__name__}; it must be a path (str or os.PathLike), an "
        "array, a PIL image or a torch tensor."
    )


def _from_tensors(X: Any) -> np.ndarray:
    shape = tuple(X.shape)
    if X.ndim == 4 and shape[1] in _CHANNELS:
        return np.moveaxis(_to_numpy(X), 1, -1)
    hint = ""
    if X.ndim == 3:
        hint = " Write X[None] if it is one image, X[:, None] if it is several grey ones."
    elif X.ndim == 4 and shape[3] in _CHANNELS:
        hint = " Write X.movedim(-1, 1)."
    raise ValueError(
        f"X is a tensor of shape {shape}; it must be (n_images, channels, height, width) with "
        f"1 to 4 channels.{hint}"
    )


def _as_stack(X: np.ndarray) -> np.ndarray:
    if X.ndim == 4 and X.shape[3] in _CHANNELS:
        return X
    if X.ndim == 3 and X.shape[2] not in _CHANNELS:
        return X
    hint = ""
    if X.ndim == 2:
        hint = " Write X[None] if it is one grey image."
    elif X.ndim == 3:
        hint = " Write X[None] if it is one image, X[..., None] if it is several grey ones."
    elif X.ndim == 4 and X.shape[1] in _CHANNELS:
        hint = " Write np.moveaxis(X, 1, -1)."
    raise ValueError(
        f"X is an array of shape {X.shape}; it must be (n_images, height, width) or (n_images, "
        f"height, width, channels) with 1 to 4 channels.{hint}"
    )


def _to_numpy(tensor: Any) -> np.ndarray:
    torch = sys.modules["torch"]
    # NumPy has no bfloat16.
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(force=True)


def _is_a(X: object, module: str, name: str) -> bool:
    """Whether X belongs to a class of a module that need not be installed, let alone imported."""
    return module in sys.modules and isinstance(X, getattr(sys.modules[module], name))
