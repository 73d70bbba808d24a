from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.import_tasks import ImportTasks
from tests.unit.emulator.conftest import HOME_REGION, MakeClient, describe, wait_for


@pytest.fixture
def ads() -> Any:
    with AdsEmulator(import_seconds=3600, delete_seconds=3600) as emulator:
        yield emulator


class TestStart:
    def test_answers_with_the_task(self, discovery: Any) -> None:
        task = discovery.start_import_task(
            name="servers", importUrl="s3://inventory/servers.csv", clientRequestToken="token"
        )["task"]
        assert re.fullmatch("import-task-[0-9a-f]{32}", task.pop("importTaskId"))
        assert task.pop("importRequestTime").tzinfo is not None
        assert task == {
            "clientRequestToken": "token",
            "importUrl": "s3://inventory/servers.csv",
            "name": "servers",
            "status": "IMPORT_IN_PROGRESS",
        }

    def test_names_need_not_be_unique(self, discovery: Any) -> None:
        for _ in range(2):
            discovery.start_import_task(name="servers", importUrl="s3://inventory/servers.csv")
        assert len(discovery.describe_import_tasks()["tasks"]) == 2


class TestToken:
    def test_known_token_returns_its_task_as_it_is_now(self, ads: AdsEmulator, discovery: Any) -> None:
        parameters = {"name": "n", "importUrl": "s3://b/k", "clientRequestToken": "token"}
        first = discovery.start_import_task(**parameters)["task"]
        ads.update_import_task(first["importTaskId"], status="IMPORT_FAILED")
        second = discovery.start_import_task(**parameters)["task"]
        assert second == first | {"status": "IMPORT_FAILED"}
        assert len(ads.import_tasks()) == 1

    @pytest.mark.parametrize("changed", [{"name": "other"}, {"importUrl": "s3://b/other"}])
    def test_known_token_with_other_parameters_is_refused(
        self, ads: AdsEmulator, discovery: Any, changed: dict[str, str]
    ) -> None:
        parameters = {"name": "n", "importUrl": "s3://b/k", "clientRequestToken": "token"}
        task = discovery.start_import_task(**parameters)["task"]
        with pytest.raises(discovery.exceptions.ResourceInUseException) as caught:
            discovery.start_import_task(**parameters | changed)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert "token" in str(caught.value)
        assert task["importTaskId"] in str(caught.value)
        assert len(ads.import_tasks()) == 1

    def test_without_a_token_each_start_is_an_import(self, ads: AdsEmulator, client: MakeClient) -> None:
        discovery = client("discovery")
        # botocore makes up tokens where the model says so; without them the service does.
        discovery.meta.events.unregister(
            "before-parameter-build.discovery.StartImportTask",
            unique_id="inject-idempotency-token",
        )
        ids = {discovery.start_import_task(name="n", importUrl="s3://b/k")["task"]["importTaskId"] for _ in range(2)}
        assert len(ids) == 2
        assert all(task["clientRequestToken"] for task in ads.import_tasks())

    def test_task_that_was_put_there_is_found_by_its_token(self, ads: AdsEmulator, discovery: Any) -> None:
        import_task_id = ads.add_import_task(name="n", importUrl="s3://b/k", clientRequestToken="token")
        task = discovery.start_import_task(name="n", importUrl="s3://b/k", clientRequestToken="token")["task"]
        assert task["importTaskId"] == import_task_id


class TestTokenSeconds:
    @pytest.fixture
    def start(self, discovery: Any) -> Callable[[], str]:
        parameters = {"name": "n", "importUrl": "s3://b/k", "clientRequestToken": "token"}
        return lambda: str(discovery.start_import_task(**parameters)["task"]["importTaskId"])

    def test_token_is_forgotten_after_them(self, client: MakeClient) -> None:
        with AdsEmulator(import_seconds=3600, token_seconds=0.2) as ads:
            discovery = client("discovery", emulator=ads)
            for import_url in ("s3://b/first", "s3://b/second"):
                discovery.start_import_task(name="n", importUrl=import_url, clientRequestToken="token")
                time.sleep(0.2)
            tasks = discovery.describe_import_tasks()["tasks"]
            assert [(task["importUrl"], task["clientRequestToken"]) for task in tasks] == [
                ("s3://b/first", "token"),
                ("s3://b/second", "token"),
            ]

    def test_token_is_known_until_then(self, ads: AdsEmulator, start: Callable[[], str]) -> None:
        ads.token_seconds = 3600
        assert start() == start()

    def test_known_token_is_not_known_for_longer_when_used_again(
        self, ads: AdsEmulator, start: Callable[[], str]
    ) -> None:
        first = start()
        time.sleep(0.5)
        assert start() == first
        ads.token_seconds = 0.5
        assert start() != first

    def test_can_be_changed(self, ads: AdsEmulator, start: Callable[[], str]) -> None:
        first = start()
        ads.token_seconds = 0
        second = start()
        assert second != first
        ads.token_seconds = None
        assert start() == second
        assert len(ads.import_tasks()) == 2


