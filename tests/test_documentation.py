"""The documentation holds what the package holds, and links lead there."""

import inspect
import pkgutil
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import skpadim
from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim._doc_link import SITE

ROOT = Path(__file__).parents[1]
ENTRIES = re.findall(r"^   (skpadim\.\S+)$", (ROOT / "docs/reference/index.md").read_text(), re.M)


MODULES = [skpadim] + [
    import_module(module.name)
    for module in pkgutil.walk_packages(skpadim.__path__, "skpadim.")
    if not any(part.startswith("_") for part in module.name.split("."))
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def public_names():
    return [f"{module.__name__}.{name}" for module in MODULES for name in module.__all__]


def resolve(name):
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_has_one_entry_in_the_reference(name):
    entries = [entry for entry in ENTRIES if resolve(entry) is resolve(name)]
    assert len(entries) == 1


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_of_the_reference_is_a_public_name(entry):
    assert entry in public_names()


@pytest.mark.parametrize("name", skpadim.__all__)
def test_readers_are_shown_one_home_of_a_name(name):
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.py")]
    texts = [path.read_text(encoding="utf-8") for path in pages if "gallery" not in path.parts]
    texts += [
        line
        for path in ROOT.glob("skpadim/**/*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if ">>> " in line
    ]
    imports = rf"from (skpadim[\w.]*) import [^\n]*\b{name}\b"
    homes = {home for text in texts for home in re.findall(imports, text)}
    assert homes <= {"skpadim"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_a_public_module_defines_is_public_or_begins_with_an_underscore(module):
    commands = PROJECT["scripts"].values()
    defined = {
        name
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
        and f"{module.__name__}:{name}" not in commands
    }
    assert {name for name in defined if not name.startswith("_")} <= set(module.__all__)


@pytest.mark.parametrize("estimator", [PaDiM(), PatchEmbedder(), PatchGaussian()], ids=repr)
def test_the_html_of_an_estimator_links_to_its_page_of_the_reference(estimator):
    html = estimator._repr_html_()
    (page,) = set(re.findall(rf'href="{SITE}reference/generated/([^"#]*)\.html["#]', html))
    assert page in ENTRIES
    assert resolve(page) is type(estimator)


def test_the_html_of_an_estimator_links_each_parameter_to_its_description():
    pytest.importorskip("sklearn.utils._repr_html.common", reason="links no parameters yet")
    detector = PaDiM()
    links = detector._repr_html_().count(f'href="{detector._get_doc_link()}#:~:text=')
    assert links == len(detector.get_params())


def test_links_lead_to_the_site_that_the_package_names():
    assert PROJECT["urls"]["Documentation"] == SITE
