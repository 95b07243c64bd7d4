"""What a detector remembers of its training images, and warnings of images that are unlike them."""

import warnings
from collections import Counter
from collections.abc import Sequence
from math import inf, log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skpadim._estimators import caller_level
from skpadim._known_samples import copies, listed
from skpadim._sizes import Size

# Training images of more sizes than these have no size that another image could lack.
_MAX_SIZES = 16

# Aspect ratios differ if their logarithms do by more: as 100 pixels from 102.
_ASPECT_TOLERANCE = 0.02

# The share of 255 that 12 bits reach in 16 bits, of which the high byte counts.
_DARK = 15

# Colours are told from one another if red minus blue is this many levels, and as many standard
# deviations, away from 0.
_COLOUR_LEVELS, _COLOUR_DEVIATIONS = 3.0, 6.0


class ImageWarning(UserWarning):
    """Warning of images; `kind` is equal for warnings of the same thing."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def warn_of_images(kind: str, message: str) -> None:
    """Warn of images, at the user's code."""
    warnings.warn(ImageWarning(kind, message), stacklevel=caller_level())


class TrainingImages(NamedTuple):
    """What a detector remembers of the images that it has learnt from.

    `sizes` are (height, width), None where there are too many; `aspects` the lowest and the highest
    width / height; `depths` those of `ImageSequence`; `grey` is None if only some are;
    `red_minus_blue` has the mean and the standard deviation of that difference, by image.
    """

    sizes: list[Size] | None
    aspects: tuple[float, float]
    depths: list[str]
    grey: bool | None
    red_minus_blue: tuple[float, float]

    @classmethod
    def of(cls, sizes: Sequence[Size], depths: Sequence[str], notes: NDArray) -> "TrainingImages":
        """Return what is remembered of images, of which there are notes."""
        different = sorted(set(sizes))
        aspects = [width / height for height, width in different]
        notes = notes[~_shows_nothing(notes)] if not _shows_nothing(notes).all() else notes
        colours, greys = notes["red_minus_blue"].astype(float), set(notes["grey"].tolist())
        return cls(
            sizes=different if len(different) <= _MAX_SIZES else None,
            aspects=(min(aspects), max(aspects)),
            depths=sorted(set(depths)),
            grey=greys.pop() if len(greys) == 1 else None,
            red_minus_blue=(float(colours.mean()), float(colours.std())),
        )

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> "TrainingImages":
        """Return what a file remembers, once it is checked to be what it must be."""
        found = cls(**record)
        sizes = found.sizes
        if sizes is not None:
            sizes = [(int(height), int(width)) for height, width in sizes]
            if not sizes or min(min(size) for size in sizes) < 1:
                raise ValueError("its training images have no pixels")
        low, high = map(float, found.aspects)
        mean, deviation = map(float, found.red_minus_blue)
        if not (0 < low <= high < inf and abs(mean) <= 255 and 0 <= deviation <= 255):
            raise ValueError("its training images have shapes or colours that there are not")
        if found.grey not in (True, False, None):
            raise ValueError(f"its training images are {found.grey!r}")
        depths = [str(depth) for depth in found.depths]
        return cls(sizes, (low, high), depths, found.grey, (mean, deviation))

    def joined(self, other: "TrainingImages") -> "TrainingImages":
        """Return what is remembered of the images of both; of colours, that of these."""
        sizes = sorted({*(self.sizes or ()), *(other.sizes or ())})
        known = self.sizes is not None and other.sizes is not None and len(sizes) <= _MAX_SIZES
        return TrainingImages(
            sizes=sizes if known else None,
            aspects=(
                min(self.aspects[0], other.aspects[0]),
                max(self.aspects[1], other.aspects[1]),
            ),
            depths=sorted({*self.depths, *other.depths}),
            grey=self.grey if self.grey == other.grey else None,
            red_minus_blue=self.red_minus_blue,
        )

    def warn_of_headers(
        self,
        names: Sequence[str],
        sizes: Sequence[Size],
        depths: Sequence[str],
        resized: Size,
    ) -> None:
        """Warn of images that are unlike these by their headers; those of `resized` are ready."""
        n = len(sizes)
        stretched = [i for i, size in enumerate(sizes) if self._stretches(size)]
        if stretched:
            warn_of_images(
                "aspect",
                f"{_of(stretched, n)} images have another aspect ratio than the training images"
                f"{self._size()}: {_sized(stretched, names, sizes)}. What is resized by other "
                "factors looks defective. Cut them out as the training images were.",
            )
        others = [
            i
            for i, size in enumerate(sizes)
            if self.sizes is not None
            and size not in self.sizes
            and size != resized
            and not self._stretches(size)
        ]
        if others:
            warn_of_images(
                "size",
                f"{_of(others, n)} images have another size than the training images"
                f"{self._size()}: {_sized(others, names, sizes)}. They may be more or less sharp "
                "when they are resized. Take them as the training images were taken.",
            )
        # Numbers in [0, 1] are what an image of any depth may have become.
        known = {*self.depths, "floating-point"}
        deeper = [i for i, depth in enumerate(depths) if depth not in known]
        if deeper and "floating-point" not in self.depths:
            warn_of_images(
                "depth",
                f"{_of(deeper, n)} images have another depth than the training images "
                f"({' and '.join(self.depths)}): "
                f"{listed([f'{names[i]} ({depths[i]})' for i in deeper])}. Give them as the "
                "training images were given.",
            )

    def warn_of_colours(self, names: Sequence[str], notes: NDArray) -> None:
        """Warn of images that are unlike these by their pixels."""
        n = len(notes)
        if self.grey is not None:
            others = np.flatnonzero(notes["seen"] & (notes["grey"] != self.grey)).tolist()
            if others:
                is_, are = ("grey", "in colour") if not self.grey else ("in colour", "grey")
                warn_of_images(
                    "colour",
                    f"{_of(others, n)} images are {is_}, but the training images are {are}: "
                    f"{listed([names[i] for i in others])}. Give them as the training images "
                    "were given.",
                )
        mean, deviation = self.red_minus_blue
        if abs(mean) > max(_COLOUR_LEVELS, _COLOUR_DEVIATIONS * deviation) and notes["seen"].any():
            found = float(np.median(notes["red_minus_blue"][notes["seen"]]))
            # All that is asked is which of the two orders is the nearer one, by far.
            if -1.5 < found / mean < -0.5:
                warn_of_images(
                    "BGR",
                    f"red minus blue is {found:.0f} on average in the images, and {mean:.0f} in "
                    "the training images: red and blue seem to have changed places, as in OpenCV's "
                    "BGR. Turn them: image[..., ::-1].",
                )

    def _stretches(self, size: Size) -> bool:
        aspect = log(size[1] / size[0])
        low, high = map(log, self.aspects)
        return not low - _ASPECT_TOLERANCE <= aspect <= high + _ASPECT_TOLERANCE

    def _size(self) -> str:
        if self.sizes is None or len(self.sizes) > 1:
            return ""
        return f" ({_times(self.sizes[0])})"