class TestHomeRegion:
    def test_is_told_in_every_region(self, ads: AdsEmulator, client: MakeClient) -> None:
        for region in ("us-west-2", "eu-central-1"):
            answer = client("migrationhub-config", region=region).get_home_region()
            assert answer["HomeRegion"] == HOME_REGION

    def test_that_is_not_set_is_absent(self, ads: AdsEmulator, client: MakeClient) -> None:
        ads.home_region = None
        assert "HomeRegion" not in client("migrationhub-config").get_home_region()

    @pytest.mark.parametrize(("home_region", "said"), [(None, "not set"), ("eu-central-1", "eu-central-1")])
    def test_imports_are_refused_elsewhere(
        self, ads: AdsEmulator, discovery: Any, home_region: str | None, said: str
    ) -> None:
        ads.home_region = home_region
        with pytest.raises(discovery.exceptions.HomeRegionNotSetException, match=said) as caught:
            discovery.start_import_task(name="n", importUrl="s3://b/k")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert ads.import_tasks() == []

    def test_change_moves_no_tasks(self, ads: AdsEmulator, client: MakeClient, discovery: Any) -> None:
        old = discovery.start_import_task(name="old", importUrl="s3://b/k")["task"]["importTaskId"]
        ads.home_region = "eu-central-1"
        new_home = client("discovery", region="eu-central-1")
        assert new_home.describe_import_tasks()["tasks"] == []
        new_home.start_import_task(name="new", importUrl="s3://b/k")
        assert [task["importTaskId"] for task in discovery.describe_import_tasks()["tasks"]] == [old]
        assert [task["name"] for task in ads.import_tasks()] == ["old", "new"]

    def test_token_of_another_region_is_not_known(self, ads: AdsEmulator, client: MakeClient) -> None:
        for region in ("us-west-2", "eu-central-1"):
            ads.home_region = region
            client("discovery", region=region).start_import_task(
                name=region, importUrl="s3://b/k", clientRequestToken="token"
            )
        assert len(ads.import_tasks()) == 2


