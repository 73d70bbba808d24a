from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.idempotency import StartRequest, due_time_of_run
from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.version_compat import AirflowFailException
from tests.support.task_runs import Run, TaskDeferred, at_the_second_poll, context_of, run_task

STARTED = datetime(2026, 11, 1, 2, 3, 4, 567890, tzinfo=UTC)
URL = "s3://inventory/inventory.csv"
LOST = ["IMPORT_FAILED", "INTERNAL_ERROR", "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED", "DELETE_IN_PROGRESS"]
#: Turns off botocore's own retries, which would send the same token again.
ONE_ATTEMPT = {"retries": {"total_max_attempts": 1}}
MODES: dict[str, dict[str, Any]] = {
    "not waiting": {},
    "sync": {"wait_for_completion": True, "deferrable": False},
    "deferrable": {"wait_for_completion": True, "deferrable": True},
}


def operator(**arguments: Any) -> AdsStartImportTaskOperator:
    defaults: dict[str, Any] = {"name": "cmdb", "import_url": URL, "poll_interval": 0.02, "retries": 2}
    return AdsStartImportTaskOperator(**{"task_id": "start", "botocore_config": ONE_ATTEMPT, **defaults, **arguments})


def start_request(
    run_started: datetime = STARTED, name: str = "cmdb", import_url: str = URL, **ti: Any
) -> StartRequest:
    """Return the request of a task instance with these fields."""
    request = StartRequest.from_context(context_of(operator(), run_started=run_started, **ti), name, import_url)
    assert request is not None
    return request


class TestToken:
    def test_never_changes_between_releases_because_aws_stores_it(self) -> None:
        request = StartRequest("cmdb", "s3://bucket/key", ("dag", "run", 1762000000.5, "start", -1, 2), try_number=1)
        assert [request.token(generation) for generation in (0, 1)] == [
            "48eb019fbfcb727eb02062843f9baf1d25bf757db2847864628172b96e050026",
            "c14d1a87f7d6ca1b2d08a5054fa395cc2518e56f63fd027c7f4936e8d2079c8e",
        ]

    def test_is_the_same_for_every_attempt_and_in_every_time_zone(self) -> None:
        elsewhere = STARTED.astimezone(datetime.strptime("+0530", "%z").tzinfo)
        requests = [start_request(), start_request(try_number=3), start_request(elsewhere)]
        assert len({request.token(0) for request in requests}) == 1

    @pytest.mark.parametrize(
        "fields",
        [
            {"dag_id": "another"},
            {"run_id": "another"},
            {"run_started": STARTED + timedelta(microseconds=1)},
            {"task_id": "another"},
            {"map_index": 1},
            {"name": "another"},
            {"import_url": "s3://bucket/another"},
            {"max_tries": 3},
        ],
        ids=lambda fields: next(iter(fields)),
    )
    def test_differs_between_task_instances_names_and_files(self, fields: dict[str, Any]) -> None:
        assert start_request(**fields).token(0) != start_request().token(0)

    @pytest.mark.parametrize("run_started", [None, STARTED], ids=["unknown", "the logical date"])
    def test_does_not_exist_without_the_start_of_the_dag_run(self, run_started: datetime | None) -> None:
        context = context_of(operator())
        context["dag_run"].start_date, context["dag_run"].logical_date = run_started, STARTED
        assert StartRequest.from_context(context, "cmdb", URL) is None


def test_the_latest_import_is_that_of_the_highest_generation() -> None:
    request = start_request(try_number=3)  # whose generations are 0 to 2
    tokens = [request.token(2), request.token(0), request.token(3), "the token of another task"]
    tasks = [ImportTask(import_task_id=f"import-task-{token}", client_request_token=token) for token in tokens]
    assert request.latest(tasks) == (2, tasks[0])
    assert request.latest(tasks[2:]) is None


def test_an_import_that_version_0_1_0_started_is_recognized() -> None:
    request = replace(start_request(try_number=2), due=STARTED)
    task = ImportTask(import_task_id="import-task-1", client_request_token=replace(request, due=None).token(1))
    assert request.token(1) != task.client_request_token
    assert request.latest([task]) == (1, task)


RUN_AFTER, LOGICAL_DATE, INTERVAL_END = (STARTED + timedelta(days=day) for day in (-1, -3, -2))


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        ({"run_type": "scheduled", "run_after": RUN_AFTER, "logical_date": LOGICAL_DATE}, RUN_AFTER),
        ({"run_type": "backfill", "run_after": RUN_AFTER, "logical_date": LOGICAL_DATE}, RUN_AFTER),
        ({"run_type": "scheduled", "data_interval_end": INTERVAL_END, "logical_date": LOGICAL_DATE}, INTERVAL_END),
        ({"run_type": "manual", "run_after": RUN_AFTER, "logical_date": LOGICAL_DATE}, LOGICAL_DATE),
        ({"run_type": "manual", "run_after": LOGICAL_DATE, "logical_date": RUN_AFTER}, LOGICAL_DATE),
        ({"run_type": "asset_triggered", "run_after": RUN_AFTER, "logical_date": None}, RUN_AFTER),
        ({"run_type": "manual", "logical_date": LOGICAL_DATE}, LOGICAL_DATE),
        ({"logical_date": None}, None),
    ],
    ids=["scheduled", "backfill", "Airflow 2", "past date", "future date", "asset", "Airflow 2, manual", "no date"],
)
def test_a_run_is_due_when_its_schedule_or_its_trigger_says(fields: dict[str, Any], due: datetime | None) -> None:
    assert due_time_of_run(SimpleNamespace(**fields)) == due


