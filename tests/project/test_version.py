"""The version is stated once, and the changelog agrees with it."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
from datetime import date
from pathlib import Path

from packaging.version import Version

import airflow_provider_ads
from airflow_provider_ads import __version__
from airflow_provider_ads.provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_the_changelog_agrees_with_the_version() -> None:
    titles = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    unreleased = titles[0] == "Unreleased"
    assert unreleased is Version(__version__).is_devrelease, "Only a .devN version has the section 'Unreleased' on top"
    releases = [re.fullmatch(r"(\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)", title) for title in titles[unreleased:]]
    versions = [Version(release[1]) for release in releases if release]
    dates = [date.fromisoformat(release[2]) for release in releases if release]
    assert len(versions) == len(releases), "Sections have titles like '1.2.3 - 2026-12-31'"
    assert versions == sorted(set(versions), reverse=True), "The newest version comes first"
    assert dates == sorted(dates, reverse=True), "The newest date comes first"
    assert not versions or (Version(__version__) > versions[0] if unreleased else Version(__version__) == versions[0])


def test_no_section_of_the_changelog_is_empty() -> None:
    # A section contains its subsections; "Unreleased" is empty right after a release.
    for heading, following in (("##", "## "), ("###", "#{2,3} ")):
        sections = re.findall(rf"^{heading} (.+)\n((?:(?!{following}).*\n)*)", CHANGELOG, re.MULTILINE)
        assert [title for title, text in sections if "\n- " not in text and title != "Unreleased"] == []


def test_the_version_is_stated_once() -> None:
    assert get_provider_info()["versions"] == [__version__]
    assert runpy.run_path(str(ROOT / "docs" / "conf.py"))["release"] == __version__
    assert importlib.metadata.version("airflow-provider-ads") == __version__, "Install the project again: make install"
    package = Path(airflow_provider_ads.__file__).parent
    # A setting also has the version that added it.
    version = re.compile(rf'(?<!"version_added": )"{re.escape(__version__)}"')
    stated = [path.name for path in package.rglob("*.py") if version.search(path.read_text())]
    assert stated == ["__init__.py"]