class TestDescribe:
    def test_lists_oldest_first(self, ads: AdsEmulator, discovery: Any) -> None:
        ids = [ads.add_import_task() for _ in range(3)]
        assert [task["importTaskId"] for task in discovery.describe_import_tasks()["tasks"]] == ids

    def test_unknown_id_is_an_empty_list(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.add_import_task()
        filters = [{"name": "IMPORT_TASK_ID", "values": [f"import-task-{'0' * 32}"]}]
        assert discovery.describe_import_tasks(filters=filters)["tasks"] == []

    def test_pages(self, ads: AdsEmulator, discovery: Any) -> None:
        ids = [ads.add_import_task(name="even" if number % 2 == 0 else "odd") for number in range(9)]
        pages = discovery.get_paginator("describe_import_tasks").paginate(
            filters=[{"name": "NAME", "values": ["even"]}], PaginationConfig={"PageSize": 2}
        )
        assert [[task["importTaskId"] for task in page["tasks"]] for page in pages] == [
            [ids[0], ids[2]],
            [ids[4], ids[6]],
            [ids[8]],
        ]

    def test_page_holds_100_tasks(self, ads: AdsEmulator, discovery: Any) -> None:
        ids = [ads.add_import_task() for _ in range(101)]
        first = discovery.describe_import_tasks()
        assert len(first["tasks"]) == 100
        second = discovery.describe_import_tasks(nextToken=first["nextToken"], maxResults=1)
        assert [task["importTaskId"] for task in second["tasks"]] == ids[100:]
        assert "nextToken" not in second

    @pytest.mark.parametrize(("vanished", "left"), [(0, [2, 3]), (2, [3])])
    def test_next_page_is_the_same_when_tasks_vanish(
        self, ads: AdsEmulator, discovery: Any, vanished: int, left: list[int]
    ) -> None:
        ids = [ads.add_import_task(status="DELETE_COMPLETE") for _ in range(4)]
        first = discovery.describe_import_tasks(maxResults=2)
        discovery.batch_delete_import_data(importTaskIds=[ids[vanished]], deleteHistory=True)
        second = discovery.describe_import_tasks(nextToken=first["nextToken"])
        assert [task["importTaskId"] for task in second["tasks"]] == [ids[each] for each in left]

    def test_no_next_page_of_an_exact_fit(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.add_import_task()
        assert "nextToken" not in discovery.describe_import_tasks(maxResults=1)


class TestFilters:
    @pytest.fixture
    def names(self, ads: AdsEmulator, discovery: Any) -> Any:
        ads.add_import_task(name="a", status="IMPORT_COMPLETE", fileClassification="IMPORT_TEMPLATE")
        ads.add_import_task(name="b", status="IMPORT_COMPLETE", fileClassification="RVTOOLS_EXPORT")
        ads.add_import_task(name="c", status="IMPORT_FAILED")

        def names(*filters: tuple[str, list[str]]) -> str:
            answer = discovery.describe_import_tasks(
                filters=[{"name": name, "values": values} for name, values in filters]
            )
            return "".join(task["name"] for task in answer["tasks"])

        return names

    def test_no_filter(self, names: Any) -> None:
        assert names() == "abc"

    def test_one_of_the_values_must_match(self, names: Any) -> None:
        assert names(("NAME", ["a", "c", "x"])) == "ac"

    def test_every_filter_must_match(self, names: Any) -> None:
        assert names(("NAME", ["a", "b"]), ("FILE_CLASSIFICATION", ["RVTOOLS_EXPORT"])) == "b"

    def test_status_filter_makes_all_others_ignored(self, names: Any) -> None:
        assert names(("NAME", ["c"]), ("STATUS", ["IMPORT_COMPLETE"])) == "ab"

    @pytest.mark.parametrize("value", ["*", "?", "A", "a "])
    def test_no_wildcards(self, names: Any, value: str) -> None:
        assert names(("NAME", [value])) == ""


class TestDelete:
    @pytest.fixture
    def delete(self, discovery: Any) -> Callable[..., dict[str, str]]:
        """Delete import tasks, and return the error codes by their ids."""

        def delete(*ids: str, **parameters: bool) -> dict[str, str]:
            answer = discovery.batch_delete_import_data(importTaskIds=ids, **parameters)
            return {error["importTaskId"]: error["errorCode"] for error in answer["errors"]}

        return delete

    def test_answers_at_once_and_deletes_later(self, ads: AdsEmulator, discovery: Any) -> None:
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=1)
        answer = discovery.batch_delete_import_data(importTaskIds=[import_task_id])
        assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["errors"]) == (200, [])
        task = describe(discovery, import_task_id)
        assert task["status"] == "DELETE_IN_PROGRESS"
        assert "importDeletedTime" not in task

    def test_error_of_one_task_leaves_the_others_alone(self, ads: AdsEmulator, discovery: Any) -> None:
        ids = [ads.add_import_task(status="IMPORT_COMPLETE") for _ in range(2)]
        unknown = f"import-task-{'0' * 32}"
        (error,) = discovery.batch_delete_import_data(importTaskIds=[ids[0], unknown, ids[1]])["errors"]
        assert (error["importTaskId"], error["errorCode"]) == (unknown, "NOT_FOUND")
        assert HOME_REGION in error["errorDescription"]
        assert [task["status"] for task in ads.import_tasks()] == ["DELETE_IN_PROGRESS"] * 2

    @pytest.mark.parametrize(
        "status", ["IMPORT_COMPLETE_WITH_ERRORS", "IMPORT_FAILED", "INTERNAL_ERROR", "DELETE_FAILED", "IMPORT_ODD"]
    )
    def test_every_other_end_of_an_import_can_be_deleted(
        self, ads: AdsEmulator, delete: Callable[..., Any], status: str
    ) -> None:
        assert delete(ads.add_import_task(status=status)) == {}
        assert ads.import_tasks()[0]["status"] == "DELETE_IN_PROGRESS"

    def test_import_that_waits_or_runs_is_an_error_and_goes_on(
        self, ads: AdsEmulator, discovery: Any, delete: Callable[..., Any]
    ) -> None:
        ids = [
            discovery.start_import_task(name=name, importUrl="s3://b/k")["task"]["importTaskId"] for name in ("r", "w")
        ]
        assert delete(*ids, deleteHistory=True) == dict.fromkeys(ids, "INTERNAL_SERVER_ERROR")
        assert [task["status"] for task in ads.import_tasks()] == ["IMPORT_IN_PROGRESS"] * 2

    def test_again_has_no_effect(self, ads: AdsEmulator, delete: Callable[..., Any]) -> None:
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
        assert [delete(import_task_id) for _ in range(2)] == [{}, {}]
        ads.delete_seconds = 0
        (deleted,) = wait_for(lambda: [task for task in ads.import_tasks() if task["status"] == "DELETE_COMPLETE"])
        assert delete(import_task_id) == {}
        assert ads.import_tasks() == [deleted]

    def test_again_with_its_history(self, ads: AdsEmulator, delete: Callable[..., Any]) -> None:
        deleted = ads.add_import_task(status="DELETE_COMPLETE")
        in_progress = ads.add_import_task(status="IMPORT_COMPLETE")
        delete(in_progress)
        assert delete(deleted, in_progress, deleteHistory=True) == {}
        assert [task["importTaskId"] for task in ads.import_tasks()] == [in_progress]
        ads.delete_seconds = 0
        wait_for(lambda: ads.import_tasks() == [])

    def test_with_its_history_is_not_lost_by_asking_without(self, ads: AdsEmulator, delete: Callable[..., Any]) -> None:
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
        delete(import_task_id, deleteHistory=True)
        delete(import_task_id)
        ads.delete_seconds = 0
        wait_for(lambda: ads.import_tasks() == [])

    def test_token_of_a_task_that_vanished_is_not_known(
        self, ads: AdsEmulator, discovery: Any, delete: Callable[..., Any]
    ) -> None:
        parameters = {"name": "n", "importUrl": "s3://b/k", "clientRequestToken": "token"}
        first = discovery.start_import_task(**parameters)["task"]["importTaskId"]
        ads.update_import_task(first, status="DELETE_COMPLETE")
        assert discovery.start_import_task(**parameters)["task"]["importTaskId"] == first
        delete(first, deleteHistory=True)
        assert discovery.start_import_task(**parameters)["task"]["importTaskId"] != first

    def test_knows_the_tasks_of_its_region_with_any_home_region(
        self, ads: AdsEmulator, client: MakeClient, delete: Callable[..., Any]
    ) -> None:
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
        ads.home_region = None
        answer = client("discovery", region="eu-central-1").batch_delete_import_data(importTaskIds=[import_task_id])
        assert [error["errorCode"] for error in answer["errors"]] == ["NOT_FOUND"]
        assert delete(import_task_id) == {}

    def test_status_that_is_set_meanwhile_stays(self, ads: AdsEmulator, delete: Callable[..., Any]) -> None:
        first, second = (ads.add_import_task(status="IMPORT_COMPLETE") for _ in range(2))
        delete(first, second)
        ads.update_import_task(first, status="DELETE_FAILED_LIMIT_EXCEEDED")
        ads.delete_seconds = 0
        wait_for(lambda: ads.import_tasks()[1]["status"] == "DELETE_COMPLETE")
        assert ads.import_tasks()[0]["status"] == "DELETE_FAILED_LIMIT_EXCEEDED"


