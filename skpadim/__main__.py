"""``python -m skpadim`` is the command ``skpadim``."""

from skpadim.cli import main

if __name__ == "__main__":
    main()
