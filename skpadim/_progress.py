"""Progress bars that Ctrl-C cannot leave hanging."""

from typing import Any

from tqdm import tqdm


class ProgressBar(tqdm):
    """A bar without tqdm's thread that watches slow ones; it looks at the clock instead."""

    # Where Ctrl-C comes while the bar is drawn, that thread can wait for its lock for ever, and the
    # process with it when it ends.
    monitor_interval = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, miniters=1)
