from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.import_tasks import ImportTasks
from tests.unit.emulator.conftest import (
    HOME_REGION,
    START,
    UNKNOWN_TASK,
    MakeClient,
    describe,
    start_import,
    statuses,
    wait_for,
)

Delete = Callable[..., dict[str, str]]


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    with AdsEmulator(import_seconds=3600, delete_seconds=3600) as emulator:
        yield emulator


def test_the_response_to_a_start_contains_the_task(discovery: Any) -> None:
    task = discovery.start_import_task(**START, clientRequestToken="token")["task"]
    assert re.fullmatch("import-task-[0-9a-f]{32}", task.pop("importTaskId"))
    assert task.pop("importRequestTime").tzinfo is not None
    kinds = ("serverImportSuccess", "serverImportFailure", "applicationImportSuccess", "applicationImportFailure")
    counts = {kind: task.pop(kind) for kind in kinds}
    assert set(counts.values()) == {0}
    assert task == {**START, "clientRequestToken": "token", "status": "IMPORT_IN_PROGRESS"}


class TestToken:
    def test_a_known_token_returns_the_current_state_of_its_task(self, ads: AdsEmulator, discovery: Any) -> None:
        first = discovery.start_import_task(**START, clientRequestToken="token")["task"]
        ads.update_import_task(first["importTaskId"], status="IMPORT_FAILED")
        second = discovery.start_import_task(**START, clientRequestToken="token")["task"]
        assert second == first | {"status": "IMPORT_FAILED"}
        assert len(ads.import_tasks()) == 1

    @pytest.mark.parametrize("changed", [{"name": "other"}, {"importUrl": "s3://b/other"}])
    def test_a_known_token_with_other_parameters_is_refused(
        self, ads: AdsEmulator, discovery: Any, changed: dict[str, str]
    ) -> None:
        import_task_id = start_import(discovery, clientRequestToken="token")
        with pytest.raises(discovery.exceptions.ResourceInUseException, match=f"token .*{import_task_id}") as caught:
            discovery.start_import_task(**START | changed, clientRequestToken="token")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert len(ads.import_tasks()) == 1

    def test_each_start_without_a_token_is_an_import(self, ads: AdsEmulator, client: MakeClient) -> None:
        discovery = client("discovery")
        # botocore adds a token to each call. Without it, the service creates one.
        discovery.meta.events.unregister(
            "before-parameter-build.discovery.StartImportTask",
            unique_id="inject-idempotency-token",
        )
        assert start_import(discovery) != start_import(discovery)
        assert all(task["clientRequestToken"] for task in ads.import_tasks())

    def test_an_added_task_is_found_by_its_token(self, ads: AdsEmulator, discovery: Any) -> None:
        import_task_id = ads.add_import_task(**START, clientRequestToken="token")
        assert start_import(discovery, clientRequestToken="token") == import_task_id


class TestTokenSeconds:
    def test_using_a_token_again_does_not_extend_its_lifetime(self, ads: AdsEmulator, discovery: Any) -> None:
        first = start_import(discovery, clientRequestToken="token")
        time.sleep(0.5)
        assert start_import(discovery, clientRequestToken="token") == first
        ads.token_seconds = 0.5
        assert start_import(discovery, clientRequestToken="token") != first

    def test_a_forgotten_token_starts_another_import(self, ads: AdsEmulator, discovery: Any) -> None:
        first = start_import(discovery, "s3://b/first", clientRequestToken="token")
        ads.token_seconds = 0
        second = start_import(discovery, "s3://b/second", clientRequestToken="token")
        assert second != first
        for ads.token_seconds in (3600, None):
            assert start_import(discovery, "s3://b/second", clientRequestToken="token") == second
        assert [task["clientRequestToken"] for task in ads.import_tasks()] == ["token", "token"]


