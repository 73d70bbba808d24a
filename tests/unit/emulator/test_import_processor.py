from __future__ import annotations

import io
import urllib.error
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.storage import Storage
from tests.unit.emulator.conftest import (
    MakeClient,
    describe,
    fetch,
    fetch_archive,
    wait_for,
    wait_for_import,
)

ImportFile = Callable[..., dict[str, Any]]

OUTCOME = ("status", "serverImportSuccess", "serverImportFailure")


def outcome(task: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(task.get(field) for field in OUTCOME)


class TestStatus:
    def test_every_record_imported(self, import_file: ImportFile) -> None:
        task = import_file("ExternalId\na\nb\n")
        assert outcome(task) == ("IMPORT_COMPLETE", 2, 0)
        assert task["fileClassification"] == "IMPORT_TEMPLATE"
        assert task["importCompletionTime"] >= task["importRequestTime"]
        assert "errorsAndFailedEntriesZip" not in task

    def test_some_records_failed(self, import_file: ImportFile) -> None:
        task = import_file("ExternalId\na\n \nb\n")
        assert outcome(task) == ("IMPORT_COMPLETE_WITH_ERRORS", 2, 1)
        assert fetch_archive(task)["failed-entries-file.csv"] == b"ExternalId\n \n"

    def test_no_record_imported(self, import_file: ImportFile) -> None:
        task = import_file("ExternalId\n \n")
        assert outcome(task) == ("IMPORT_FAILED", 0, 1)
        assert fetch_archive(task)["failed-entries-file.csv"] == b"ExternalId\n \n"

    def test_no_records(self, import_file: ImportFile) -> None:
        task = import_file("ExternalId\n")
        assert outcome(task) == ("IMPORT_FAILED", 0, 0)
        assert fetch_archive(task)["failed-entries-file.csv"] == b"ExternalId\n"

    def test_unsupported_file_type(self, import_file: ImportFile) -> None:
        task = import_file(b"\x89PNG\r\n")
        assert outcome(task) == ("IMPORT_FAILED_UNSUPPORTED_FILE_TYPE", None, None)
        assert task.keys().isdisjoint({"errorsAndFailedEntriesZip", "fileClassification"})

    def test_rvtools_export(self, import_file: ImportFile) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("RVTools_tabvInfo.csv", "VM,VM UUID\nweb1,u1\nweb2,u2\n")
        task = import_file(content.getvalue(), "export.zip")
        assert outcome(task) == ("IMPORT_COMPLETE", 2, 0)
        assert task["fileClassification"] == "RVTOOLS_EXPORT"

    @pytest.mark.parametrize("size", [10_000_000, 10_000_001])
    def test_file_size(self, import_file: ImportFile, size: int) -> None:
        header = b"ExternalId,OS.Name\n"
        row = b"a," + b"x" * 99_997 + b"\n"
        content = (header + row * 99).ljust(size - 1, b"y") + b"\n"
        assert len(content) == size
        task = import_file(content.replace(b"\ny", b"\na,y", 1)[:size])
        assert (task["status"] == "IMPORT_COMPLETE") == (size == 10_000_000)
        assert task["status"] in ("IMPORT_COMPLETE", "IMPORT_FAILED")

    @pytest.mark.parametrize(
        "import_url",
        [
            "s3://inventory/missing.csv",
            "s3://no-such-bucket/servers.csv",
            "s3://No_Bucket/servers.csv",
            "s3:///servers.csv/x",
            "https://s3.amazonaws.com/inventory",
            "https://example.com/inventory/servers.csv",
            "https://[/servers.csv",
            "file:///etc/passwd",
        ],
    )
    def test_missing_file(self, s3: Any, discovery: Any, import_url: str) -> None:
        started = discovery.start_import_task(name="n", importUrl=import_url)["task"]
        task = wait_for_import(discovery, started["importTaskId"])
        assert outcome(task) == ("IMPORT_FAILED", None, None)
        assert "errorsAndFailedEntriesZip" not in task

    def test_breakdown_is_an_internal_error(
        self, import_file: ImportFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Storage, "read", None)
            assert import_file("ExternalId\na\n")["status"] == "INTERNAL_ERROR"
        assert "broke down" in caplog.text
        assert import_file("ExternalId\na\n")["status"] == "IMPORT_COMPLETE"


class TestLog:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("ExternalId\na\n \n", "IMPORT_COMPLETE_WITH_ERRORS: 1 imported, 1 failed"),
            ("ExternalId\n" + "a" * 10_000_000, "IMPORT_FAILED: larger than 10,000,000 bytes"),
            (
                "name\na\n",
                "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE: not a CSV with a template column, nor a ZIP with a vInfo sheet",
            ),
        ],
    )
    def test_tells_what_is_imported_and_how_it_ended(
        self, import_file: ImportFile, caplog: pytest.LogCaptureFixture, content: str, said: str
    ) -> None:
        caplog.set_level("INFO")
        task_id = import_file(content)["importTaskId"]
        wait_for(lambda: f"{task_id}: {said}" in caplog.messages)
        assert f"{task_id}: importing 'servers.csv' from 's3://inventory/servers.csv'" in caplog.messages

    @pytest.mark.parametrize(
        ("import_url", "reason"),
        [
            ("s3://inventory/none.csv", "s3://inventory/none.csv: NoSuchKey"),
            ("s3://no-such-bucket/servers.csv", "s3://no-such-bucket/servers.csv: NoSuchBucket"),
            ("s3:///servers.csv/x", "s3:///servers.csv/x: no bucket and key can have these names"),
            ("file:///etc/passwd", "file:///etc/passwd: not the URL of an S3 object"),
        ],
    )
    def test_tells_why_a_file_cannot_be_had(
        self, s3: Any, discovery: Any, caplog: pytest.LogCaptureFixture, import_url: str, reason: str
    ) -> None:
        caplog.set_level("INFO")
        task_id = discovery.start_import_task(name="n", importUrl=import_url)["task"]["importTaskId"]
        wait_for(lambda: f"{task_id}: IMPORT_FAILED: {reason}" in caplog.messages)


