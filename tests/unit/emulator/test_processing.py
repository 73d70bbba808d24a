from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator, processing
from airflow_provider_ads.emulator.s3 import Storage
from tests.unit.emulator.conftest import (
    ImportFile,
    MakeClient,
    describe,
    fetch_archive,
    run_import,
    send,
    start_import,
    statuses,
    wait_for,
    wait_for_import,
)

Delete = Callable[..., None]


def outcome(task: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(task.get(field) for field in ("status", "serverImportSuccess", "serverImportFailure"))


class TestStatus:
    def test_an_import_without_failed_records_is_complete(
        self, import_file: ImportFile, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        task = import_file("ExternalId\na\nb\n")
        assert outcome(task) == ("IMPORT_COMPLETE", 2, 0)
        assert task["fileClassification"] == "IMPORT_TEMPLATE"
        assert task["importCompletionTime"] >= task["importRequestTime"]
        assert "errorsAndFailedEntriesZip" not in task
        assert f"{task['importTaskId']}: importing 'n' from 's3://inventory/servers.csv'" in caplog.messages
        wait_for(lambda: f"{task['importTaskId']}: IMPORT_COMPLETE: 2 imported, 0 failed" in caplog.messages)

    @pytest.mark.parametrize(
        ("content", "expected", "failed"),
        [
            ("ExternalId\na\n \nb\n", ("IMPORT_COMPLETE_WITH_ERRORS", 2, 1), b"ExternalId\n \n"),
            ("ExternalId\n \n", ("IMPORT_FAILED", 0, 1), b"ExternalId\n \n"),
            ("ExternalId\n", ("IMPORT_FAILED", 0, 0), b"ExternalId\n"),
        ],
    )
    def test_failed_records_are_in_the_archive(
        self, import_file: ImportFile, content: str, expected: tuple[str, int, int], failed: bytes
    ) -> None:
        task = import_file(content)
        assert outcome(task) == expected
        assert fetch_archive(task)["failed-entries-file.csv"] == failed

    def test_the_counts_of_an_unsupported_file_type_are_0(self, import_file: ImportFile) -> None:
        task = import_file(b"\x89PNG\r\n")
        assert outcome(task) == ("IMPORT_FAILED_UNSUPPORTED_FILE_TYPE", 0, 0)
        assert task.keys().isdisjoint({"errorsAndFailedEntriesZip", "fileClassification"})

    @pytest.mark.parametrize(("size", "status"), [(10_000_000, "IMPORT_COMPLETE"), (10_000_001, "IMPORT_FAILED")])
    def test_a_file_can_have_10_million_bytes(self, import_file: ImportFile, size: int, status: str) -> None:
        row = b"a," + b"x" * 99_997 + b"\n"
        content = b"ExternalId,OS.Name\n" + row * 99 + b"a,"
        assert import_file(content.ljust(size - 1, b"y") + b"\n")["status"] == status

    @pytest.mark.parametrize(
        ("import_url", "reason"),
        [
            ("s3://inventory/none.csv", "s3://inventory/none.csv: NoSuchKey"),
            ("s3://No_Bucket/servers.csv", "s3://No_Bucket/servers.csv: NoSuchBucket"),
            ("https://s3.amazonaws.com/inventory", "s3://inventory/: not valid names of a bucket and a key"),
            ("https://[/servers.csv", "Invalid IPv6 URL"),
            ("file:///etc/passwd", "file:///etc/passwd is not the URL of an S3 object"),
        ],
    )
    def test_an_import_of_a_missing_file_fails(
        self, s3: Any, discovery: Any, caplog: pytest.LogCaptureFixture, import_url: str, reason: str
    ) -> None:
        caplog.set_level("INFO")
        task = run_import(discovery, import_url)
        assert outcome(task) == ("IMPORT_FAILED", 0, 0)
        assert "errorsAndFailedEntriesZip" not in task
        wait_for(lambda: f"{task['importTaskId']}: IMPORT_FAILED: {reason}" in caplog.messages)

    def test_an_unexpected_failure_is_an_internal_error(
        self, import_file: ImportFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Storage, "read", None)
            assert import_file("ExternalId\na\n")["status"] == "INTERNAL_ERROR"
        assert "the emulator failed unexpectedly" in caplog.text
        assert import_file("ExternalId\na\n")["status"] == "IMPORT_COMPLETE"

    def test_applications_count_by_name_and_failed_ones_by_row(self, import_file: ImportFile) -> None:
        task = import_file('ExternalId,Applications\na," shop, crm,,shop "\nb,shop\nc,\n,"crm, hr"\n,crm\n,\n')
        assert outcome(task) == ("IMPORT_COMPLETE_WITH_ERRORS", 3, 3)
        assert (task["applicationImportSuccess"], task["applicationImportFailure"]) == (2, 2)


class TestQuotas:
    @pytest.fixture
    def ads(self) -> Iterator[AdsEmulator]:
        with AdsEmulator(import_seconds=0, record_quota=3, server_quota=2) as emulator:
            yield emulator

    def test_importing_the_same_rows_again_counts_their_records_again(self, import_file: ImportFile) -> None:
        assert import_file("ExternalId\na\nb\n")["status"] == "IMPORT_COMPLETE"
        task = import_file("ExternalId,OS.Name\na,x\n,x\nb,x\n")
        assert outcome(task) == ("IMPORT_FAILED_RECORD_LIMIT_EXCEEDED", 0, 3)
        archive = fetch_archive(task)
        assert archive["failed-entries-file.csv"] == b"ExternalId,OS.Name\na,x\n,x\nb,x\n"
        assert archive["errors-file.csv"].count(b"IMPORT_FAILED_RECORD_LIMIT_EXCEEDED") == 2
        assert import_file("ExternalId\na\n")["status"] == "IMPORT_COMPLETE"

    def test_failed_rows_are_not_records(self, import_file: ImportFile) -> None:
        assert outcome(import_file("ExternalId\na\n \n \n \nb\n"))[1:] == (2, 3)

    def test_each_region_has_its_own_quotas(
        self, ads: AdsEmulator, import_file: ImportFile, client: MakeClient
    ) -> None:
        import_file("ExternalId\na\nb\n")
        ads.home_region = "eu-central-1"
        task = run_import(client("discovery", region="eu-central-1"), "s3://inventory/servers.csv")
        assert task["status"] == "IMPORT_COMPLETE"


def test_rows_beyond_the_quotas_of_applications_and_tags_fail(client: MakeClient) -> None:
    with AdsEmulator(
        import_seconds=0, delete_seconds=0, application_quota=2, servers_per_application=1, tags_per_server=1
    ) as ads:
        discovery = client("discovery", emulator=ads)
        first = run_import(discovery, ads.upload("s3://inventory/1.csv", "ExternalId,Applications\na,crm\n"))
        content = 'ExternalId,Applications,Tags\nb,crm,\nc,"hr,shop",\nd,hr,\ne,,"x:1,y:2"\n'
        task = run_import(discovery, ads.upload("s3://inventory/2.csv", content))
        assert outcome(task) == ("IMPORT_COMPLETE_WITH_ERRORS", 1, 3)
        assert (task["applicationImportSuccess"], task["applicationImportFailure"]) == (1, 2)
        lines = fetch_archive(task)["errors-file.csv"].decode().splitlines()[1:]
        assert [line.split(",")[:3] for line in lines] == [
            ["2", "Applications", "b"],
            ["3", "Applications", "c"],
            ["5", "Tags", "e"],
        ]
        # Deleting an import releases its applications.
        discovery.batch_delete_import_data(importTaskIds=[first["importTaskId"]])
        wait_for(lambda: "DELETE_COMPLETE" in statuses(ads))
        assert (
            run_import(discovery, ads.upload("s3://inventory/3.csv", "ExternalId,Applications\nb,crm\n"))["status"]
            == "IMPORT_COMPLETE"
        )


def test_the_default_quotas_are_those_of_aws(import_file: ImportFile) -> None:
    ids = "".join(f"{number}\n" for number in range(10_000))
    assert import_file(f"ExternalId\n{ids}")["status"] == "IMPORT_COMPLETE"
    assert import_file("ExternalId\nextra\n")["status"] == "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED"
    assert import_file(f"ExternalId\n{ids}")["status"] == "IMPORT_COMPLETE"
    assert import_file(f"ExternalId\n{ids}")["status"] == "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"


class TestOrder:
    @pytest.fixture
    def ids(self, ads: AdsEmulator, discovery: Any) -> list[str]:
        ads.import_seconds = 3600
        import_url = ads.upload("s3://inventory/servers.csv", "ExternalId\na\n")
        return [start_import(discovery, import_url) for _ in range(3)]

    def test_imports_run_one_at_a_time_and_take_their_time(
        self, ads: AdsEmulator, discovery: Any, ids: list[str]
    ) -> None:
        assert set(statuses(ads)) == {"IMPORT_IN_PROGRESS"}
        ads.import_seconds = 0.2
        times = [wait_for_import(discovery, each)["importCompletionTime"] for each in ids]
        assert all((later - earlier).total_seconds() >= 0.199 for earlier, later in pairwise(times))

    def test_an_import_whose_status_changes_is_abandoned(
        self, ads: AdsEmulator, discovery: Any, ids: list[str]
    ) -> None:
        ads.update_import_task(ids[0], status="INTERNAL_ERROR")
        ads.update_import_task(ids[1], status="DELETE_IN_PROGRESS")
        ads.import_seconds = 0
        assert wait_for_import(discovery, ids[2])["status"] == "IMPORT_COMPLETE"
        assert statuses(ads)[:2] == ["INTERNAL_ERROR", "DELETE_IN_PROGRESS"]


class TestDeletion:
    @pytest.fixture
    def ads(self) -> Iterator[AdsEmulator]:
        with AdsEmulator(import_seconds=0, delete_seconds=0, record_quota=4, server_quota=3) as emulator:
            yield emulator

    @pytest.fixture
    def delete(self, ads: AdsEmulator, discovery: Any) -> Delete:
        """Delete import tasks, and wait until they are deleted."""

        def delete(*ids: str, **parameters: bool) -> None:
            assert discovery.batch_delete_import_data(importTaskIds=ids, **parameters)["errors"] == []
            wait_for(lambda: "DELETE_IN_PROGRESS" not in statuses(ads))

        return delete

    def test_a_deleted_task_is_still_described_without_its_archive(
        self, import_file: ImportFile, discovery: Any, delete: Delete
    ) -> None:
        task = import_file("ExternalId\na\n \n")
        link = task.pop("errorsAndFailedEntriesZip")
        assert send(link).status == 200
        delete(task["importTaskId"])
        assert send(link).status == 404
        deleted = describe(discovery, task["importTaskId"])
        assert deleted.pop("importDeletedTime") >= task["importCompletionTime"]
        assert deleted == task | {"status": "DELETE_COMPLETE"}

    def test_a_task_deleted_with_its_history_disappears(
        self, import_file: ImportFile, discovery: Any, delete: Delete
    ) -> None:
        remaining, deleted = (import_file("ExternalId\na\n") for _ in range(2))
        delete(deleted["importTaskId"], deleteHistory=True)
        assert discovery.describe_import_tasks()["tasks"] == [remaining]

    def test_only_the_last_deletion_decides_about_the_history(
        self, ads: AdsEmulator, discovery: Any, delete: Delete
    ) -> None:
        ads.delete_seconds = 3600
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
        discovery.batch_delete_import_data(importTaskIds=[import_task_id], deleteHistory=True)
        ads.update_import_task(import_task_id, status="DELETE_FAILED")
        ads.delete_seconds = 0
        delete(import_task_id)
        assert describe(discovery, import_task_id)["status"] == "DELETE_COMPLETE"

    def test_deletions_take_their_time_but_do_not_wait_for_each_other_or_for_imports(
        self, ads: AdsEmulator, discovery: Any, delete: Delete, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        ads.import_seconds = 3600
        ads.delete_seconds = 0.5
        start_import(discovery)
        ids = [ads.add_import_task(status="IMPORT_COMPLETE") for _ in range(10)]
        started = time.monotonic()
        delete(*ids)
        assert 0.5 <= time.monotonic() - started < 5
        assert statuses(ads) == ["IMPORT_IN_PROGRESS", *["DELETE_COMPLETE"] * 10]
        wait_for(lambda: f"{ids[-1]}: DELETE_COMPLETE" in caplog.messages)

    def test_deleting_releases_the_records(self, import_file: ImportFile, delete: Delete) -> None:
        tasks = [import_file("ExternalId\na\nb\n") for _ in range(2)]
        assert import_file("ExternalId\na\n")["status"] == "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
        delete(tasks[0]["importTaskId"])
        assert import_file("ExternalId\na\nb\n")["status"] == "IMPORT_COMPLETE"
        assert import_file("ExternalId\na\n")["status"] == "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"

    def test_deleting_releases_servers_that_no_other_import_has(self, import_file: ImportFile, delete: Delete) -> None:
        task = import_file("ExternalId\na\nb\n")
        import_file("ExternalId\nb\n")
        delete(task["importTaskId"], deleteHistory=True)
        assert import_file("ExternalId\nc\nd\ne\n")["status"] == "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED"
        assert import_file("ExternalId\nc\nd\n")["status"] == "IMPORT_COMPLETE"

    def test_records_are_held_until_the_deletion_is_complete(
        self, ads: AdsEmulator, import_file: ImportFile, discovery: Any
    ) -> None:
        ads.delete_seconds = 3600
        task = import_file("ExternalId\na\na\na\na\n")
        discovery.batch_delete_import_data(importTaskIds=[task["importTaskId"]])
        assert import_file("ExternalId\na\n")["status"] == "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"

    def test_an_unexpected_failure_is_a_failed_deletion(
        self,
        import_file: ImportFile,
        discovery: Any,
        delete: Delete,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        import_task_id = import_file("ExternalId\n \n")["importTaskId"]
        with monkeypatch.context() as patch:
            patch.setattr(Storage, "delete_archive", None)
            delete(import_task_id)
            assert describe(discovery, import_task_id)["status"] == "DELETE_FAILED"
        assert f"{import_task_id}: the deletion failed unexpectedly" in caplog.text
        delete(import_task_id)
        assert describe(discovery, import_task_id)["status"] == "DELETE_COMPLETE"


class TestExports:
    def test_only_the_archives_of_the_newest_exports_are_kept(
        self, ads: AdsEmulator, discovery: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(processing, "_MAX_EXPORT_ARCHIVES", 2)
        ads.export_seconds = 0
        for _ in range(4):
            discovery.start_export_task()
            wait_for(lambda: {task["exportStatus"] for task in ads.export_tasks()} == {"SUCCEEDED"})
        statuses = [send(task["configurationsDownloadUrl"]).status for task in ads.export_tasks()]
        assert statuses == [404, 404, 200, 200]

    def test_an_export_that_cannot_be_written_fails(
        self, ads: AdsEmulator, discovery: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ads.export_seconds = 0
        monkeypatch.setattr(Storage, "write_archive", None)
        discovery.start_export_task()
        wait_for(lambda: ads.export_tasks()[0]["exportStatus"] == "FAILED")
        assert ads.export_tasks()[0]["statusMessage"] == "The emulator failed unexpectedly"