def warn_of_training_images(
    names: Sequence[str],
    sizes: Sequence[Size],
    depths: Sequence[str],
    notes: NDArray,
) -> None:
    """Warn of training images that are unlike the rest of them, or show nothing."""
    n = len(notes)
    _warn_of_minorities(names, sizes, depths, notes)
    flat = np.flatnonzero(_shows_nothing(notes)).tolist()
    if flat:
        black = [i for i in flat if notes["brightest"][i] == 0]
        hint = (
            " Of 16 bits the upper 8 count: if they hold numbers up to 255, convert them with "
            "astype('uint8')."
            if any(depths[i] == "16-bit" for i in black)
            else ""
        )
        colour = "black" if len(black) == len(flat) else "of one colour"
        warn_of_images(
            "flat",
            f"{_of(flat, n)} training images are all {colour}: "
            f"{listed([names[i] for i in flat])}. Leave them out.{hint}",
        )
    if len(flat) < n and notes["brightest"].max() <= _DARK:
        warn_of_images(
            "dark",
            f"no training image has a pixel brighter than {notes['brightest'].max()} of 255. Of 16 "
            "bits the upper 8 count: bring images of 12 bits to 0 ... 65535 first, or make darker "
            "ones brighter.",
        )


def warn_of_copies(
    names: Sequence[str],
    hashes: NDArray,
    known: NDArray | None = None,
    what: str = "training",
) -> None:
    """Warn of samples that are copies of others, or of those that are known already."""
    originals = copies(hashes, known)
    if originals:
        examples = [
            f"{names[copy]} ({'seen before' if original is None else f'of {names[original]}'})"
            for copy, original in originals.items()
        ]
        warn_of_images(
            "copies",
            f"{_of(examples, len(hashes))} {what} samples are exact copies of others: "
            f"{listed(examples)}. They say nothing new of how good samples differ, so that there "
            "are more false alarms than promised. Leave copies out.",
        )


def _warn_of_minorities(
    names: Sequence[str],
    sizes: Sequence[Size],
    depths: Sequence[str],
    notes: NDArray,
) -> None:
    n = len(notes)
    size, count = Counter(sizes).most_common(1)[0]
    if count < n and 2 * count > n:
        others = [i for i, other in enumerate(sizes) if other != size]
        aspect = log(size[1] / size[0])
        stretched = any(
            abs(log(sizes[i][1] / sizes[i][0]) - aspect) > _ASPECT_TOLERANCE for i in others
        )
        what = "size and aspect ratio" if stretched else "size"
        warn_of_images(
            "size",
            f"{_of(others, n)} training images have another {what} than the rest "
            f"({_times(size)}): {_sized(others, names, sizes)}. Leave them out, or take them as "
            "the others.",
        )
    depth, count = Counter(depths).most_common(1)[0]
    if count < n:
        others = [i for i, other in enumerate(depths) if other != depth]
        warn_of_images(
            "depth",
            f"{_of(others, n)} training images have another depth than the rest ({depth}): "
            f"{listed([f'{names[i]} ({depths[i]})' for i in others])}. Leave them out, or take "
            "them as the others.",
        )
    shows = ~_shows_nothing(notes)
    n_grey = int(notes["grey"][shows].sum())
    if 0 < n_grey < shows.sum():
        few_grey = bool(2 * n_grey <= shows.sum())
        others = np.flatnonzero(shows & (notes["grey"] == few_grey)).tolist()
        is_, are = ("grey", "in colour") if few_grey else ("in colour", "grey")
        warn_of_images(
            "colour",
            f"{_of(others, n)} training images are {is_}, but the rest are {are}: "
            f"{listed([names[i] for i in others])}. Leave them out, or take them as the others.",
        )


def _shows_nothing(notes: NDArray) -> NDArray[np.bool_]:
    return notes["darkest"] == notes["brightest"]


def _of(some: Sequence[Any], n: int) -> str:
    return f"{len(some)} of {n}"


def _times(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _sized(some: Sequence[int], names: Sequence[str], sizes: Sequence[Size]) -> str:
    return listed([f"{names[i]} ({_times(sizes[i])})" for i in some])
