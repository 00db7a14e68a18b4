"""The locked requirements fit what pyproject.toml asks for, with hashes and without addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(name: str) -> dict[str, set[str]]:
    """Versions by package; several where markers choose between them."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", (ROOT / name).read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(package), set()).add(version)
    return found


def asked(*extras: str) -> list[Requirement]:
    """What the project asks for, with the given extras followed into each other."""
    texts = list(PROJECT["dependencies"])
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    requirements = [Requirement(text) for text in texts]
    own = [each for each in requirements if each.name == PROJECT["name"]]
    inner = [more for each in own for more in asked(*each.extras)]
    return [each for each in requirements if each.name != PROJECT["name"]] + inner


@pytest.mark.parametrize(("file", "extras"), [("requirements.txt", ("dev",)), ("requirements-worker.txt", ())])
def test_every_requirement_is_pinned_to_a_version_that_fits(file: str, extras: tuple[str, ...]) -> None:
    versions = pinned(file)
    for requirement in asked(*extras):
        fitting = versions.get(canonicalize_name(requirement.name), set())
        assert fitting, f"{requirement.name} is missing in {file}: make lock"
        assert all(requirement.specifier.contains(each) for each in fitting), f"{requirement}: make lock"


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-worker.txt"])
def test_the_lock_has_hashes_and_no_address(file: str) -> None:
    text = (ROOT / file).read_text()
    entries = len(re.findall(r"^[A-Za-z0-9_.-]+==", text, re.MULTILINE))
    assert text.count("==") >= entries
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= entries
    assert not re.search(r"https?://|--index|--find-links| @ ", text)


def test_known_broken_pairs_are_kept_out() -> None:
    versions = pinned("requirements.txt")
    assert versions["prefect"] == {"3.8.8"}
    assert all(tuple(map(int, each.split(".")[:2])) < (0, 151) for each in versions["fastapi"])
    assert all(tuple(map(int, each.split(".")[:2])) < (2, 1) for each in versions["sqlalchemy"])
    assert all(each.startswith("2.") for each in versions["pandas"])


def test_a_scoring_worker_does_not_install_what_only_reports_and_tests_need() -> None:
    worker = pinned("requirements-worker.txt")
    assert {"evidently", "matplotlib", "pytest", "mypy", "slack-sdk"} & worker.keys() <= {"matplotlib"}
