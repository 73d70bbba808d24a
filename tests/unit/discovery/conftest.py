"""Fixtures of tests about the service in plain Python."""

from __future__ import annotations

import http.client
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.presigned_urls import CREDENTIAL, PATH, SIGNATURE


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which must be empty after the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def no_part_of_the_url_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail the test if a part of the URL is logged or printed, even at level DEBUG."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    yield
    logged = caplog.text + "".join(capfd.readouterr())
    assert not any(secret in logged for secret in (PATH, CREDENTIAL, SIGNATURE))