class TestHomeRegion:
    @pytest.mark.parametrize("region", ["us-west-2", "eu-central-1"])
    def test_every_region_returns_the_home_region(self, ads: AdsEmulator, client: MakeClient, region: str) -> None:
        assert client("migrationhub-config", region=region).get_home_region()["HomeRegion"] == HOME_REGION
        ads.home_region = None
        assert "HomeRegion" not in client("migrationhub-config", region=region).get_home_region()

    @pytest.mark.parametrize(("home_region", "message"), [(None, "not set"), ("eu-central-1", "eu-central-1")])
    def test_imports_outside_of_the_home_region_are_refused(
        self, ads: AdsEmulator, discovery: Any, home_region: str | None, message: str
    ) -> None:
        ads.home_region = home_region
        with pytest.raises(discovery.exceptions.HomeRegionNotSetException, match=message) as caught:
            discovery.start_import_task(**START)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert ads.import_tasks() == []

    def test_changing_the_home_region_does_not_move_tasks(
        self, ads: AdsEmulator, client: MakeClient, discovery: Any
    ) -> None:
        old = start_import(discovery, name="old")
        ads.home_region = "eu-central-1"
        new_home = client("discovery", region="eu-central-1")
        assert new_home.describe_import_tasks()["tasks"] == []
        start_import(new_home, name="new")
        assert [task["importTaskId"] for task in discovery.describe_import_tasks()["tasks"]] == [old]
        assert [task["name"] for task in ads.import_tasks()] == ["old", "new"]

    def test_each_region_has_its_own_tokens(self, ads: AdsEmulator, client: MakeClient) -> None:
        for region in ("us-west-2", "eu-central-1"):
            ads.home_region = region
            start_import(client("discovery", region=region), name=region, clientRequestToken="token")
        assert len(ads.import_tasks()) == 2


class TestDescribe:
    def test_describing_is_permitted_without_a_home_region(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.home_region = None
        assert discovery.describe_import_tasks()["tasks"] == []

    def test_pages_contain_matching_tasks_only(self, ads: AdsEmulator, discovery: Any) -> None:
        ids = [ads.add_import_task(name="even" if number % 2 == 0 else "odd") for number in range(9)]
        pages = discovery.get_paginator("describe_import_tasks").paginate(
            filters=[{"name": "NAME", "values": ["even"]}], PaginationConfig={"PageSize": 2}
        )
        assert [[task["importTaskId"] for task in page["tasks"]] for page in pages] == [
            [ids[0], ids[2]],
            [ids[4], ids[6]],
            [ids[8]],
        ]

    def test_a_page_contains_100_tasks(self, ads: AdsEmulator, discovery: Any) -> None:
        ids = [ads.add_import_task() for _ in range(101)]
        first = discovery.describe_import_tasks()
        assert len(first["tasks"]) == 100
        second = discovery.describe_import_tasks(nextToken=first["nextToken"], maxResults=1)
        assert [task["importTaskId"] for task in second["tasks"]] == ids[100:]
        assert "nextToken" not in second

    @pytest.mark.parametrize(("deleted", "expected"), [(0, [2, 3]), (2, [3])])
    def test_the_next_page_neither_skips_nor_repeats_tasks_when_others_disappear(
        self, ads: AdsEmulator, discovery: Any, deleted: int, expected: list[int]
    ) -> None:
        ids = [ads.add_import_task(status="DELETE_COMPLETE") for _ in range(4)]
        first = discovery.describe_import_tasks(maxResults=2)
        discovery.batch_delete_import_data(importTaskIds=[ids[deleted]], deleteHistory=True)
        second = discovery.describe_import_tasks(nextToken=first["nextToken"])
        assert [task["importTaskId"] for task in second["tasks"]] == [ids[each] for each in expected]

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ([], "abc"),
            ([("NAME", ["a", "c", "x"])], "ac"),
            ([("NAME", ["a", "b"]), ("FILE_CLASSIFICATION", ["RVTOOLS_EXPORT"])], "b"),
            ([("NAME", ["c"]), ("STATUS", ["IMPORT_COMPLETE"])], "ab"),
            ([("NAME", ["*", "?", "A", "a "])], ""),
            ([("IMPORT_TASK_ID", [UNKNOWN_TASK])], ""),
        ],
        ids=[
            "no filter",
            "any value",
            "every filter",
            "a status filter makes others ignored",
            "no wildcards",
            "no task",
        ],
    )
    def test_filters_return_matching_tasks_only(
        self, ads: AdsEmulator, discovery: Any, filters: list[tuple[str, list[str]]], expected: str
    ) -> None:
        ads.add_import_task(name="a", status="IMPORT_COMPLETE", fileClassification="IMPORT_TEMPLATE")
        ads.add_import_task(name="b", status="IMPORT_COMPLETE", fileClassification="RVTOOLS_EXPORT")
        ads.add_import_task(name="c", status="IMPORT_FAILED")
        answer = discovery.describe_import_tasks(filters=[{"name": name, "values": values} for name, values in filters])
        assert "".join(task["name"] for task in answer["tasks"]) == expected


