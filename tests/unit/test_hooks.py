from __future__ import annotations

import json
from threading import Timer
from typing import Any

import pytest

from airflow_provider_ads import hooks
from airflow_provider_ads.discovery.import_task import MISSING_TASK_LOOKS
from airflow_provider_ads.discovery.limits import SERVICE_REGIONS
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, ImportDeletionError, ImportTaskNotFound
from airflow_provider_ads.hooks import AdsHook

UNKNOWN_ID = "import-task-" + "f" * 32

#: Nothing listens there.
NOWHERE = "http://127.0.0.1:1"

ONE_ATTEMPT = {"retries": {"total_max_attempts": 1}}


def change_connection(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Change the connection ``aws_default``: its login and password, and what is in its extra."""
    connection = json.loads(ads.airflow_connection)
    for name, value in changes.items():
        (connection if name in connection else connection["extra"])[name] = value
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))


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


class TestTestConnection:
    def test_says_what_was_found_and_what_only_an_import_shows(self, aws_default: AdsEmulator) -> None:
        assert AdsHook().test_connection() == (
            True,
            "Imports can be listed in us-west-2, the account's Migration Hub home region. Whether they may be started "
            "too (discovery:StartImportTask), and the file be read (s3:GetObject), shows with the first import.\n"
            "Checked as arn:aws:sts::123456789012:user/moto of account 123456789012.",
        )
        assert aws_default.calls() == {"GetHomeRegion": 1, "DescribeImportTasks": 1}

    def test_is_made_with_the_role_of_the_connection(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_connection(aws_default, monkeypatch, role_arn="arn:aws:iam::123456789012:role/importer")
        good, message = AdsHook().test_connection()
        assert good
        assert "Checked as arn:aws:sts::123456789012:assumed-role/importer/" in message

    def test_shows_no_secret(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        change_connection(aws_default, monkeypatch, password="the-secret-key", aws_session_token="the-session-token")
        good, message = AdsHook().test_connection()
        aws_default.home_region = "eu-west-1"
        bad, another_message = AdsHook().test_connection()
        assert (good, bad) == (True, False)
        assert "the-secret-key" not in message + another_message
        assert "the-session-token" not in message + another_message

    def test_without_credentials_nothing_else_is_asked(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_connection(aws_default, monkeypatch, login=None, password=None)
        good, message = AdsHook().test_connection()
        assert not good
        assert message.startswith("credentials: GetCallerIdentity")
        assert "Give aws_conn_id an access key or a role" in message
        assert not aws_default.calls()

    def test_sts_is_asked_where_the_connection_says(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_connection(aws_default, monkeypatch, service_config={"sts": {"endpoint_url": NOWHERE}})
        good, message = AdsHook(config=ONE_ATTEMPT).test_connection()
        assert not good
        assert message.startswith("credentials: GetCallerIdentity")
        assert f'Could not connect to the endpoint URL: "{NOWHERE}/". The endpoint cannot be reached.' in message

    def test_sts_is_not_asked_at_the_endpoint_of_all_other_services(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_connection(aws_default, monkeypatch, service_config={})
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", NOWHERE)
        _, message = AdsHook(config=ONE_ATTEMPT).test_connection()
        assert message.startswith("credentials: GetCallerIdentity")
        assert f'"{NOWHERE}/"' in message

    def test_the_home_region_is_asked_for_where_the_connection_says(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service_config = json.loads(aws_default.airflow_connection)["extra"]["service_config"]
        service_config["migrationhub-config"] = {"endpoint_url": NOWHERE}
        change_connection(aws_default, monkeypatch, service_config=service_config)
        good, message = AdsHook(config=ONE_ATTEMPT).test_connection()
        assert not good
        assert message.startswith("home region: GetHomeRegion")
        assert f'"{NOWHERE}/"' in message
        assert aws_default.calls() == {"DescribeImportTasks": 1}

    @pytest.mark.parametrize(
        ("operation", "check"), [("GetHomeRegion", "home region"), ("DescribeImportTasks", "permissions")]
    )
    def test_every_call_has_the_hooks_config(self, aws_default: AdsEmulator, operation: str, check: str) -> None:
        aws_default.inject("latency", operation=operation, delay=1.0)
        good, message = AdsHook(config={**ONE_ATTEMPT, "read_timeout": 0.1}).test_connection()
        assert not good
        assert message.startswith(f"{check}: {operation}")
        assert "ReadTimeoutError" in message

    @pytest.mark.parametrize("service", ["sts", "migrationhub-config", "discovery"])
    def test_every_certificate_is_verified_as_the_hook_says(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, service: str
    ) -> None:
        service_config = {"sts": {"endpoint_url": aws_default.endpoint_url}}
        service_config[service] = {"endpoint_url": aws_default.endpoint_url.replace("http:", "https:")}
        change_connection(aws_default, monkeypatch, service_config=service_config)
        good, message = AdsHook(verify="no-such-bundle.pem", config=ONE_ATTEMPT).test_connection()
        assert not good
        assert "No such file or directory" in message

    @pytest.mark.parametrize(
        ("region_name", "problem"),
        [
            (None, "No region is set"),
            ("eu-west-3", "The service is not offered in eu-west-3"),
            ("mars-north-1", "The service is not offered in mars-north-1"),
        ],
    )
    def test_a_region_without_the_service_leads_to_the_home_region(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, region_name: str | None, problem: str
    ) -> None:
        change_connection(aws_default, monkeypatch, region_name=region_name)
        good, message = AdsHook().test_connection()
        region, home_region, _ = message.splitlines()
        assert not good
        assert region.startswith(f"region: {problem}. Set region_name, here or in aws_conn_id, to")
        assert region.endswith(f"one of {', '.join(SERVICE_REGIONS)}.")
        assert home_region.endswith("Set region_name to us-west-2, here or in aws_conn_id.")
        assert aws_default.calls() == {"GetHomeRegion": 1}

    def test_a_region_that_the_machine_sets_counts(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_connection(aws_default, monkeypatch, region_name=None)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
        good, message = AdsHook().test_connection()
        assert good
        assert "Imports can be listed in us-west-2" in message

    def test_another_home_region_is_named(self, aws_default: AdsEmulator) -> None:
        aws_default.home_region = "eu-west-1"
        assert AdsHook(region_name="us-west-2").test_connection() == (
            False,
            "home region: The account's Migration Hub home region is eu-west-1, the hook's region is us-west-2. "
            "Set region_name to eu-west-1, here or in aws_conn_id.\n"
            "Checked as arn:aws:sts::123456789012:user/moto of account 123456789012.",
        )

    def test_an_account_without_a_home_region_has_to_choose_one(self, aws_default: AdsEmulator) -> None:
        aws_default.home_region = None
        good, message = AdsHook().test_connection()
        assert not good
        assert message.startswith("home region: The account has no Migration Hub home region. Choose one")

    @pytest.mark.parametrize(
        ("code", "operation", "check", "action"),
        [
            ("AccessDeniedException", "GetHomeRegion", "home region", "mgh:GetHomeRegion"),
            ("AuthorizationErrorException", "DescribeImportTasks", "permissions", "discovery:DescribeImportTasks"),
        ],
    )
    def test_an_action_that_is_denied_is_named(
        self, aws_default: AdsEmulator, code: str, operation: str, check: str, action: str
    ) -> None:
        aws_default.inject(code, operation=operation)
        good, message = AdsHook().test_connection()
        problem, _ = message.splitlines()
        assert not good
        assert problem.startswith(f"{check}: {operation}")
        assert f"may not call {action}. Allow the action in the IAM policy" in problem

    def test_every_check_that_fails_is_named(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("AccessDeniedException", operation="GetHomeRegion")
        aws_default.inject("AuthorizationErrorException", operation="DescribeImportTasks")
        good, message = AdsHook().test_connection()
        assert not good
        assert [line.partition(" ")[0] for line in message.splitlines()] == ["home", "permissions:", "Checked"]

    @pytest.mark.parametrize(
        ("extra", "reason"),
        [
            ({"profile_name": "nope"}, "Correct profile_name in aws_conn_id"),
            ({"role_arn": "x", "assume_role_method": "y"}, "NotImplementedError: Found assume_role_method='y'"),
            ({"config_kwargs": {"x": 1}}, "Got unexpected keyword argument 'x'. Correct the connection 'aws_default'"),
            ({"service_config": 1}, "'int' object has no attribute 'get'. Correct the connection 'aws_default'"),
        ],
        ids=["profile", "role", "config", "services"],
    )
    def test_a_connection_that_makes_no_sense_raises_nothing(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], reason: str
    ) -> None:
        change_connection(aws_default, monkeypatch, **extra)
        good, message = AdsHook().test_connection()
        assert not good
        assert message.startswith("credentials: ")
        assert reason in message

    def test_an_endpoint_that_is_no_url_raises_nothing(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_connection(aws_default, monkeypatch, endpoint_url="localhost:5005")
        good, message = AdsHook().test_connection()
        home_region, permissions, _ = message.splitlines()
        assert not good
        assert home_region.startswith("home region: ValueError: Invalid endpoint: localhost:5005. Correct the")
        assert permissions.startswith("permissions: ValueError: Invalid endpoint: localhost:5005. Correct the")

    @pytest.mark.parametrize("connection", [None, "{"], ids=["missing", "malformed"])
    def test_a_connection_that_airflow_cannot_read_is_named(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, connection: str | None
    ) -> None:
        if connection is not None:
            monkeypatch.setenv("AIRFLOW_CONN_MY_AWS", connection)
        good, message = AdsHook("my_aws", region_name="us-west-2").test_connection()
        assert not good
        assert message.startswith("credentials: GetCallerIdentity")
        assert "Airflow found no connection 'my_aws' that it can read" in message

    def test_without_a_connection_the_machines_own_credentials_do_too(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", ads.endpoint_url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "machine")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "machine")
        good, message = AdsHook("my_aws", region_name="us-west-2").test_connection()
        assert good
        assert "Airflow found no connection 'my_aws' that it can read" in message
        good, message = AdsHook(None, region_name="us-west-2").test_connection()
        assert good
        assert "no connection" not in message


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
        assert aws_default.calls()["DescribeImportTasks"] == MISSING_TASK_LOOKS

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


class TestFindImportTasks:
    def test_leaves_out_what_is_not_listed_and_asks_once(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task() for _ in range(101)]
        assert list(AdsHook().find_import_tasks([*ids, UNKNOWN_ID, ids[0]])) == ids
        assert aws_default.calls()["DescribeImportTasks"] == 2


class TestDeleteImportData:
    def test_deletes_ten_with_a_call(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(21)]
        AdsHook().delete_import_data([*ids, ids[0]])
        assert {task["status"] for task in aws_default.import_tasks()} == {"DELETE_IN_PROGRESS"}
        assert aws_default.calls()["BatchDeleteImportData"] == 3

    def test_goes_on_after_a_refusal_and_names_it_in_the_end(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(12)]
        with pytest.raises(ImportDeletionError, match=r"Not deleted in us-west-2: .* \(NOT_FOUND") as error:
            AdsHook().delete_import_data([UNKNOWN_ID, *ids])
        assert error.value.errors == {UNKNOWN_ID: "NOT_FOUND"}
        assert {task["status"] for task in aws_default.import_tasks()} == {"DELETE_IN_PROGRESS"}

    def test_makes_no_further_call_after_the_limit_of_the_day(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=20_000) for _ in range(12)]
        with pytest.raises(ImportDeletionError) as error:
            AdsHook().delete_import_data(ids)
        assert error.value.errors == dict.fromkeys(ids[1:], "OVER_LIMIT")
        assert aws_default.calls()["BatchDeleteImportData"] == 1

    def test_removes_the_history_if_asked_to(self, aws_default: AdsEmulator) -> None:
        aws_default.delete_seconds = 0
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        AdsHook().delete_import_data(import_task_id, delete_history=True)
        while aws_default.import_tasks():
            pass

    @pytest.mark.parametrize("ids", [[], "import-task-", ["import-task-1"]])
    def test_bad_input_is_refused_before_any_call(self, aws_default: AdsEmulator, ids: Any) -> None:
        with pytest.raises(ValueError, match="import_task_id"):
            AdsHook().delete_import_data(ids)
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


def test_sessions_for_the_triggerer_share_what_they_read_about_the_service(aws_default: AdsEmulator) -> None:
    # Otherwise each client reads it anew, on the event loop.
    sessions = [AdsHook(config={"read_timeout": seconds}).get_session(deferrable=True) for seconds in (1, 2)]
    assert sessions[0] is not sessions[1]
    assert sessions[0].get_component("data_loader") is sessions[1].get_component("data_loader")
