from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.operators.s3_files import AdsS3FilesOperator, split_s3_url


def folder_url(destination_url: str, *folders: str) -> str:
    operator: Any = AdsS3FilesOperator(task_id="write")
    operator.destination_url = destination_url
    url: str = operator.folder_url(*folders)
    return url


@pytest.mark.parametrize("destination_url", ["s3://bucket", "s3://bucket/", "s3://bucket/a/b", "s3://bucket/a/b/"])
def test_folders_are_in_the_destination(destination_url: str) -> None:
    assert folder_url(destination_url) == f"{destination_url.rstrip('/')}/"
    assert folder_url(destination_url, "c", "d") == f"{destination_url.rstrip('/')}/c/d/"


def test_an_upload_names_a_missing_connection(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        AdsCallError, match=r"^Create the connection 'nope' [^\n]*\nPutObject for s3://bucket/key "
    ) as error:
        AdsS3FilesOperator(task_id="write", aws_conn_id="nope").upload(tmp_path / "file", "s3://bucket/key")
    assert error.value.__suppress_context__


def test_a_large_file_is_uploaded_in_one_request(aws_default: AdsEmulator, tmp_path: Path) -> None:
    aws_default.upload("s3://inventory/key", "")
    with (tmp_path / "file").open("wb") as file:
        file.truncate(20_000_000)
    AdsS3FilesOperator(task_id="write").upload(tmp_path / "file", "s3://inventory/key")
    assert aws_default.iam_actions() == {"s3:PutObject": 1}


def test_a_prefix_must_leave_room_for_names() -> None:
    assert folder_url(f"s3://bucket/{450 * 'é'}")
    with pytest.raises(ValueError, match=r"^destination_url must have a prefix of at most 900 bytes.* got 902$"):
        folder_url(f"s3://bucket/{451 * 'é'}")


@pytest.mark.parametrize(
    ("url", "rest", "parts"),
    [
        ("s3://bucket/key", "key", ("bucket", "key")),
        ("s3://bucket/a key/b\n", "key", ("bucket", "a key/b\n")),
        ("s3://bucket", "prefix", ("bucket", "")),
    ],
)
def test_an_s3_url_is_split(url: str, rest: str, parts: tuple[str, str]) -> None:
    assert split_s3_url("source_url", url, rest) == parts


@pytest.mark.parametrize(
    "url", ["bucket/key", "https://bucket.example/key", "s3://bucket", "s3://bucket/", "s3:///key", "s3://a b/c", None]
)
def test_another_url_is_refused(url: Any) -> None:
    with pytest.raises(ValueError, match=rf"^source_url must have the form s3://bucket/key; got {url!r}$"):
        split_s3_url("source_url", url, "key")


def test_the_query_of_a_presigned_url_is_not_quoted() -> None:
    with pytest.raises(ValueError, match=r"got 'https://bucket.example/key'$"):
        split_s3_url("source_url", "https://bucket.example/key?X-Amz-Signature=0", "key")
