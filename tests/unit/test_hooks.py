from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from threading import Timer
from typing import Any

import pytest

from airflow_provider_ads import hooks
from airflow_provider_ads.discovery.limits import SERVICE_REGIONS
from airflow_provider_ads.discovery.verdicts import MISSING_TASK_POLLS
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, ExportTaskNotFound, ImportDeletionError, ImportTaskNotFound
from airflow_provider_ads.hooks import AdsHook
from tests.support.recording_emulator import RecordingEmulator

UNKNOWN_ID = "import-task-" + "f" * 32

#: An address at which no server listens.
NOWHERE = "http://127.0.0.1:1"

ONE_ATTEMPT = {"retries": {"total_max_attempts": 1}}

ChangeConnection = Callable[..., None]


@pytest.fixture
def change_connection(aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> ChangeConnection:
    """Change login, password and fields of the extra of the connection ``aws_default``."""

    def change_connection(**changes: Any) -> None:
        connection = json.loads(aws_default.airflow_connection)
        for name, value in changes.items():
            (connection if name in connection else connection["extra"])[name] = value
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))

    return change_connection


def result_of(hook: AdsHook) -> str:
    """Return the message of a connection test that passes."""
    good, message = hook.test_connection()
    assert good, message
    return message


def problems_of(hook: AdsHook) -> list[str]:
    """Return the lines of a connection test that fails."""
    good, message = hook.test_connection()
    assert not good
    return message.splitlines()


def tracebacks_of(error: BaseException) -> int:
    """Return the number of tracebacks that Airflow logs for an exception."""
    return "".join(traceback.format_exception(error)).count("Traceback (most recent call last)")