class TestApplications:
    def test_are_counted_by_name_and_their_failures_by_row(self, import_file: ImportFile) -> None:
        task = import_file(
            'ExternalId,Applications\na,"shop, crm"\nb,shop\nc,\n,"crm, hr"\n,crm\n,\n',
        )
        assert outcome(task) == ("IMPORT_COMPLETE_WITH_ERRORS", 3, 3)
        assert (task["applicationImportSuccess"], task["applicationImportFailure"]) == (2, 2)


class TestArchive:
    CONTENT = (
        b"\xef\xbb\xbfExternalId,HostName,CPU.NumberOfCores,OS.Name\r\n"
        b'a,web1,"four","two\r\nlines"\r\n'
        b"b,web2,4,Linux\r\n"
        b',,-1,"\xe2\x98\x83 ""x"""\n'
        b"c,web3,4,Linux,more"
    )

    def test_failed_rows_byte_for_byte(self, import_file: ImportFile) -> None:
        archive = fetch_archive(import_file(self.CONTENT))
        assert archive["failed-entries-file.csv"] == self.CONTENT.replace(b"b,web2,4,Linux\r\n", b"")

    def test_one_line_for_each_failed_field(self, import_file: ImportFile) -> None:
        archive = fetch_archive(import_file(self.CONTENT))
        assert archive.keys() == {"errors-file.csv", "failed-entries-file.csv"}
        lines = archive["errors-file.csv"].decode().splitlines()
        assert [line.split(",")[:3] for line in lines] == [
            ["line", "column name", "ExternalId"],
            ["2", "CPU.NumberOfCores", "a"],
            ["5", "ExternalId", ""],
            ["5", "CPU.NumberOfCores", ""],
            ["6", "", "c"],
        ]

    def test_link_is_presigned_and_new_each_time(
        self, ads: AdsEmulator, import_file: ImportFile, discovery: Any, s3: Any
    ) -> None:
        task = import_file("ExternalId\n \n")
        link = task["errorsAndFailedEntriesZip"]
        assert link.startswith(ads.endpoint_url)
        assert {"X-Amz-Signature", "X-Amz-Date", "X-Amz-Expires=3600"} <= {
            part if part.startswith("X-Amz-Expires") else part.partition("=")[0]
            for part in link.partition("?")[2].split("&")
        }
        date = link.partition("X-Amz-Date=")[2][:16]
        wait_for(lambda: date not in describe(discovery, task["importTaskId"])["errorsAndFailedEntriesZip"])

    def test_link_expires(self, client: MakeClient, s3: Any) -> None:
        s3.put_object(Bucket="inventory", Key="bad.csv", Body=b"ExternalId\n \n")
        with AdsEmulator(import_seconds=0, archive_link_seconds=1) as short:
            discovery = client("discovery", emulator=short)
            started = discovery.start_import_task(name="n", importUrl="s3://inventory/bad.csv")["task"]
            link = wait_for_import(discovery, started["importTaskId"])["errorsAndFailedEntriesZip"]

            def refusal() -> urllib.error.HTTPError | None:
                try:
                    fetch(link)
                except urllib.error.HTTPError as error:
                    return error
                return None

            with wait_for(refusal) as error:
                assert error.code == 403
                assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in error.read()


