"""Check the docstrings of public names by numpydoc: those of `__all__` and their public members.

Private names are left alone: one line says enough of them.
"""

import importlib
import inspect
import pkgutil
import sys

from numpydoc.validate import validate

import skpadim

# EX01, SA01, ES01: examples, see-also and long summaries are for public classes.
# SS05 takes "Mean" and "Whether" for verbs. RT02: one returned value has no name. YD01: generators
# have theirs.
LEFT_OUT = {"EX01", "SA01", "ES01", "SS05", "RT02", "YD01"}


def public_modules():
    """Yield the package and its modules without an underscore."""
    yield skpadim
    for module in pkgutil.walk_packages(skpadim.__path__, "skpadim."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            yield importlib.import_module(module.name)


def public_names():
    """Yield the full names of public functions, classes and their members."""
    for module in public_modules():
        for name in getattr(module, "__all__", []):
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{module.__name__}.{name}"
            if inspect.isclass(value):
                for member, content in inspect.getmembers(value):
                    home = getattr(content, "fget", content)
                    is_ours = str(getattr(home, "__module__", "")).startswith("skpadim")
                    is_api = inspect.isroutine(content) or isinstance(content, property)
                    if is_ours and is_api and not member.startswith("_"):
                        yield f"{module.__name__}.{name}.{member}"


def main():
    """Print what is wrong, and return whether anything is."""
    found = [
        f"{name}: {code} {message}"
        for name in public_names()
        for code, message in validate(name)["errors"]
        if code not in LEFT_OUT
    ]
    if found:
        print(*found, "Mend these docstrings: CONTRIBUTING.md says how we write.", sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