class TestSettings:
    def test_all_settings_reach_the_client(self, aws_default: AdsEmulator) -> None:
        hook = AdsHook(aws_conn_id="aws_default", region_name="eu-west-1", verify=False, config={"read_timeout": 7})
        assert hook.conn_region_name == "eu-west-1"
        assert hook.conn.meta.endpoint_url == aws_default.endpoint_url
        assert hook.conn.meta.config.read_timeout == 7
        assert hook.verify is False
        assert AdsHook(client_type="s3").client_type == "discovery"

    def test_a_region_that_does_not_exist_is_an_error_before_any_call(self, aws_default: AdsEmulator) -> None:
        with pytest.raises(AdsCallError, match="there is no such region") as error:
            AdsHook(region_name="mars-north-1").get_import_task(UNKNOWN_ID)
        assert not error.value.transient
        assert not aws_default.calls()

    def test_expired_credentials_are_read_again_once(
        self, aws_default: AdsEmulator, change_connection: ChangeConnection
    ) -> None:
        hook = AdsHook()
        import_task_id = aws_default.add_import_task()
        hook.get_import_task(import_task_id)
        aws_default.inject("ExpiredTokenException", calls=1)
        change_connection(login="a-new-access-key")
        assert hook.get_import_task(import_task_id).import_task_id == import_task_id
        assert hook.get_credentials().access_key == "a-new-access-key"
        aws_default.clear_calls()
        aws_default.inject("ExpiredTokenException")
        with pytest.raises(AdsCallError, match=r"^Renew the credentials"):
            hook.get_import_task(import_task_id)
        assert aws_default.calls()["DescribeImportTasks"] == 2

    def test_the_error_of_the_first_call_is_not_in_the_traceback_of_the_second(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("ExpiredTokenException")
        with pytest.raises(AdsCallError) as error:
            AdsHook().get_import_task(UNKNOWN_ID)
        assert tracebacks_of(error.value) == 1

    def test_the_triggerers_sessions_share_botocores_data(self, aws_default: AdsEmulator) -> None:
        # Otherwise each client reads the data again, on the event loop.
        sessions = [AdsHook(config={"read_timeout": seconds}).get_session(deferrable=True) for seconds in (1, 2)]
        assert sessions[0] is not sessions[1]
        assert sessions[0].get_component("data_loader") is sessions[1].get_component("data_loader")


class TestExplainedErrors:
    @pytest.mark.parametrize("settings", [{"region_name": "us-west-2"}, {}], ids=["no credentials", "no region"])
    def test_a_missing_connection_is_named_in_one_traceback(self, settings: dict[str, Any]) -> None:
        with pytest.raises(AdsCallError) as error:
            AdsHook("nope", **settings).get_import_task(UNKNOWN_ID)
        assert str(error.value).startswith("Create the connection 'nope' (Admin > Connections, or 'airflow connections")
        assert "Add an access key" not in str(error.value)
        assert tracebacks_of(error.value) == 1

    def test_credentials_missing_from_a_connection_are_asked_for(self, change_connection: ChangeConnection) -> None:
        change_connection(login=None, password=None)
        with pytest.raises(AdsCallError, match="Add an access key or a role to aws_conn_id") as error:
            AdsHook().get_import_task(UNKNOWN_ID)
        assert tracebacks_of(error.value) == 1

    def test_if_sts_cannot_be_reached_the_advice_is_about_sts(
        self, change_connection: ChangeConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        role = "arn:aws:iam::123456789012:role/importer"
        change_connection(role_arn=role, service_config={"sts": {"endpoint_url": NOWHERE}})
        with pytest.raises(AdsCallError, match="this machine and AWS STS, which issues the credentials") as error:
            AdsHook().get_import_task(UNKNOWN_ID)
        assert "set service_config.sts.endpoint_url in the connection's extra" in str(error.value)
        assert error.value.transient

    def test_if_the_service_cannot_be_reached_the_advice_is_not_about_sts(
        self, change_connection: ChangeConnection
    ) -> None:
        change_connection(endpoint_url=NOWHERE)
        with pytest.raises(AdsCallError, match="the region and the endpoint_url of aws_conn_id") as error:
            AdsHook(config=ONE_ATTEMPT).get_import_task(UNKNOWN_ID)
        assert "STS" not in str(error.value)


class TestTestConnection:
    def test_reports_what_works_and_what_only_an_import_shows(self, aws_default: AdsEmulator) -> None:
        assert AdsHook().test_connection() == (
            True,
            "Imports can be listed in us-west-2, the account's Migration Hub home region. Only the first import shows "
            "whether the credentials may start it (discovery:StartImportTask) and read its file (s3:GetObject).\n"
            "Checked as arn:aws:sts::123456789012:user/moto of account 123456789012.",
        )
        assert aws_default.calls() == {"GetHomeRegion": 1, "DescribeImportTasks": 1}

    def test_uses_the_role_of_the_connection(self, change_connection: ChangeConnection) -> None:
        change_connection(role_arn="arn:aws:iam::123456789012:role/importer")
        assert "Checked as arn:aws:sts::123456789012:assumed-role/importer/" in result_of(AdsHook())

    def test_never_shows_a_secret(self, aws_default: AdsEmulator, change_connection: ChangeConnection) -> None:
        change_connection(password="the-secret-key", aws_session_token="the-session-token")
        messages = [result_of(AdsHook())]
        aws_default.home_region = "eu-west-1"
        messages += problems_of(AdsHook())
        assert not any(secret in message for message in messages for secret in ("the-secret-key", "the-session-token"))

    def test_checks_nothing_else_without_credentials(
        self, aws_default: AdsEmulator, change_connection: ChangeConnection
    ) -> None:
        change_connection(login=None, password=None)
        (problem,) = problems_of(AdsHook())
        assert problem.startswith("credentials: ")
        assert "Add an access key or a role to aws_conn_id" in problem
        assert not aws_default.calls()

    @pytest.mark.parametrize(
        ("service", "check"),
        [("sts", "credentials: Check"), ("migrationhub-config", "home region: Check the network")],
    )
    def test_calls_each_service_at_its_own_endpoint(
        self, aws_default: AdsEmulator, change_connection: ChangeConnection, service: str, check: str
    ) -> None:
        endpoints = {"sts": aws_default.endpoint_url, service: NOWHERE}
        change_connection(service_config={name: {"endpoint_url": url} for name, url in endpoints.items()})
        problem, *_ = problems_of(AdsHook(config=ONE_ATTEMPT))
        assert problem.startswith(check)
        assert f'Could not connect to the endpoint URL: "{NOWHERE}/".' in problem

    def test_makes_the_other_checks_if_sts_cannot_be_reached(
        self, aws_default: AdsEmulator, change_connection: ChangeConnection
    ) -> None:
        change_connection(service_config={"sts": {"endpoint_url": NOWHERE}})
        aws_default.inject("AuthorizationErrorException", operation="DescribeImportTasks")
        aws_default.home_region = "eu-west-1"
        credentials, home_region, permissions = problems_of(AdsHook(config=ONE_ATTEMPT))
        assert "set service_config.sts.endpoint_url" in credentials
        assert home_region.startswith("home region: The account's Migration Hub home region is eu-west-1")
        assert permissions.startswith("permissions: Allow discovery:DescribeImportTasks")

    def test_makes_no_other_check_if_sts_cannot_be_reached_for_the_role(
        self, aws_default: AdsEmulator, change_connection: ChangeConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        role = "arn:aws:iam::123456789012:role/importer"
        change_connection(role_arn=role, service_config={"sts": {"endpoint_url": NOWHERE}})
        (problem,) = problems_of(AdsHook())
        assert "set service_config.sts.endpoint_url" in problem
        assert not aws_default.calls()

    def test_uses_the_hooks_config_for_every_call(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("latency", delay=1.0)
        problems = problems_of(AdsHook(config={**ONE_ATTEMPT, "read_timeout": 0.1}))
        assert ["ReadTimeoutError" in problem for problem in problems] == [True, True, False]

    @pytest.mark.parametrize("service", ["sts", "migrationhub-config", "discovery"])
    def test_verifies_every_certificate_as_the_hook_does(
        self, aws_default: AdsEmulator, change_connection: ChangeConnection, service: str
    ) -> None:
        service_config = {"sts": {"endpoint_url": aws_default.endpoint_url}}
        service_config[service] = {"endpoint_url": aws_default.endpoint_url.replace("http:", "https:")}
        change_connection(service_config=service_config)
        problem, *_ = problems_of(AdsHook(verify="no-such-bundle.pem", config=ONE_ATTEMPT))
        assert "No such file or directory" in problem

    @pytest.mark.parametrize(
        ("region_name", "problem"),
        [(None, "No region is set"), ("mars-north-1", "The service is not available in mars-north-1")],
    )
    def test_names_the_home_region_if_the_region_does_not_have_the_service(
        self, aws_default: AdsEmulator, change_connection: ChangeConnection, region_name: str | None, problem: str
    ) -> None:
        change_connection(region_name=region_name)
        region, home_region, _ = problems_of(AdsHook())
        assert region.startswith(f"region: {problem}. Set region_name, in the Dag or in aws_conn_id, to")
        assert region.endswith(f"one of {', '.join(SERVICE_REGIONS)}.")
        assert home_region.endswith("Set region_name to us-west-2, in the Dag or in aws_conn_id.")
        assert aws_default.calls() == {"GetHomeRegion": 1}

    def test_accepts_the_region_of_the_environment(
        self, change_connection: ChangeConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_connection(region_name=None)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
        assert "Imports can be listed in us-west-2" in result_of(AdsHook())

    @pytest.mark.parametrize(
        ("home_region", "problem"),
        [
            (
                "eu-west-1",
                "The account's Migration Hub home region is eu-west-1, not us-west-2. Set region_name to eu-west-1, in "
                "the Dag or in aws_conn_id.",
            ),
            (
                None,
                "The account has no Migration Hub home region. Choose one on the Settings page of the Migration Hub "
                "console, and set region_name to it, in the Dag or in aws_conn_id.",
            ),
        ],
    )
    def test_reports_another_home_region_or_none(
        self, aws_default: AdsEmulator, home_region: str | None, problem: str
    ) -> None:
        aws_default.home_region = home_region
        assert problems_of(AdsHook())[0] == f"home region: {problem}"

    def test_reports_every_failed_check_with_the_denied_action(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("AccessDeniedException", operation="GetHomeRegion")
        aws_default.inject("AuthorizationErrorException", operation="DescribeImportTasks")
        home_region, permissions, checked = problems_of(AdsHook())
        assert home_region.startswith("home region: Allow mgh:GetHomeRegion in the IAM policy")
        assert permissions.startswith("permissions: Allow discovery:DescribeImportTasks in the IAM policy")
        assert checked.startswith("Checked as")

    @pytest.mark.parametrize(
        ("extra", "first", "reason"),
        [
            ({"profile_name": "nope"}, "credentials: ", "Correct profile_name in aws_conn_id"),
            ({"config_kwargs": {"x": 1}}, "credentials: ", "argument 'x'. Correct the connection 'aws_default'"),
            ({"endpoint_url": "localhost"}, "home region: ", "localhost. Correct the connection 'aws_default'"),
        ],
    )
    def test_reports_an_invalid_connection_instead_of_raising(
        self, change_connection: ChangeConnection, extra: dict[str, Any], first: str, reason: str
    ) -> None:
        change_connection(**extra)
        problem, *_ = problems_of(AdsHook())
        assert problem.startswith(first)
        assert reason in problem

    @pytest.mark.parametrize("connection", [None, "{"], ids=["missing", "malformed"])
    def test_names_a_connection_that_airflow_cannot_read(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, connection: str | None
    ) -> None:
        if connection is not None:
            monkeypatch.setenv("AIRFLOW_CONN_MY_AWS", connection)
        first, *_ = problems_of(AdsHook("my_aws", region_name="us-west-2"))
        assert first.startswith("credentials: Create the connection 'my_aws'")
        monkeypatch.setenv("AWS_ENDPOINT_URL", ads.endpoint_url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "machine")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "machine")
        remark = "Airflow found no readable connection 'my_aws' and used the machine's own credentials."
        assert remark in result_of(AdsHook("my_aws", region_name="us-west-2"))
        assert "no readable connection" not in result_of(AdsHook(None, region_name="us-west-2"))


class TestStartImportTask:
    def test_starts_one_import_for_a_token(self, aws_default: AdsEmulator, inventory: str) -> None:
        first, again = (AdsHook().start_import_task("cmdb", inventory, "my token") for _ in range(2))
        assert (first.name, first.import_url, first.status) == ("cmdb", inventory, "IMPORT_IN_PROGRESS")
        assert (first.client_request_token, again.import_task_id) == ("my token", first.import_task_id)
        assert AdsHook().start_import_task("cmdb", inventory).import_task_id != first.import_task_id
        assert len(aws_default.import_tasks()) == 2

    @pytest.mark.parametrize("can_list", [True, False])
    def test_names_the_import_of_a_token_that_is_in_use_if_it_can_be_listed(
        self, aws_default: AdsEmulator, inventory: str, can_list: bool
    ) -> None:
        other = AdsHook().start_import_task("theirs", inventory, "my-token")
        if not can_list:
            aws_default.inject("AccessDeniedException", operation="DescribeImportTasks", status=400)
        with pytest.raises(AdsCallError, match="Use a new client_request_token") as error:
            AdsHook().start_import_task("mine", inventory, "my-token")
        assert error.value.code == "ResourceInUseException"
        assert "my-token" not in str(error.value)
        assert ("The token belongs to this import; to get it again, use its name and" in str(error.value)) is can_list
        assert (f"{inventory} ('theirs', {other.import_task_id})" in str(error.value)) is can_list
        assert error.value.import_task_id == (other.import_task_id if can_list else None)


class TestGetAndFindImportTasks:
    def test_get_describes_100_tasks_per_call_and_keeps_order_and_repetitions(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task() for _ in range(201)][::-1]
        ids.append(ids[0])
        assert [task.import_task_id for task in AdsHook().get_import_tasks(ids)] == ids
        assert aws_default.calls()["DescribeImportTasks"] == 3

    def test_find_polls_once_and_omits_a_task_that_is_not_listed(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task() for _ in range(101)]
        assert list(AdsHook().find_import_tasks([*ids, UNKNOWN_ID, ids[0]])) == ids
        assert aws_default.calls()["DescribeImportTasks"] == 2

    def test_get_polls_for_a_missing_task_before_it_raises(self, aws_default: AdsEmulator) -> None:
        with pytest.raises(ImportTaskNotFound, match=f"Import task not found in us-west-2: {UNKNOWN_ID}") as error:
            AdsHook().get_import_tasks([aws_default.add_import_task(), UNKNOWN_ID])
        assert error.value.import_task_id == UNKNOWN_ID
        assert aws_default.calls()["DescribeImportTasks"] == MISSING_TASK_POLLS

    def test_get_finds_a_task_that_is_listed_late(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hook = AdsHook()
        hook.get_import_task(aws_default.add_import_task())
        monkeypatch.setattr(hooks, "MISSING_TASK_INTERVAL", 0.5)
        Timer(0.2, lambda: aws_default.add_import_task(importTaskId=UNKNOWN_ID)).start()
        assert hook.get_import_task(UNKNOWN_ID).import_task_id == UNKNOWN_ID


class TestListImportTasks:
    def test_lists_every_page(self, aws_default: AdsEmulator) -> None:
        ids = {aws_default.add_import_task() for _ in range(250)}
        assert {task.import_task_id for task in AdsHook().list_import_tasks()} == ids
        assert aws_default.calls()["DescribeImportTasks"] == 3

    def test_lists_by_exact_name_or_by_prefix(self, aws_default: AdsEmulator) -> None:
        for name in ("cmdb", "cmdb-1", "cmdb-2", "other"):
            aws_default.add_import_task(name=name)
        hook = AdsHook()
        assert [task.name for task in hook.list_import_tasks(name="cmdb")] == ["cmdb"]
        assert [task.name for task in hook.list_import_tasks(name_prefix="cmdb-")] == ["cmdb-1", "cmdb-2"]

    def test_lists_by_100_names_per_call(self, aws_default: AdsEmulator) -> None:
        names = [f"cmdb-{number}" for number in range(150)]
        for name in ("cmdb", *names[::-1]):
            aws_default.add_import_task(name=name)
        assert sorted(str(task.name) for task in AdsHook().list_import_tasks(name=[*names, names[0]])) == sorted(names)
        assert aws_default.calls()["DescribeImportTasks"] == 2
        assert list(AdsHook().list_import_tasks(name=[])) == []


class TestExports:
    def test_each_start_returns_the_id_of_another_export(self, aws_default: AdsEmulator) -> None:
        ids = [AdsHook().start_export_task(), AdsHook().start_export_task({"preferredRegion": "eu-west-1"})]
        assert [task["exportId"] for task in aws_default.export_tasks()] == ids

    def test_tasks_are_described_in_the_order_of_the_ids_a_hundred_per_call(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_export_task() for _ in range(150)]
        assert [task.export_id for task in AdsHook().get_export_tasks(reversed(ids))] == ids[::-1]
        assert aws_default.calls()["DescribeExportTasks"] == 2

    def test_a_missing_task_is_polled_again_and_then_reported(self, aws_default: AdsEmulator) -> None:
        export_id = aws_default.add_export_task()
        with pytest.raises(ExportTaskNotFound, match="Export task not found in us-west-2: unknown") as error:
            AdsHook().get_export_tasks([export_id, "unknown"])
        assert (error.value.code, error.value.export_id) == ("ExportTaskNotFound", "unknown")
        assert aws_default.calls()["DescribeExportTasks"] == MISSING_TASK_POLLS


class TestDeleteImportData:
    def test_deletes_10_imports_per_call(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(21)]
        AdsHook().delete_import_data([*ids, ids[0]])
        assert {task["status"] for task in aws_default.import_tasks()} == {"DELETE_IN_PROGRESS"}
        assert aws_default.calls()["BatchDeleteImportData"] == 3

    def test_continues_after_a_refusal_and_raises_at_the_end(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(12)]
        with pytest.raises(ImportDeletionError, match=r"Not deleted in us-west-2: .* \(NOT_FOUND") as error:
            AdsHook().delete_import_data([UNKNOWN_ID, *ids])
        assert error.value.errors == {UNKNOWN_ID: "NOT_FOUND"}
        assert {task["status"] for task in aws_default.import_tasks()} == {"DELETE_IN_PROGRESS"}

    def test_makes_no_further_call_after_the_daily_limit(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE", serverImportSuccess=20_000) for _ in range(12)]
        with pytest.raises(ImportDeletionError) as error:
            AdsHook().delete_import_data(ids)
        assert error.value.errors == dict.fromkeys(ids[1:], "OVER_LIMIT")
        assert aws_default.calls()["BatchDeleteImportData"] == 1

    def test_deletes_the_history_on_request(self, aws_default: AdsEmulator) -> None:
        aws_default.delete_seconds = 0
        AdsHook().delete_import_data(aws_default.add_import_task(status="IMPORT_COMPLETE"), delete_history=True)
        while aws_default.import_tasks():
            pass


@pytest.mark.parametrize(
    ("method", "arguments", "rule"),
    [
        ("start_import_task", (" ", "s3://bucket/key"), "1 to 255 characters"),
        ("start_import_task", ("cmdb", "s3://bucket"), "a scheme, a bucket and an object"),
        ("start_import_task", ("cmdb", "s3://bucket/key", "t" * 101), "1 to 100 characters"),
        ("list_import_tasks", (" ",), "1 to 255 characters"),
        ("list_import_tasks", (["cmdb", " "],), "1 to 255 characters"),
        ("get_import_tasks", ([UNKNOWN_ID, "x"],), "import_task_id"),
        ("find_import_tasks", ([],), "import_task_id"),
        ("delete_import_data", ("import-task-1",), "import_task_id"),
        ("start_export_task", ({"enabled": False},), "without 'enabled'"),
        ("get_export_tasks", ([],), "An export id"),
    ],
)
def test_every_method_rejects_invalid_parameters_before_any_call(
    aws_default: AdsEmulator, method: str, arguments: Any, rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        getattr(AdsHook(), method)(*arguments)
    assert not aws_default.calls()


MALFORMED_ANSWERS = ["<html>Sign in</html>", "", '{"tasks": [{"importTask', "null", "[]"]


@pytest.mark.parametrize("answer", MALFORMED_ANSWERS)
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("start_import_task", ("cmdb", "s3://bucket/key")),
        ("list_import_tasks", ()),
        ("get_import_tasks", (UNKNOWN_ID,)),
        ("find_import_tasks", (UNKNOWN_ID,)),
        ("delete_import_data", (UNKNOWN_ID,)),
        ("start_export_task", ()),
        ("get_export_tasks", ("export-1",)),
    ],
)
def test_a_malformed_answer_is_a_transient_error_of_every_method(
    aws_default: AdsEmulator, method: str, arguments: Any, answer: str
) -> None:
    aws_default.inject("malformed", message=answer)
    with pytest.raises(AdsCallError, match=f"MalformedAnswer: HTTP 200, text/html.*, {len(answer)} bytes") as error:
        getattr(AdsHook(), method)(*arguments)
    assert (error.value.code, error.value.transient) == ("MalformedAnswer", True)
    assert sum(aws_default.calls().values()) == 1


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("list_import_tasks", "{}"),
        ("list_import_tasks", '{"tasks": null}'),
        ("list_import_tasks", '{"tasks": [{"name": "cmdb"}]}'),
        ("list_import_tasks", '{"tasks": ["cmdb"]}'),
        ("list_import_tasks", '{"tasks": {"importTaskId": "import-task-1"}}'),
        ("start_import_task", "{}"),
        ("start_import_task", '{"task": {"status": "IMPORT_IN_PROGRESS"}}'),
        ("start_export_task", "{}"),
        ("start_export_task", '{"exportId": {}}'),
        ("start_export_task", '{"exportId": ""}'),
        ("start_export_task", '{"exportId": {"exportId": "export-1"}}'),
        ("get_export_task", "{}"),
        ("get_export_task", '{"exportsInfo": [{"exportStatus": "FAILED"}]}'),
        ("get_export_task", '{"exportsInfo": ["export-1"]}'),
        ("get_export_task", '{"exportsInfo": [{"importTaskId": "export-1"}]}'),
    ],
)
def test_an_answer_without_its_tasks_or_their_ids_is_malformed(
    aws_default: AdsEmulator, method: str, answer: str
) -> None:
    aws_default.inject("malformed", message=answer)
    arguments = {"start_import_task": ("cmdb", "s3://bucket/key"), "get_export_task": ("export-1",)}
    with pytest.raises(AdsCallError, match="MalformedAnswer"):
        getattr(AdsHook(), method)(*arguments.get(method, ()))


@pytest.mark.parametrize(
    ("method", "field", "value"),
    [
        ("get_import_task", "name", 5),
        ("get_import_task", "importUrl", ["s3://bucket/key"]),
        ("get_import_task", "status", {}),
        ("get_import_task", "serverImportSuccess", "5"),
        ("get_import_task", "serverImportSuccess", 5.5),
        ("get_import_task", "serverImportSuccess", True),
        ("get_import_task", "serverImportSuccess", 2**63),
        ("get_import_task", "importRequestTime", "yesterday"),
        ("get_import_task", "importRequestTime", True),
        ("get_import_task", "importRequestTime", 1e300),
        ("get_import_task", "importRequestTime", {}),
        ("get_export_task", "exportStatus", 5),
        ("get_export_task", "statusMessage", {"text": "No servers found"}),
        ("get_export_task", "isTruncated", "false"),
        ("get_export_task", "configurationsDownloadUrl", 5),
    ],
)
def test_an_answer_with_a_value_of_another_type_is_malformed(
    aws_default: AdsEmulator, method: str, field: str, value: Any
) -> None:
    id_ = "import-task-00000000000000000000000000000001"
    tasks = [{"importTaskId": id_, "exportId": id_, field: value}]
    aws_default.inject("malformed", message=json.dumps({"tasks": tasks, "exportsInfo": tasks}))
    with pytest.raises(AdsCallError, match=r"without a valid '(tasks|exportsInfo)'") as error:
        getattr(AdsHook(), method)(id_)
    assert error.value.code == "MalformedAnswer"


def test_a_value_that_is_null_counts_as_missing(aws_default: AdsEmulator) -> None:
    aws_default.inject("malformed", message='{"exportsInfo": [{"exportId": "export-1", "isTruncated": null}]}')
    assert AdsHook().get_export_task("export-1").is_truncated is None


@pytest.mark.parametrize("answer", ['{"errors": {}}', '{"errors": [null]}', '{"errors": [{"importTaskId": 5}]}'])
def test_a_malformed_answer_to_a_deletion_is_an_error(aws_default: AdsEmulator, answer: str) -> None:
    aws_default.inject("malformed", message=answer)
    with pytest.raises(AdsCallError, match="without a valid JSON object"):
        AdsHook().delete_import_data(["import-task-00000000000000000000000000000001"])


def test_the_machines_credentials_never_replace_those_of_a_connection_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMACHINE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with RecordingEmulator() as ads:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.connection_with("AKIACONNECTION"))
        hook = AdsHook()
        list(hook.list_import_tasks())
        ads.inject("ExpiredTokenException", status=400)
        monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
        for _ in range(2):
            with pytest.raises(AdsCallError, match="'aws_default'; its lookup failed: Airflow no longer finds it"):
                list(hook.list_import_tasks())
        assert [call.key for call in ads.recorded] == ["AKIACONNECTION"] * 3
