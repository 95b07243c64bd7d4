"""Data sets on disk, and synthetic pictures of a machined part."""

from skpadim.datasets._dagm import load_dagm2007
from skpadim.datasets._folder import load_folder
from skpadim.datasets._kolektor import load_kolektor_sdd, load_kolektor_sdd2
from skpadim.datasets._magnetic_tile import load_magnetic_tile
from skpadim.datasets._manifest import load_manifest
from skpadim.datasets._masks import read_masks
from skpadim.datasets._medical import load_hyper_kvasir, load_lag
from skpadim.datasets._mvtec import (
    load_btad,
    load_mpdd,
    load_mvtec_ad,
    load_mvtec_ad_2,
    load_mvtec_loco_ad,
)
from skpadim.datasets._shanghaitech import load_shanghaitech
from skpadim.datasets._synthetic import make_inspection_images
from skpadim.datasets._visa import load_visa

__all__ = [
    "load_btad",
    "load_dagm2007",
    "load_folder",
    "load_hyper_kvasir",
    "load_kolektor_sdd",
    "load_kolektor_sdd2",
    "load_lag",
    "load_magnetic_tile",
    "load_manifest",
    "load_mpdd",
    "load_mvtec_ad",
    "load_mvtec_ad_2",
    "load_mvtec_loco_ad",
    "load_shanghaitech",
    "load_visa",
    "make_inspection_images",
    "read_masks",
]
