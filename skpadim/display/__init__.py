"""Pictures of what a detector sees and decides, in scikit-learn's Display form.

They need matplotlib, which comes with ``pip install 'skpadim[plot]'``.
"""

from skpadim.display._curves import PixelRocCurveDisplay, ProCurveDisplay
from skpadim.display._heatmaps import HeatmapDisplay
from skpadim.display._scores import ScoreDisplay

__all__ = ["HeatmapDisplay", "PixelRocCurveDisplay", "ProCurveDisplay", "ScoreDisplay"]