class TestDeletionQuota:
    @pytest.fixture
    def ads(self) -> Any:
        with AdsEmulator(delete_seconds=3600, deletion_quota=3) as emulator:
            yield emulator

    @pytest.fixture
    def ids(self, ads: AdsEmulator) -> list[str]:
        return [ads.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=records) for records in (4, 2, 1)]

    def test_task_that_does_not_fit_is_an_error_and_stays(
        self, ads: AdsEmulator, discovery: Any, ids: list[str]
    ) -> None:
        (error,) = discovery.batch_delete_import_data(importTaskIds=ids)["errors"]
        assert (error["importTaskId"], error["errorCode"]) == (ids[0], "OVER_LIMIT")
        assert "4 records" in error["errorDescription"]
        statuses = [task["status"] for task in ads.import_tasks()]
        assert statuses == ["IMPORT_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS"]

    def test_counts_what_was_deleted(self, discovery: Any, ads: AdsEmulator, ids: list[str]) -> None:
        late = ads.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=1)
        (error,) = discovery.batch_delete_import_data(importTaskIds=[*ids[1:], late])["errors"]
        assert (error["importTaskId"], error["errorCode"]) == (late, "OVER_LIMIT")

    def test_counts_no_task_twice(self, discovery: Any, ids: list[str]) -> None:
        assert discovery.batch_delete_import_data(importTaskIds=[ids[1], ids[1], ids[2]])["errors"] == []

    def test_task_without_records_always_fits(self, ads: AdsEmulator, discovery: Any, ids: list[str]) -> None:
        failed = ads.add_import_task(status="IMPORT_FAILED")
        assert discovery.batch_delete_import_data(importTaskIds=[*ids[1:], failed])["errors"] == []

    def test_each_region_has_its_own(self, ads: AdsEmulator, client: MakeClient, ids: list[str]) -> None:
        ads.home_region = "eu-central-1"
        other = ads.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=3)
        client("discovery").batch_delete_import_data(importTaskIds=ids[1:])
        answer = client("discovery", region="eu-central-1").batch_delete_import_data(importTaskIds=[other])
        assert answer["errors"] == []


