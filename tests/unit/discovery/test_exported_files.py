from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_ads.discovery.download import ArchiveDownloadError
from airflow_provider_ads.discovery.exported_files import open_exported_files
from tests.support.presigned_urls import refusal_of, sending, serving, zip_of

pytestmark = pytest.mark.usefixtures("temporary_folder", "no_part_of_the_url_is_logged")


def contents(archive: bytes) -> dict[str, bytes]:
    with serving(archive) as url, open_exported_files(url) as files:
        return {name: path.read_bytes() for name, path in files.items()}


def refusal(archive: bytes) -> ArchiveDownloadError:
    with serving(archive) as url:
        return refusal_of(open_exported_files(url))


def test_every_file_is_unchanged_and_sorted_by_name() -> None:
    files = {"1_Tags.csv": b"key\r\n", "1_ImportTemplate": b"", "1_Server.csv": "größe".encode()}
    assert contents(zip_of(*files.items())) == files
    assert list(contents(zip_of(*files.items()))) == sorted(files)


def test_no_file_is_written_under_its_name(tmp_path: Path, temporary_folder: Path) -> None:
    archive = zip_of(("../../a.csv", b"a"), ("/etc/b.csv", b"b"), ("C:\\c.csv", b"c"), ("folder/", b""))
    with serving(archive) as url, open_exported_files(url) as files:
        assert {name: path.read_bytes() for name, path in files.items()} == {
            "a.csv": b"a",
            "b.csv": b"b",
            "c.csv": b"c",
        }
        (folder,) = temporary_folder.iterdir()
        assert set(tmp_path.rglob("*")) == {temporary_folder, folder, *files.values()}
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.filterwarnings("ignore:Duplicate name")  # of zipfile, about the test's own archive
@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["1_NetworkInterface.csv", "1_networkInterface.csv"], "differ only in case or folder"),
        (["straße.csv", "STRASSE.CSV"], "differ only in case or folder"),
        (["a/x.csv", "b/x.csv"], "differ only in case or folder: 'x.csv' and 'b/x.csv'"),
        (["x.csv", "x.csv"], "differ only in case or folder"),
        (["a/.."], "contains a file whose name is not safe: 'a/..'"),
        (["a/. "], "not safe"),
        (["x\x1b[2J\r\n\u202e.csv"], "not safe: 'x?[2J  ?.csv'"),
        (["x" * 201], f"not safe: '{'x' * 39}…'"),
        ([], "contains no files"),
        (["folder/"], "contains no files"),
    ],
    ids=[
        "case",
        "folded",
        "folders",
        "twice",
        "parent",
        "dots",
        "control characters",
        "long",
        "empty",
        "only a folder",
    ],
)
def test_names_that_could_do_harm_are_refused(names: list[str], reason: str) -> None:
    error = refusal(zip_of(*((name, b"") for name in names)))
    assert (error.code, error.transient) == ("ArchiveNotReadable", False)
    assert reason in str(error)
    assert str(error).startswith("Try again, in case the export archive was damaged in transit; ")
    assert ": it contains " in str(error)
    assert str(error).isprintable()


def test_an_error_names_the_export_and_the_next_step() -> None:
    with serving(sending(b"", 404)) as url:
        error = refusal_of(open_exported_files(url))
    assert error.code == "ArchiveNotFound"
    assert str(error).startswith("Run the task again, which starts another export, or export from the Migration Hub")
