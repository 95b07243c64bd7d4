"""The inspection page: one HTML file with images, heatmaps and a threshold to move."""

from skpadim.reporting._report import report

__all__ = ["report"]
