"""What stands twice in the files for contributors and users is the same in both."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import skpadim

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_that_of_the_installed_package():
    assert skpadim.__version__ == version("skpadim")


def test_the_citation_names_the_project_as_its_metadata_does():
    citation = read("CITATION.cff")
    assert f"title: {PROJECT['name']}\n" in citation
    assert f"license: {PROJECT['license']}\n" in citation
    assert f"repository-code: {PROJECT['urls']['Source']}\n" in citation
    assert f"url: {PROJECT['urls']['Documentation']}\n" in citation


def test_ci_tests_the_versions_of_python_that_the_package_names():
    (listed,) = re.findall(r"^ +python: \[(.*)\]$", read(".github/workflows/ci.yml"), re.M)
    prefix = "Programming Language :: Python :: 3."
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if line.startswith(prefix)]
    assert re.findall(r'"([^"]*)"', listed) == named
    assert PROJECT["requires-python"] == f">={named[0]}"


@pytest.mark.parametrize(
    "name", [".github/workflows/ci.yml", ".github/workflows/prereleases.yml", ".readthedocs.yaml"]
)
def test_extras_that_are_installed_exist(name):
    installed = re.findall(r"\.\[([\w,]+)\]", read(name))
    assert installed
    assert {extra for extras in installed for extra in extras.split(",")} <= EXTRAS.keys()


def test_dependabot_keeps_the_exact_versions_of_the_linters():
    allowed = re.findall(r"dependency-name: (\S+)", read(".github/dependabot.yml"))
    pins = [re.fullmatch(r"([\w-]+)==[\d.]+", requirement) for requirement in EXTRAS["lint"]]
    assert allowed == [pin[1] for pin in pins]


@pytest.mark.parametrize(
    "name", ["CODE_OF_CONDUCT.md", "SECURITY.md", ".github/ISSUE_TEMPLATE/config.yml"]
)
def test_private_reports_go_to_the_repository(name):
    assert f"{PROJECT['urls']['Source']}/security/advisories/new" in read(name)
