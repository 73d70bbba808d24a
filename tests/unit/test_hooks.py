from __future__ import annotations

import json
from threading import Timer
from typing import Any

import pytest

from airflow_provider_ads import hooks
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, ImportTaskNotFound
from airflow_provider_ads.hooks import AdsHook

UNKNOWN_ID = "import-task-" + "f" * 32


class TestSettings:
    def test_all_four_reach_the_client(self, aws_default: AdsEmulator) -> None:
        hook = AdsHook(aws_conn_id="aws_default", region_name="eu-west-1", verify=False, config={"read_timeout": 7})
        assert hook.conn_region_name == "eu-west-1"
        assert hook.conn.meta.endpoint_url == aws_default.endpoint_url
        assert hook.conn.meta.config.read_timeout == 7
        assert hook.verify is False

    def test_the_client_is_that_of_the_discovery_service(self) -> None:
        assert AdsHook(client_type="s3").client_type == "discovery"

    def test_a_region_that_does_not_exist_is_refused(self, aws_default: AdsEmulator) -> None:
        with pytest.raises(AdsCallError, match="No such region") as error:
            AdsHook(region_name="mars-north-1").get_import_task(UNKNOWN_ID)
        assert not error.value.transient
        assert not aws_default.calls()

    def test_missing_credentials_are_explained(self) -> None:
        with pytest.raises(AdsCallError, match="Give aws_conn_id an access key or a role") as error:
            AdsHook(aws_conn_id=None, region_name="us-west-2").get_import_task(UNKNOWN_ID)
        assert error.value.code == "NoCredentialsError"


class TestStartImportTask:
    def test_starts_an_import_of_a_file(self, aws_default: AdsEmulator, inventory: str) -> None:
        task = AdsHook().start_import_task("cmdb", inventory)
        assert (task.name, task.import_url, task.status) == ("cmdb", inventory, "IMPORT_IN_PROGRESS")
        assert [known["importTaskId"] for known in aws_default.import_tasks()] == [task.import_task_id]

    def test_sends_the_token_as_it_is(self, aws_default: AdsEmulator, inventory: str) -> None:
        first = AdsHook().start_import_task("cmdb", inventory, "my token")
        again = AdsHook().start_import_task("cmdb", inventory, "my token")
        assert first.client_request_token == "my token"
        assert again.import_task_id == first.import_task_id

    def test_a_token_of_another_import_is_explained(self, aws_default: AdsEmulator, inventory: str) -> None:
        hook = AdsHook()
        hook.start_import_task("cmdb", inventory, "my token")
        with pytest.raises(AdsCallError, match="Use a new token") as error:
            hook.start_import_task("another name", inventory, "my token")
        assert error.value.code == "ResourceInUseException"

    @pytest.mark.parametrize(
        ("name", "import_url", "token", "rule"),
        [
            (" ", "s3://bucket/key", None, "1 to 255 characters"),
            ("x" * 256, "s3://bucket/key", None, "1 to 255 characters"),
            ("cmdb", "bucket/key", None, "a scheme, a bucket and an object"),
            ("cmdb", "s3://bucket", None, "a scheme, a bucket and an object"),
            ("cmdb", "s3://bucket/" + "k" * 4000, None, "at most 4,000 characters"),
            ("cmdb", "s3://bucket/key", "t" * 101, "1 to 100 characters"),
        ],
    )
    def test_bad_input_is_refused_before_any_call(
        self, aws_default: AdsEmulator, name: str, import_url: str, token: str | None, rule: str
    ) -> None:
        with pytest.raises(ValueError, match=rule):
            AdsHook().start_import_task(name, import_url, token)
        assert not aws_default.calls()


class TestGetImportTasks:
    def test_asks_for_a_hundred_with_a_call_and_keeps_the_order(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task() for _ in range(201)]
        ids.reverse()
        assert [task.import_task_id for task in AdsHook().get_import_tasks(ids)] == ids
        assert aws_default.calls()["DescribeImportTasks"] == 3

    def test_an_id_that_is_given_twice_is_answered_twice(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task()
        tasks = AdsHook().get_import_tasks([import_task_id, import_task_id])
        assert [task.import_task_id for task in tasks] == [import_task_id, import_task_id]

    def test_a_missing_task_is_looked_for_again_and_then_named(self, aws_default: AdsEmulator) -> None:
        known = aws_default.add_import_task()
        with pytest.raises(ImportTaskNotFound, match=f"{UNKNOWN_ID} is not known in us-west-2") as error:
            AdsHook().get_import_tasks([known, UNKNOWN_ID])
        assert error.value.import_task_id == UNKNOWN_ID
        assert aws_default.calls()["DescribeImportTasks"] == hooks.MISSING_TASK_LOOKS

    def test_a_task_that_is_listed_late_is_found(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hook = AdsHook()
        hook.get_import_task(aws_default.add_import_task())
        monkeypatch.setattr(hooks, "MISSING_TASK_INTERVAL", 0.5)
        Timer(0.2, lambda: aws_default.add_import_task(importTaskId=UNKNOWN_ID)).start()
        assert hook.get_import_task(UNKNOWN_ID).import_task_id == UNKNOWN_ID

    def test_tasks_of_another_region_are_missing(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task()
        with pytest.raises(ImportTaskNotFound, match="eu-west-1"):
            AdsHook(region_name="eu-west-1").get_import_task(import_task_id)

    @pytest.mark.parametrize("ids", [[], "import-task-1", "['x']", [UNKNOWN_ID, "x"]])
    def test_bad_input_is_refused_before_any_call(self, aws_default: AdsEmulator, ids: Any) -> None:
        with pytest.raises(ValueError, match="import_task_id"):
            AdsHook().get_import_tasks(ids)
        assert not aws_default.calls()


class TestListImportTasks:
    def test_lists_every_page(self, aws_default: AdsEmulator) -> None:
        ids = {aws_default.add_import_task() for _ in range(250)}
        assert {task.import_task_id for task in AdsHook().list_import_tasks()} == ids
        assert aws_default.calls()["DescribeImportTasks"] == 3

    def test_by_name_and_by_the_beginning_of_a_name(self, aws_default: AdsEmulator) -> None:
        for name in ("cmdb", "cmdb-1", "cmdb-2", "other"):
            aws_default.add_import_task(name=name)
        hook = AdsHook()
        assert [task.name for task in hook.list_import_tasks(name="cmdb")] == ["cmdb"]
        assert [task.name for task in hook.list_import_tasks(name_prefix="cmdb-")] == ["cmdb-1", "cmdb-2"]


class TestCredentialsThatExpire:
    def test_the_connection_is_read_again_once(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        hook = AdsHook()
        import_task_id = aws_default.add_import_task()
        hook.get_import_task(import_task_id)
        aws_default.inject("ExpiredTokenException", calls=1)
        connection = {**json.loads(aws_default.airflow_connection), "login": "a-new-access-key"}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        assert hook.get_import_task(import_task_id).import_task_id == import_task_id
        assert hook.get_credentials().access_key == "a-new-access-key"

    def test_credentials_that_stay_expired_are_an_error(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("ExpiredTokenException")
        with pytest.raises(AdsCallError, match="The credentials have expired"):
            AdsHook().get_import_task(UNKNOWN_ID)
        assert aws_default.calls()["DescribeImportTasks"] == 2


def test_a_call_in_the_wrong_region_leads_to_the_home_region(aws_default: AdsEmulator, inventory: str) -> None:
    with pytest.raises(AdsCallError, match="home region") as error:
        AdsHook(region_name="eu-west-1").start_import_task("cmdb", inventory)
    assert error.value.code == "HomeRegionNotSetException"