class TestQuotas:
    @pytest.fixture
    def ads(self) -> Iterator[AdsEmulator]:
        with AdsEmulator(import_seconds=0, record_quota=3, server_quota=2) as emulator:
            yield emulator

    def test_import_again_is_records_again(self, import_file: ImportFile) -> None:
        assert import_file("ExternalId\na\nb\n")["status"] == "IMPORT_COMPLETE"
        task = import_file("ExternalId,OS.Name\na,x\n,x\nb,x\n")
        assert outcome(task) == ("IMPORT_FAILED_RECORD_LIMIT_EXCEEDED", 0, 3)
        archive = fetch_archive(task)
        assert archive["failed-entries-file.csv"] == b"ExternalId,OS.Name\na,x\n,x\nb,x\n"
        assert archive["errors-file.csv"].count(b"IMPORT_FAILED_RECORD_LIMIT_EXCEEDED") == 2
        assert import_file("ExternalId\na\n")["status"] == "IMPORT_COMPLETE"

    def test_servers(self, import_file: ImportFile) -> None:
        task = import_file("ExternalId\na\nb\nc\n")
        assert outcome(task) == ("IMPORT_FAILED_SERVER_LIMIT_EXCEEDED", 0, 3)

    def test_rows_that_fail_are_no_records(self, import_file: ImportFile) -> None:
        assert outcome(import_file("ExternalId\na\n \n \n \nb\n"))[1:] == (2, 3)

    def test_each_region_has_its_own(self, ads: AdsEmulator, import_file: ImportFile, client: MakeClient) -> None:
        import_file("ExternalId\na\nb\n")
        ads.home_region = "eu-central-1"
        discovery = client("discovery", region="eu-central-1")
        started = discovery.start_import_task(name="n", importUrl="s3://inventory/servers.csv")["task"]
        assert wait_for_import(discovery, started["importTaskId"])["status"] == "IMPORT_COMPLETE"


def test_quotas_by_default_are_those_of_aws(import_file: ImportFile) -> None:
    ids = "".join(f"{number}\n" for number in range(10_000))
    assert import_file(f"ExternalId\n{ids}")["status"] == "IMPORT_COMPLETE"
    assert import_file("ExternalId\nextra\n")["status"] == "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED"
    assert import_file(f"ExternalId\n{ids}")["status"] == "IMPORT_COMPLETE"
    assert import_file(f"ExternalId\n{ids}")["status"] == "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"


class TestOrder:
    @pytest.fixture
    def ids(self, ads: AdsEmulator, s3: Any, discovery: Any) -> list[str]:
        ads.import_seconds = 3600
        s3.put_object(Bucket="inventory", Key="servers.csv", Body=b"ExternalId\na\n")
        return [
            discovery.start_import_task(name=name, importUrl="s3://inventory/servers.csv")["task"]["importTaskId"]
            for name in ("first", "second", "third")
        ]

    def test_one_after_another(self, ads: AdsEmulator, discovery: Any, ids: list[str]) -> None:
        assert {task["status"] for task in ads.import_tasks()} == {"IMPORT_IN_PROGRESS"}
        ads.import_seconds = 0
        times = [wait_for_import(discovery, each)["importCompletionTime"] for each in ids]
        assert times == sorted(times)

    def test_import_takes_its_time(self, ads: AdsEmulator, discovery: Any, ids: list[str]) -> None:
        ads.import_seconds = 0.2
        tasks = [wait_for_import(discovery, each) for each in ids]
        for earlier, later in pairwise(tasks):
            took = later["importCompletionTime"] - earlier["importCompletionTime"]
            assert took.total_seconds() >= 0.199

    def test_import_with_another_status_is_given_up(self, ads: AdsEmulator, discovery: Any, ids: list[str]) -> None:
        ads.update_import_task(ids[0], status="INTERNAL_ERROR")
        ads.update_import_task(ids[1], status="DELETE_IN_PROGRESS")
        ads.import_seconds = 0
        assert wait_for_import(discovery, ids[2])["status"] == "IMPORT_COMPLETE"
        assert [task["status"] for task in ads.import_tasks()][:2] == ["INTERNAL_ERROR", "DELETE_IN_PROGRESS"]
