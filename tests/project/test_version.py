"""The version stands in one place; the changelog and all that names the version fit it."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
from datetime import date
from pathlib import Path

import pytest
from packaging.version import Version

import airflow_provider_ads
from airflow_provider_ads import __version__
from airflow_provider_ads.provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def check(changelog: str, version: str) -> None:
    """
    Hold a changelog against the version of the code.

    A release has a section of its own on top. A version in the making ends in ``.devN``, is later than the newest
    release, and has the section "Unreleased" on top, which is empty until something has changed.
    """
    titles = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    unreleased = titles[:1] == ["Unreleased"]
    assert unreleased is Version(version).is_devrelease, f"{version} and {titles[0]!r} on top do not go together"
    matches = [re.fullmatch(r"(\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)", title) for title in titles[unreleased:]]
    assert None not in matches, f"Sections are titled '1.2.3 - 2026-12-31', unlike one of {titles}"
    versions = [Version(match[1]) for match in matches if match]
    dates = [date.fromisoformat(match[2]) for match in matches if match]
    assert versions == sorted(set(versions), reverse=True), "The newest version comes first"
    assert dates == sorted(dates, reverse=True), "The newest date comes first"
    if unreleased:
        assert not versions or Version(version) > versions[0], f"{version} is not later than {versions[0]}"
    else:
        assert versions[0] == Version(version), f"{version} is not {versions[0]}, which is on top"
    # The text of a section, and of a part of one, goes on to the next heading of its own or of a higher level.
    for level in ("##", "###"):
        for title, text in re.findall(
            rf"^{level} (.+)\n((?:(?!##{{1,{len(level) - 1}}} ).*\n)*)", changelog, re.MULTILINE
        ):
            assert "\n- " in text or title == "Unreleased", f"{title!r} is empty"


def test_the_changelog_fits_the_version() -> None:
    check(CHANGELOG, __version__)


ENTRY = "\n\n### Added\n\n- Something.\n\n"
RELEASED = f"## 0.2.0 - 2026-12-24{ENTRY}## 0.1.0 - 2026-11-22{ENTRY}"


@pytest.mark.parametrize(
    ("changelog", "version"),
    [
        (RELEASED, "0.2.0"),
        (f"## Unreleased\n\n{RELEASED}", "0.3.0.dev0"),
        (f"## Unreleased{ENTRY}{RELEASED}", "0.2.1.dev0"),
        (f"## Unreleased{ENTRY}", "0.1.0.dev0"),
    ],
)
def test_changelogs_that_fit(changelog: str, version: str) -> None:
    check(changelog, version)


@pytest.mark.parametrize(
    ("changelog", "version", "message"),
    [
        (f"## Unreleased{ENTRY}{RELEASED}", "0.3.0", "do not go together"),
        (RELEASED, "0.3.0.dev0", "do not go together"),
        (RELEASED, "0.3.0", "is not 0.2.0, which is on top"),
        (f"## Unreleased\n\n{RELEASED}", "0.2.0.dev0", "is not later than 0.2.0"),
        (RELEASED.replace("0.1.0", "0.3.0"), "0.2.0", "The newest version comes first"),
        (RELEASED.replace("0.1.0", "0.2.0"), "0.2.0", "The newest version comes first"),
        (RELEASED.replace("2026-11-22", "2026-12-25"), "0.2.0", "The newest date comes first"),
        (RELEASED.replace(" - 2026-11-22", ""), "0.2.0", "Sections are titled"),
        (f"## 0.3.0 - 2026-12-25\n\n{RELEASED}", "0.3.0", "'0.3.0 - 2026-12-25' is empty"),
        (f"## Unreleased\n\n### Fixed\n\n{RELEASED}", "0.3.0.dev0", "'Fixed' is empty"),
        (f"{RELEASED}### Fixed\n", "0.2.0", "'Fixed' is empty"),
    ],
)
def test_changelogs_that_do_not(changelog: str, version: str, message: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        check(changelog, version)


def test_everything_that_names_the_version_reads_it() -> None:
    assert get_provider_info()["versions"] == [__version__]
    assert runpy.run_path(str(ROOT / "docs" / "conf.py"))["release"] == __version__
    assert importlib.metadata.version("airflow-provider-ads") == __version__, "Install the project again: make install"
    package = Path(airflow_provider_ads.__file__).parent
    named_in = [path for path in package.rglob("*.py") if f'"{__version__}"' in path.read_text()]
    assert [path.name for path in named_in] == ["__init__.py"]
