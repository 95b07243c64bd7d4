"""What several displays draw with."""

from typing import Any

# The colours of Okabe and Ito, which colour-blind people can tell apart.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#595959"


def import_pyplot() -> Any:
    """Import what draws; without it, say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "skpadim.display needs matplotlib: pip install 'skpadim[plot]'."
        ) from error
    return plt


def make_axes(figsize: tuple[float, float]) -> Any:
    """Make a figure of one pair of axes."""
    return import_pyplot().subplots(figsize=figsize, layout="constrained")[1]


def format_number(value: float) -> str:
    """Write three digits, zeros included, so that numbers compare at a glance."""
    return f"{value:#.3g}".rstrip(".").replace("-", "\N{MINUS SIGN}")