@pytest.fixture(params=list(MODES.values()), ids=list(MODES))
def attempt(
    aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Any:
    """Run one attempt of a task instance, in each mode."""

    def attempt(try_number: int, run_started: datetime = STARTED, max_tries: int = 2, **arguments: Any) -> Run:
        return run_task(
            operator(**request.param, **arguments),
            monkeypatch,
            run_started=run_started,
            try_number=try_number,
            max_tries=max_tries,
        )

    return attempt


def wait_until_ended(ads: AdsEmulator) -> None:
    deadline = time.monotonic() + 30
    while any(task["status"] == "IMPORT_IN_PROGRESS" for task in ads.import_tasks()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestRetry:
    def test_adopts_the_running_import(
        self, ads: AdsEmulator, attempt: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ads.import_seconds = 3600
        ads.inject("lose", operation="StartImportTask", calls=1)
        assert isinstance(attempt(1).error, AdsCallError)
        with at_the_second_poll(ads, lambda: setattr(ads, "import_seconds", 0.01)):
            run = attempt(2)
        (task,) = ads.import_tasks()
        assert (run.state, run.result) == ("success", task["importTaskId"])
        assert ads.calls()["StartImportTask"] == 1
        printed = capsys.readouterr().out
        assert "IMPORT_IN_PROGRESS. Adopted: an earlier attempt of this task started it 0:00:0" in printed
        assert "To import again, clear the task" in printed

    def test_returns_the_import_that_has_succeeded_even_if_retries_was_edited_and_aws_forgot_the_token(
        self, ads: AdsEmulator, attempt: Any
    ) -> None:
        ads.token_seconds = 0
        first = attempt(1)
        wait_until_ended(ads)
        second = attempt(2, retries=5)
        assert (first.state, second.state, second.result) == ("success", "success", first.result)
        assert ads.calls()["StartImportTask"] == len(ads.import_tasks()) == 1

    def test_warns_about_an_import_with_the_same_name_and_file(
        self, ads: AdsEmulator, attempt: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = ads.add_import_task(name="cmdb", importUrl=URL)
        assert attempt(2).result != other
        warning = (
            "IMPORT_IN_PROGRESS. It has the same name and file, but it was started by another task, or by this one"
        )
        assert f"{other} ('cmdb'): {warning} before it was cleared" in capsys.readouterr().out

    def test_starts_another_import_if_the_service_returns_a_lost_one_that_it_does_not_list(
        self, ads: AdsEmulator, attempt: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = start_request().token(0)
        ads.add_import_task(name="cmdb", importUrl=URL, clientRequestToken=token, status="IMPORT_FAILED")
        monkeypatch.setattr(AdsHook, "list_import_tasks", lambda self, name: iter(()))
        assert attempt(2).state == "success"
        assert len(ads.import_tasks()) == 2

    def test_adopts_the_import_if_retries_was_lowered_by_the_attempts_before_a_clear(
        self, ads: AdsEmulator, attempt: Any
    ) -> None:
        # A clear sets max_tries to the number of attempts plus retries.
        first, cleared = attempt(1, retries=2, max_tries=2), attempt(2, retries=1, max_tries=1 + 1)
        assert first.result == cleared.result
        assert attempt(3, retries=1, max_tries=2 + 1).result != first.result

    def test_starts_another_import_after_a_clear_in_another_run_and_for_another_file(
        self, ads: AdsEmulator, attempt: Any
    ) -> None:
        another_url = ads.upload("s3://inventory/another.csv", "ExternalId\n1\n")
        first, cleared, retried = attempt(1), attempt(2, max_tries=3), attempt(3, max_tries=3)
        assert first.result != cleared.result == retried.result
        attempt(1, run_started=STARTED + timedelta(days=1))
        attempt(4, import_url=another_url)
        assert [task["importUrl"] for task in ads.import_tasks()] == [URL, URL, URL, another_url]


def test_warns_if_the_first_attempt_is_given_a_failed_import(
    aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # "airflow tasks test" runs the first attempt of an existing run again.
    token = start_request().token(0)
    failed = aws_default.add_import_task(name="cmdb", importUrl=URL, clientRequestToken=token, status="IMPORT_FAILED")
    run = run_task(operator(), monkeypatch, run_started=STARTED)
    assert (run.state, run.result) == ("success", failed)
    warning = "IMPORT_FAILED. AWS returned this import, which this task started before, and started no other"
    assert f"{failed} ('cmdb'): {warning}" in capsys.readouterr().out


def test_a_retry_warns_and_starts_another_import_without_the_start_of_the_dag_run(
    aws_default: AdsEmulator, inventory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for try_number in (1, 2):
        task = operator()
        context = context_of(task, try_number=try_number)
        context["dag_run"].start_date = None
        task.execute(context)
    assert len(aws_default.import_tasks()) == 2
    assert "A retry of this task starts another import" in capsys.readouterr().out


class TestOwnToken:
    def test_of_an_import_that_has_ended_is_logged(
        self, aws_default: AdsEmulator, inventory: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        AdsHook().start_import_task("cmdb", inventory, "my-token")
        wait_until_ended(aws_default)
        task = operator(client_request_token="my-token")
        task.execute(context_of(task))
        assert "belongs to an import that has ended. To import again, change the token" in capsys.readouterr().out

    def test_of_a_failed_import_fails_the_task_without_a_retry(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A retry would send the same token and get the same import.
        task = operator(client_request_token="my-token", import_url="s3://inventory/missing.csv", **MODES["sync"])
        run = run_task(task, monkeypatch)
        assert (run.state, type(run.error)) == ("failed", AirflowFailException)
        assert "IMPORT_FAILED" in str(run.error)
        assert "to import again, change the token" in str(run.error)


def test_a_killed_task_logs_only_an_import_that_keeps_running(
    aws_default: AdsEmulator, inventory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting, task = operator(**MODES["sync"]), operator()
    task.on_kill()
    waiting.execute(context_of(waiting))
    waiting.on_kill()
    assert "keeps running" not in capsys.readouterr().out
    import_task_id = task.execute(context_of(task))
    aws_default.clear_calls()
    task.on_kill()
    printed = capsys.readouterr().out
    assert f"Import {import_task_id} ('cmdb'): IMPORT_IN_PROGRESS. It keeps running at AWS" in printed
    assert "a retry adopts it" in printed
    assert not aws_default.calls()


STEPS = st.one_of(
    st.sampled_from(["crash", "crash after start", "answer lost", "succeed", "clear", "import succeeds", "forget"]),
    st.sampled_from([f"import becomes {status}" for status in LOST]),
)


class TestRandomHistories:
    """A task instance starts exactly as many imports as the rules allow, no matter what happens to it."""

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls) -> Iterator[AdsEmulator]:
        with pytest.MonkeyPatch.context() as patch, AdsEmulator(import_seconds=3600) as ads:
            patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
            yield ads

    @pytest.fixture(scope="class")
    @classmethod
    def hook(cls, account: AdsEmulator) -> AdsHook:
        """One hook for all examples, because creating its client takes longer than using it."""
        return AdsHook(config=ONE_ATTEMPT)

    @settings(max_examples=3 * settings().max_examples, deadline=None)
    @given(steps=st.lists(STEPS, max_size=12), deferrable=st.booleans())
    def test_start_only_the_imports_that_the_rules_allow(
        self, account: AdsEmulator, hook: AdsHook, steps: list[str], deferrable: bool
    ) -> None:
        name = uuid4().hex
        run_started = datetime.now(UTC)
        retries = 20
        try_number, max_tries = 1, retries
        account.token_seconds = None
        allowed = 0
        current = "none"  # the import of this start request: none, good or lost

        def imports() -> list[dict[str, Any]]:
            return [task for task in account.import_tasks() if task["name"] == name]

        def execute() -> str | None:
            """Run the operator until it returns or defers, and return the import task id."""
            task = operator(name=name, retries=retries, wait_for_completion=deferrable, deferrable=deferrable)
            task.__dict__["hook"] = hook
            context = context_of(task, run_started=run_started, try_number=try_number, max_tries=max_tries)
            try:
                return task.execute(context)
            except TaskDeferred as deferred:
                return str(deferred.trigger.import_task_ids[0])

        for step in [*steps, "succeed"]:
            if step in {"crash after start", "answer lost", "succeed"} and current != "good":
                allowed += 1
                current = "good"
            match step:
                case "crash after start":
                    execute()
                case "answer lost":
                    account.inject("lose", operation="StartImportTask", calls=1)
                    with suppress(AdsCallError):
                        execute()
                    account.clear_faults()
                case "succeed":
                    assert execute() == imports()[-1]["importTaskId"]
                case "clear":
                    max_tries, current = try_number + retries, "none"
                case "forget":
                    account.token_seconds = 0
                case "import succeeds" if current == "good":
                    account.update_import_task(imports()[-1]["importTaskId"], status="IMPORT_COMPLETE")
                case _ if step.startswith("import becomes") and current == "good":
                    account.update_import_task(imports()[-1]["importTaskId"], status=step.split()[-1])
                    current = "lost"
            try_number += 1
        assert len(imports()) == allowed
        # Listing thousands of imports of earlier examples would slow down each example.
        account._tasks._tasks.clear()
