"""The package's links, the issue forms and the pre-commit hooks work."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").iterdir() if path.name != "config.yml")


def test_airflow_finds_a_link_to_documentation() -> None:
    # Airflow's provider page links to the URL with this name. Without one, it guesses a link.
    assert PROJECT["urls"]["Documentation"].startswith("https://")


def test_the_package_has_an_author() -> None:
    assert PROJECT["authors"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_can_be_shown(path: Path) -> None:
    # https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/syntax-for-issue-forms
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    questions = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in questions} <= {"checkboxes", "dropdown", "input", "textarea"}
    assert all(field["attributes"]["label"] for field in questions)
    ids = [field["id"] for field in questions]
    assert len(ids) == len(set(ids))


def test_a_commit_runs_what_make_test_checks_of_style_and_types() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == ["make lint", "make types"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(f"^{hook['id']}:", makefile, re.MULTILINE) for hook in repository["hooks"])
    # Hooks that come from elsewhere would have versions of their own.
    assert repository["repo"] == "local"


def test_published_files_come_from_a_workflow_without_a_stored_token() -> None:
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    publish = release["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert publish["steps"][-1]["with"] == {"attestations": True}