class TestDelete:
    @pytest.fixture
    def delete(self, discovery: Any) -> Delete:
        """Delete import tasks, and return the error codes by task id."""

        def delete(*ids: str, **parameters: bool) -> dict[str, str]:
            answer = discovery.batch_delete_import_data(importTaskIds=ids, **parameters)
            return {error["importTaskId"]: error["errorCode"] for error in answer["errors"]}

        return delete

    def test_the_response_precedes_the_deletion(self, ads: AdsEmulator, discovery: Any) -> None:
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=1)
        answer = discovery.batch_delete_import_data(importTaskIds=[import_task_id])
        assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["errors"]) == (200, [])
        task = describe(discovery, import_task_id)
        assert task["status"] == "DELETE_IN_PROGRESS"
        assert "importDeletedTime" not in task

    def test_an_error_of_one_task_does_not_affect_the_others(self, ads: AdsEmulator, discovery: Any) -> None:
        ids = [ads.add_import_task(status="IMPORT_COMPLETE") for _ in range(2)]
        (error,) = discovery.batch_delete_import_data(importTaskIds=[ids[0], UNKNOWN_TASK, ids[1]])["errors"]
        assert (error["importTaskId"], error["errorCode"]) == (UNKNOWN_TASK, "NOT_FOUND")
        assert HOME_REGION in error["errorDescription"]
        assert statuses(ads) == ["DELETE_IN_PROGRESS"] * 2

    def test_a_task_with_any_other_status_is_deleted(self, ads: AdsEmulator, delete: Delete) -> None:
        assert delete(*(ads.add_import_task(status=each) for each in ("IMPORT_FAILED", "DELETE_FAILED", "ODD"))) == {}
        assert statuses(ads) == ["DELETE_IN_PROGRESS"] * 3

    def test_an_import_that_is_waiting_or_running_continues(
        self, ads: AdsEmulator, discovery: Any, delete: Delete
    ) -> None:
        ids = [start_import(discovery) for _ in range(2)]
        assert delete(*ids, deleteHistory=True) == dict.fromkeys(ids, "INTERNAL_SERVER_ERROR")
        assert statuses(ads) == ["IMPORT_IN_PROGRESS"] * 2

    def test_deleting_again_has_no_effect(self, ads: AdsEmulator, delete: Delete) -> None:
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
        assert [delete(import_task_id) for _ in range(2)] == [{}, {}]
        ads.delete_seconds = 0
        (deleted,) = wait_for(lambda: [task for task in ads.import_tasks() if task["status"] == "DELETE_COMPLETE"])
        assert delete(import_task_id) == {}
        assert ads.import_tasks() == [deleted]

    def test_deleting_again_can_include_the_history(self, ads: AdsEmulator, delete: Delete) -> None:
        deleted = ads.add_import_task(status="DELETE_COMPLETE")
        in_progress = ads.add_import_task(status="IMPORT_COMPLETE")
        delete(in_progress)
        assert delete(deleted, in_progress, deleteHistory=True) == {}
        assert [task["importTaskId"] for task in ads.import_tasks()] == [in_progress]
        delete(in_progress)  # without deleteHistory, this does not revoke it
        ads.delete_seconds = 0
        wait_for(lambda: ads.import_tasks() == [])

    def test_deleting_the_history_forgets_the_token(self, ads: AdsEmulator, discovery: Any, delete: Delete) -> None:
        first = start_import(discovery, clientRequestToken="token")
        ads.update_import_task(first, status="DELETE_COMPLETE")
        assert start_import(discovery, clientRequestToken="token") == first
        delete(first, deleteHistory=True)
        assert start_import(discovery, clientRequestToken="token") != first

    def test_only_the_task_s_region_matters(self, ads: AdsEmulator, client: MakeClient, delete: Delete) -> None:
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
        ads.home_region = None
        answer = client("discovery", region="eu-central-1").batch_delete_import_data(importTaskIds=[import_task_id])
        assert [error["errorCode"] for error in answer["errors"]] == ["NOT_FOUND"]
        assert delete(import_task_id) == {}

    def test_a_status_that_is_set_during_the_deletion_remains(self, ads: AdsEmulator, delete: Delete) -> None:
        first, second = (ads.add_import_task(status="IMPORT_COMPLETE") for _ in range(2))
        delete(first, second)
        ads.update_import_task(first, status="DELETE_FAILED_LIMIT_EXCEEDED")
        ads.delete_seconds = 0
        wait_for(lambda: ads.import_tasks()[1]["status"] == "DELETE_COMPLETE")
        assert ads.import_tasks()[0]["status"] == "DELETE_FAILED_LIMIT_EXCEEDED"