class TestTasksThatArePutThere:
    def test_have_defaults(self, ads: AdsEmulator, discovery: Any) -> None:
        task = describe(discovery, ads.add_import_task())
        assert task["status"] == "IMPORT_IN_PROGRESS"
        assert task.keys() >= {"name", "importUrl", "importRequestTime", "clientRequestToken"}

    def test_show_their_fields(self, ads: AdsEmulator, discovery: Any) -> None:
        task = describe(discovery, ads.add_import_task(status="INTERNAL_ERROR", serverImportFailure=3))
        assert (task["status"], task["serverImportFailure"]) == ("INTERNAL_ERROR", 3)

    def test_may_have_a_status_of_the_future(self, ads: AdsEmulator, discovery: Any) -> None:
        assert describe(discovery, ads.add_import_task(status="IMPORT_ODD"))["status"] == "IMPORT_ODD"

    def test_can_be_changed(self, ads: AdsEmulator, discovery: Any) -> None:
        import_task_id = ads.add_import_task(serverImportFailure=1)
        ads.update_import_task(import_task_id, status="IMPORT_COMPLETE", serverImportFailure=None)
        task = describe(discovery, import_task_id)
        assert task["status"] == "IMPORT_COMPLETE"
        assert "serverImportFailure" not in task

    def test_are_described_alike_to_clients_and_in_process(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=1)
        assert discovery.describe_import_tasks()["tasks"] == ads.import_tasks()

    def test_have_no_other_fields(self, ads: AdsEmulator) -> None:
        with pytest.raises(ValueError, match="no field colour; it has application"):
            ads.add_import_task(colour="red")
        with pytest.raises(ValueError, match="no field colour"):
            ads.update_import_task(ads.add_import_task(), colour="red")

    def test_need_a_home_region(self, ads: AdsEmulator) -> None:
        ads.home_region = None
        with pytest.raises(ValueError, match="home region"):
            ads.add_import_task()

    def test_that_do_not_exist_cannot_be_changed(self, ads: AdsEmulator) -> None:
        with pytest.raises(KeyError, match="import-task-0"):
            ads.update_import_task("import-task-0", status="IMPORT_FAILED")


def test_describing_is_permitted_without_a_home_region(ads: AdsEmulator, discovery: Any) -> None:
    ads.home_region = None
    assert discovery.describe_import_tasks()["tasks"] == []


def test_status_that_is_changed_after_the_wait_stays() -> None:
    tasks = ImportTasks(home_region=HOME_REGION, import_seconds=0, delete_seconds=0, deletion_quota=0, archive_url=str)
    tasks.start_import_task({"name": "n", "importUrl": "s3://b/k"}, HOME_REGION)
    task = tasks.next_import()
    assert task is not None
    assert tasks.wait_import_seconds(task)
    tasks.update_import_task(task.id, {"status": "DELETE_IN_PROGRESS"})
    tasks.complete(task, {"status": "IMPORT_COMPLETE"}, has_archive=True)
    (described,) = tasks.import_tasks()
    assert described["status"] == "DELETE_IN_PROGRESS"
    assert described.keys().isdisjoint({"importCompletionTime", "errorsAndFailedEntriesZip"})
