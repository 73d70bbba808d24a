from __future__ import annotations

import urllib.error
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.storage import Storage
from tests.unit.emulator.conftest import describe, fetch, wait_for

ImportFile = Callable[..., dict[str, Any]]
Delete = Callable[..., None]


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    with AdsEmulator(import_seconds=0, delete_seconds=0, record_quota=4, server_quota=3) as emulator:
        yield emulator


@pytest.fixture
def delete(ads: AdsEmulator, discovery: Any) -> Delete:
    """Delete import tasks, and wait for the end."""

    def delete(*ids: str, **parameters: bool) -> None:
        assert discovery.batch_delete_import_data(importTaskIds=ids, **parameters)["errors"] == []
        wait_for(lambda: all(task["status"] != "DELETE_IN_PROGRESS" for task in ads.import_tasks()))

    return delete


def test_task_is_described_as_deleted(import_file: ImportFile, discovery: Any, delete: Delete) -> None:
    task = import_file("ExternalId\na\n")
    delete(task["importTaskId"])
    deleted = describe(discovery, task["importTaskId"])
    assert deleted.pop("importDeletedTime") >= task["importCompletionTime"]
    assert deleted == task | {"status": "DELETE_COMPLETE"}


def test_task_vanishes_with_its_history(import_file: ImportFile, discovery: Any, delete: Delete) -> None:
    left, vanished = (import_file("ExternalId\na\n") for _ in range(2))
    delete(vanished["importTaskId"], deleteHistory=True)
    assert discovery.describe_import_tasks()["tasks"] == [left]


def test_history_is_only_that_of_the_last_deletion(ads: AdsEmulator, discovery: Any, delete: Delete) -> None:
    ads.delete_seconds = 3600
    import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
    discovery.batch_delete_import_data(importTaskIds=[import_task_id], deleteHistory=True)
    ads.update_import_task(import_task_id, status="DELETE_FAILED")
    ads.delete_seconds = 0
    delete(import_task_id)
    assert describe(discovery, import_task_id)["status"] == "DELETE_COMPLETE"


def test_deletion_takes_its_time(ads: AdsEmulator, discovery: Any, delete: Delete) -> None:
    ads.delete_seconds = 0.2
    import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
    asked = describe(discovery, import_task_id)["importRequestTime"]
    delete(import_task_id)
    took = describe(discovery, import_task_id)["importDeletedTime"] - asked
    assert took.total_seconds() >= 0.199


def test_deletion_waits_for_no_import(ads: AdsEmulator, discovery: Any, delete: Delete) -> None:
    ads.import_seconds = 3600
    discovery.start_import_task(name="n", importUrl="s3://b/k")
    delete(ads.add_import_task(status="IMPORT_COMPLETE"))
    assert [task["status"] for task in ads.import_tasks()] == ["IMPORT_IN_PROGRESS", "DELETE_COMPLETE"]


def test_deletions_do_not_wait_for_each_other(ads: AdsEmulator, discovery: Any) -> None:
    ads.delete_seconds = 1
    ids = [ads.add_import_task(status="IMPORT_COMPLETE") for _ in range(10)]
    discovery.batch_delete_import_data(importTaskIds=ids)
    wait_for(lambda: {task["status"] for task in ads.import_tasks()} == {"DELETE_COMPLETE"})
    times = [task["importDeletedTime"] for task in ads.import_tasks()]
    assert (times[-1] - times[0]).total_seconds() < 9


def test_records_are_given_back(import_file: ImportFile, delete: Delete) -> None:
    tasks = [import_file("ExternalId\na\nb\n") for _ in range(2)]
    assert import_file("ExternalId\na\n")["status"] == "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
    delete(tasks[0]["importTaskId"])
    assert import_file("ExternalId\na\nb\n")["status"] == "IMPORT_COMPLETE"
    assert import_file("ExternalId\na\n")["status"] == "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"


def test_servers_are_given_back_unless_another_import_has_them(import_file: ImportFile, delete: Delete) -> None:
    task = import_file("ExternalId\na\nb\n")
    import_file("ExternalId\nb\n")
    delete(task["importTaskId"], deleteHistory=True)
    assert import_file("ExternalId\nc\nd\ne\n")["status"] == "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED"
    assert import_file("ExternalId\nc\nd\n")["status"] == "IMPORT_COMPLETE"


def test_records_are_held_until_the_deletion_is_done(ads: AdsEmulator, import_file: ImportFile, discovery: Any) -> None:
    ads.delete_seconds = 3600
    task = import_file("ExternalId\na\na\na\na\n")
    discovery.batch_delete_import_data(importTaskIds=[task["importTaskId"]])
    assert import_file("ExternalId\na\n")["status"] == "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"


def test_error_archive_is_deleted(import_file: ImportFile, discovery: Any, delete: Delete) -> None:
    task = import_file("ExternalId\na\n \n")
    assert fetch(task["errorsAndFailedEntriesZip"])
    delete(task["importTaskId"])
    assert "errorsAndFailedEntriesZip" not in describe(discovery, task["importTaskId"])
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(task["errorsAndFailedEntriesZip"])
    with caught.value as error:
        assert error.code == 404


def test_breakdown_is_a_deletion_that_failed(
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
    assert f"{import_task_id}: the deletion broke down" in caplog.text
    delete(import_task_id)
    assert describe(discovery, import_task_id)["status"] == "DELETE_COMPLETE"


def test_end_is_logged(ads: AdsEmulator, delete: Delete, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
    delete(import_task_id)
    wait_for(lambda: f"{import_task_id}: DELETE_COMPLETE" in caplog.messages)
