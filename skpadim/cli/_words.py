"""What the package says, in the words of the command: files and options."""

import re

import click

# What is said of Python, and what is said of files instead.
_OF_PYTHON = (
    (r"^X\[\d+\], ", ""),
    (r"^X has n_samples=(\d+) good samples?", r"there is \1 good image"),
    (r"^X (?=is |has |must )", "the folder "),
    (r"\bpath=(?=['\"])", ""),
    (r"\[Errno \d+\] ", ""),
    (r"; skpadim\.datasets\.load_folder lists the images of a folder", "; give it as one of PATHS"),
    (r"If you trust the file, raise PIL\.Image\.MAX_IMAGE_PIXELS, or set it to None", "Reduce it"),
    (r"(Scale them to 0 \.\.\. 255) and convert with astype\('uint8'\)", r"\1, in 8 bits"),
    (r"convert 0 \.\.\. 255 with astype\('uint8'\)", "save 0 ... 255 in 8 bits"),
    (r"\bas float32\b", "as 32-bit floating point"),
    (r"('timm/<name>'), a torch\.nn\.Module, or a callable that returns one", r"or \1"),
    (r"has no default layers: .*", "has no default layers, for which there is no option"),
    (r", or None for all", ", or leave it out for all"),
    (r"set --n-jobs None", "leave --n-jobs out"),
    (r"\bskpadim\.(save|load)\b", "skpadim"),
    (r"(?<=-size )\((\d+), (\d+)\)", r"\1x\2"),
)


def in_words(message: str) -> str:
    """Return a message of the package in the words of the command that runs: files and options.

    A parameter such as image_size is its option, --image-size, where the command has one.
    """
    context = click.get_current_context(silent=True)
    options = {
        name.removeprefix("--").replace("-", "_"): name
        for parameter in (context.command.params if context else ())
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--")
    }

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        if not value and "_" not in name:
            return name  # "precision" may be a word
        if value == "=":
            return f"{options[name]} "
        return f"no {options[name]}" if value == "=False" else options[name]

    if options:
        # Not in names of files.
        names = rf"(?<![\w/\\.'\"-])({'|'.join(options)})(=True\b|=False\b|=|(?![\w/\\-]|\.\w))"
        message = re.sub(names, option, message)
    for pattern, words in _OF_PYTHON:
        message = re.sub(pattern, words, message)
    return message
