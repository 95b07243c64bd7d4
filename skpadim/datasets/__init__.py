"""Data sets on disk, and synthetic pictures of a machined part."""

from skpadim.datasets._folder import load_folder
from skpadim.datasets._masks import read_masks
from skpadim.datasets._mvtec_ad import load_mvtec_ad
from skpadim.datasets._synthetic import make_inspection_images

__all__ = ["load_folder", "load_mvtec_ad", "make_inspection_images", "read_masks"]