class TestDeletionQuota:
    @pytest.fixture
    def ads(self) -> Iterator[AdsEmulator]:
        with AdsEmulator(delete_seconds=3600, deletion_quota=3) as emulator:
            yield emulator

    @pytest.fixture
    def ids(self, ads: AdsEmulator) -> list[str]:
        return [ads.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=records) for records in (4, 2, 1)]

    def test_a_task_that_exceeds_the_quota_is_not_deleted(
        self, ads: AdsEmulator, discovery: Any, ids: list[str]
    ) -> None:
        late = ads.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=1)
        first, second = discovery.batch_delete_import_data(importTaskIds=[*ids, late])["errors"]
        assert (first["importTaskId"], first["errorCode"]) == (ids[0], "OVER_LIMIT")
        assert (second["importTaskId"], second["errorCode"]) == (late, "OVER_LIMIT")
        assert "4 records" in first["errorDescription"]
        assert statuses(ads) == ["IMPORT_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_COMPLETE"]

    def test_repeated_tasks_and_tasks_without_records_do_not_count(
        self, ads: AdsEmulator, discovery: Any, ids: list[str]
    ) -> None:
        failed = ads.add_import_task(status="IMPORT_FAILED")
        answer = discovery.batch_delete_import_data(importTaskIds=[ids[1], ids[1], ids[2], failed])
        assert answer["errors"] == []

    def test_each_region_has_its_own_quota(self, ads: AdsEmulator, client: MakeClient, ids: list[str]) -> None:
        ads.home_region = "eu-central-1"
        other = ads.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=3)
        client("discovery").batch_delete_import_data(importTaskIds=ids[1:])
        answer = client("discovery", region="eu-central-1").batch_delete_import_data(importTaskIds=[other])
        assert answer["errors"] == []


class TestAddedTasks:
    def test_an_added_task_has_defaults(self, ads: AdsEmulator, discovery: Any) -> None:
        task = describe(discovery, ads.add_import_task())
        assert task["status"] == "IMPORT_IN_PROGRESS"
        assert task.keys() >= {"name", "importUrl", "importRequestTime", "clientRequestToken"}

    def test_fields_can_be_set_changed_and_removed(self, ads: AdsEmulator, discovery: Any) -> None:
        task = describe(discovery, ads.add_import_task(status="IMPORT_ODD", serverImportFailure=3))
        assert (task["status"], task.pop("serverImportFailure")) == ("IMPORT_ODD", 3)
        ads.update_import_task(task["importTaskId"], status="IMPORT_COMPLETE", serverImportFailure=None)
        assert [task | {"status": "IMPORT_COMPLETE"}] == ads.import_tasks()

    def test_unknown_fields_are_refused(self, ads: AdsEmulator) -> None:
        with pytest.raises(ValueError, match="no field colour; it has application"):
            ads.add_import_task(colour="red")
        with pytest.raises(ValueError, match="no field colour"):
            ads.update_import_task(ads.add_import_task(), colour="red")

    def test_adding_a_task_needs_a_home_region(self, ads: AdsEmulator) -> None:
        ads.home_region = None
        with pytest.raises(ValueError, match="home region"):
            ads.add_import_task()

    def test_an_unknown_task_cannot_be_changed(self, ads: AdsEmulator) -> None:
        with pytest.raises(KeyError, match="import-task-0"):
            ads.update_import_task("import-task-0", status="IMPORT_FAILED")


def test_a_status_that_is_set_before_the_outcome_remains() -> None:
    tasks = ImportTasks(AdsEmulator(import_seconds=0), deletion_quota=0, archive_url=str)
    tasks.start_import_task(START, HOME_REGION)
    task = tasks.next_import()
    assert task is not None
    assert tasks.wait_import_seconds(task)
    tasks.update_import_task(task.id, {"status": "DELETE_IN_PROGRESS"})
    tasks.complete(task, {"status": "IMPORT_COMPLETE"}, has_archive=True)
    (described,) = tasks.import_tasks()
    assert described["status"] == "DELETE_IN_PROGRESS"
    assert described.keys().isdisjoint({"importCompletionTime", "errorsAndFailedEntriesZip"})
