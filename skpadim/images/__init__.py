"""Anything a user calls images -> batches of uint8 RGB at one size."""

from skpadim.images._batches import center_crop_slices, iter_batches
from skpadim.images._pixels import read_image
from skpadim.images._sequence import ImageSequence

__all__ = ["ImageSequence", "center_crop_slices", "iter_batches", "read_image"]
