from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, ImportOutcomeError
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.idempotency import StartRequest, due_time_of_run
from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.version_compat import AirflowFailException, AirflowSkipException
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

    def test_differs_between_the_iterations_of_a_loop(self) -> None:
        # As Airflow 3.4 describes them. A mapped task of a loop has another region in each iteration.
        def token(region: int, index: int) -> str:
            ti: dict[str, Any] = {"region_id": UUID(int=region), "region_index": index}
            context = context_of(operator(), run_started=STARTED, **ti) | {"loop": SimpleNamespace()}
            request = StartRequest.from_context(context, "cmdb", URL)
            assert request is not None
            return request.token(0)

        assert token(1, 0) == token(1, 0)
        assert len({token(1, 0), token(1, 1), token(2, 0)}) == 3

    def test_does_not_depend_on_the_region_of_a_mapped_task_outside_a_loop(self) -> None:
        # A task that Airflow 3.3 mapped has none, and Airflow can be upgraded before its retry.
        region: dict[str, Any] = {"region_id": UUID(int=1), "region_index": 1}
        assert start_request(map_index=1, **region).token(0) == start_request(map_index=1).token(0)

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
def test_a_run_is_due_at_the_time_of_its_schedule_or_trigger(fields: dict[str, Any], due: datetime | None) -> None:
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
        assert "IMPORT_IN_PROGRESS: adopted in us-west-2. s3://" in printed
        assert "To import again, clear the task: an earlier attempt of it started this import 0:00:0" in printed

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
        warning = "Another task started this import with the same name and file, or this task did before it was cleared"
        assert f"('cmdb', {other}).\n{warning}" in capsys.readouterr().out

    def test_starts_another_import_if_the_service_returns_a_failed_or_deleted_one_that_it_does_not_list(
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
    log = capsys.readouterr().out
    line = f"IMPORT_FAILED: not started in us-west-2. {URL} ('cmdb', {failed})."
    assert f"{line}\nTo import again, clear the task" in log


def test_warns_if_the_first_attempt_of_a_list_is_given_a_failed_import(
    aws_default: AdsEmulator, files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    aws_default.import_seconds = 3600
    run_task(operator(import_url=files[:3]), monkeypatch, run_started=STARTED)
    failed = aws_default.import_tasks()[1]["importTaskId"]
    aws_default.update_import_task(failed, status="IMPORT_FAILED")
    run = run_task(operator(import_url=files[:3]), monkeypatch, run_started=STARTED)
    assert (run.state, run.result[1]) == ("success", failed)
    warning, row = capsys.readouterr().out.partition("1 not started: AWS returned these imports")[2].splitlines()[:2]
    assert warning.endswith("To import again, clear the task")
    assert row.startswith(f"IMPORT_FAILED  0 imported  0 failed  cmdb-part-0002  {failed}")


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


@pytest.fixture
def files(ads: AdsEmulator) -> list[str]:
    """The URLs of 20 files; the seventh does not exist yet."""
    urls = [f"s3://inventory/part-{number:04}.csv" for number in range(1, 21)]
    for url in urls:
        if url != urls[6]:
            ads.upload(url, "ExternalId\n1\n")
    return urls


class TestRetryOfAList:
    @pytest.mark.parametrize("wait", [MODES["sync"], MODES["deferrable"]], ids=["sync", "deferrable"])
    def test_after_one_of_20_failed_starts_one_import_and_adopts_19(
        self,
        aws_default: AdsEmulator,
        files: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        wait: dict[str, Any],
    ) -> None:
        def attempt(try_number: int) -> Run:
            task = operator(import_url=files, **wait)
            return run_task(task, monkeypatch, run_started=STARTED, try_number=try_number, max_tries=2)

        first = attempt(1)
        assert (first.state, type(first.error)) == ("up_for_retry", ImportOutcomeError)
        aws_default.upload(files[6], "ExternalId\n1\n")
        aws_default.clear_calls()
        second = attempt(2)
        assert aws_default.calls()["StartImportTask"] == 1
        new = aws_default.import_tasks()[20:]
        assert [task["name"] for task in new] == ["cmdb-part-0007"]
        expected = list(first.xcoms["return_value"])
        expected[6] = new[0]["importTaskId"]
        assert (second.state, second.result) == ("success", expected)
        log = capsys.readouterr().out
        assert "1 of 20 imports started, 19 adopted, which an earlier attempt of this task started. To import" in log
        counts = "0 imported  0 failed"
        assert f"started again  IMPORT_IN_PROGRESS  {counts}  cmdb-part-0007  {expected[6]}" in log
        assert re.search(r"\nadopted        IMPORT_COMPLETE     +1 imported  0 failed  cmdb-part-0008", log)

    def test_starts_what_is_missing_after_a_refused_call_and_logs_what_was_started(
        self, ads: AdsEmulator, files: list[str], attempt: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with stopped_after(2, lambda: ads.inject("AuthorizationErrorException", operation="StartImportTask")):
            run = attempt(1, import_url=files[:4])
        assert (run.state, list(run.xcoms)) == ("up_for_retry", ["import_task"])
        assert [summary["name"] for summary in run.xcoms["import_task"]] == ["cmdb-part-0001", "cmdb-part-0002"]
        assert "'cmdb-part-0003' from s3://inventory/part-0003.csv" in str(run.error)
        assert [task.name for task in run.task.import_tasks] == ["cmdb-part-0001", "cmdb-part-0002"]
        log = capsys.readouterr().out
        assert "2 of 4 imports started. 2 not started; a retry starts them and adopts the others\nstarted  " in log
        ads.clear_faults()
        attempt(2, import_url=files[:4])
        assert [task["importUrl"] for task in ads.import_tasks()] == files[:4]

    def test_logs_what_was_started_before_what_was_adopted(
        self, ads: AdsEmulator, files: list[str], attempt: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = [ads.upload(f"s3://inventory/{number:02}.csv", "ExternalId\n1\n") for number in range(30)]
        attempt(1, import_url=files[:29])
        capsys.readouterr()
        attempt(2, import_url=files)
        assert "\nstarted  IMPORT_IN_PROGRESS  0 imported  0 failed  cmdb-29  import-task-" in capsys.readouterr().out

    def test_names_the_imports_of_files_that_are_no_longer_in_the_list(
        self, ads: AdsEmulator, files: list[str], attempt: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ads.add_import_task(name="cmdb-part-0009", importUrl=files[8], clientRequestToken="that of another task")
        attempt(1, import_url=files[:4])
        ads.update_import_task(ads.import_tasks()[1]["importTaskId"], status="IMPORT_FAILED")
        removed = [task["importTaskId"] for task in ads.import_tasks() if task["importUrl"] in files[2:4]]
        capsys.readouterr()
        attempt(2, import_url=files[1:2])
        warning = "2 imports of files that import_url no longer contains, which an earlier attempt of this task started"
        table = capsys.readouterr().out.partition(warning)[2].splitlines()[1:3]
        assert all(import_task_id in row for row, import_task_id in zip(table, removed, strict=True))

    def test_names_the_imports_of_all_files_if_the_list_is_empty_now(
        self, ads: AdsEmulator, files: list[str], attempt: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        attempt(1, import_url=files[:2])
        capsys.readouterr()
        assert attempt(2, import_url=[]).state == "skipped"
        table = capsys.readouterr().out.partition("2 imports of files that import_url no longer contains")[2]
        assert all(task["importTaskId"] in table for task in ads.import_tasks())

    def test_starts_the_imports_even_if_it_cannot_check_for_removed_files(
        self,
        ads: AdsEmulator,
        files: list[str],
        attempt: Any,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with stopped_after(4, lambda: ads.inject("ThrottlingException", operation="DescribeImportTasks", calls=1)):
            run = attempt(2, import_url=files[:4])
        assert (run.state, len(run.result)) == ("success", 4)
        assert (
            "Could not check whether earlier attempts imported files that are no longer in import_url"
            in capsys.readouterr().out
        )

    def test_warns_about_running_imports_with_the_same_names_and_files(
        self, ads: AdsEmulator, files: list[str], attempt: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = ads.add_import_task(name="cmdb-part-0002", importUrl=files[1])
        attempt(2, import_url=files[:3])
        warning = (
            "Running: 1 import with the same name and file as new ones. Another task started them, or this task did"
        )
        assert f"{warning} before it was cleared\n" in (log := capsys.readouterr().out)
        assert f"cmdb-part-0002  {other}" in log

    def test_warns_once_without_the_start_of_the_dag_run(
        self, aws_default: AdsEmulator, files: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = operator(import_url=files[:3])
        context = context_of(task)
        context["dag_run"].start_date = None
        task.execute(context)
        assert len(aws_default.import_tasks()) == 3
        assert capsys.readouterr().out.count("A retry of this task starts another import") == 1

    def test_promises_no_adoption_without_the_start_of_the_dag_run(
        self, aws_default: AdsEmulator, files: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws_default.inject("AuthorizationErrorException", operation="StartImportTask")
        task = operator(import_url=files[:3])
        context = context_of(task)
        context["dag_run"].start_date = None
        with pytest.raises(AdsCallError):
            task.execute(context)
        log = capsys.readouterr().out
        assert "0 of 3 imports started. 3 not started; a retry starts every import again" in log


def test_a_killed_task_names_every_import_that_it_has_started(
    aws_default: AdsEmulator, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    task = operator(import_url=files)
    with stopped_after(2, kill), pytest.raises(Killed):
        task.execute(context_of(task))
    capsys.readouterr()
    task.on_kill()
    printed = capsys.readouterr().out
    assert "The task was killed, but AWS cannot cancel 2 imports; a retry adopts what keeps running\n" in printed
    assert all(task["importTaskId"] in printed for task in aws_default.import_tasks())


class Killed(BaseException):
    """Ends a task immediately, as if it was killed."""


def kill() -> None:
    raise Killed


@contextmanager
def stopped_after(starts: int, stop: Callable[[], object]) -> Iterator[None]:
    """Call a function when the hook has made this many calls of StartImportTask, just before its next call."""
    call_once = AdsHook._call_once
    made = 0

    def counted(self: AdsHook, operation: str, about: str, call: Any) -> Any:
        nonlocal made
        if made == starts:
            made += 1
            stop()
        made += operation == "StartImportTask"
        return call_once(self, operation, about, call)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AdsHook, "_call_once", counted)
        yield


class TestOwnToken:
    def test_of_an_import_that_has_ended_is_logged(
        self, aws_default: AdsEmulator, inventory: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        AdsHook().start_import_task("cmdb", inventory, "my-token")
        wait_until_ended(aws_default)
        task = operator(client_request_token="my-token")
        task.execute(context_of(task))
        assert (
            "To import again, change the client_request_token, which belongs to an import that has ended"
            in capsys.readouterr().out
        )

    def test_of_a_failed_import_fails_the_task_without_a_retry(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A retry would send the same token and get the same import.
        task = operator(client_request_token="my-token", import_url="s3://inventory/missing.csv", **MODES["sync"])
        run = run_task(task, monkeypatch)
        assert (run.state, type(run.error)) == ("failed", AirflowFailException)
        assert "IMPORT_FAILED" in str(run.error)
        assert str(run.error).startswith("Change the client_request_token to import again")


def test_a_killed_task_logs_only_an_import_that_keeps_running(
    aws_default: AdsEmulator, inventory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting, task = operator(**MODES["sync"]), operator()
    task.on_kill()
    waiting.execute(context_of(waiting))
    waiting.on_kill()
    assert "keeps running" not in capsys.readouterr().out
    import_task_id = str(task.execute(context_of(task)))
    aws_default.clear_calls()
    task.on_kill()
    printed = capsys.readouterr().out
    assert "AWS cannot cancel 1 import; a retry adopts what keeps running\nIMPORT_IN_PROGRESS  " in printed
    assert import_task_id in printed
    assert not aws_default.calls()


STEPS = st.one_of(
    st.sampled_from(["crash", "crash after start", "answer lost", "succeed", "clear", "import succeeds", "forget"]),
    st.sampled_from([f"import becomes {status}" for status in LOST]),
)


@pytest.fixture(scope="module")
def account() -> Iterator[AdsEmulator]:
    """An emulator whose imports do not end."""
    with pytest.MonkeyPatch.context() as patch, AdsEmulator(import_seconds=3600) as ads:
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
        yield ads


@pytest.fixture(scope="module")
def hook(account: AdsEmulator) -> AdsHook:
    """One hook for all examples, because creating its client takes longer than using it."""
    hook = AdsHook(config=ONE_ATTEMPT)
    hook.conn  # noqa: B018
    return hook


class TestRandomHistories:
    """A task instance starts exactly as many imports as the rules allow, no matter what happens to it."""

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
        current = "none"  # the import of this start request: none, good, or bad (failed or deleted)

        def imports() -> list[dict[str, Any]]:
            return [task for task in account.import_tasks() if task["name"] == name]

        def execute() -> str | None:
            """Run the operator until it returns or defers, and return the import task id."""
            task = operator(name=name, retries=retries, wait_for_completion=deferrable, deferrable=deferrable)
            task.__dict__["hook"] = hook
            context = context_of(task, run_started=run_started, try_number=try_number, max_tries=max_tries)
            try:
                return str(task.execute(context))
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
                    current = "bad"
            try_number += 1
        assert len(imports()) == allowed
        # Listing thousands of imports of earlier examples would slow down each example.
        account._tasks._tasks.clear()


ALL_FILES = [f"s3://inventory/part-{number}.csv" for number in range(5)]

FILE = st.integers(0, 4)
STEPS_OF_A_LIST = st.one_of(
    st.tuples(st.sampled_from(["crash before a call", "crash after a call"]), FILE),
    st.tuples(st.sampled_from(["retry", "clear"]), st.none()),
    st.tuples(st.sampled_from(["one fails", "one is deleted", "one succeeds"]), FILE),
    st.tuples(st.just("reorder"), st.permutations(ALL_FILES)),
    st.tuples(st.sampled_from(["add a file", "remove a file"]), FILE),
)


class Model:
    """
    The rules for the imports of a list of files.

    An attempt goes through the list, and starts an import of each file that has none, or whose import failed or was
    deleted. All other imports are adopted, even if their file was not in the list meanwhile. A clear forgets every
    import.
    """

    def __init__(self, files: list[str]) -> None:
        self.files = files
        #: The number of imports of each file.
        self.imports = dict.fromkeys(ALL_FILES, 0)
        #: The files with an import that the next attempt adopts.
        self.imported: set[str] = set()

    def attempt(self, starts: int | None = None) -> None:
        """Attempt to import all files; an attempt that is killed starts at most this many imports."""
        for file in [file for file in self.files if file not in self.imported][:starts]:
            self.imports[file] += 1
            self.imported.add(file)


class TestRandomHistoriesOfAList:
    """A task instance imports each file of its list exactly as many times as the rules allow."""

    @settings(max_examples=3 * settings().max_examples, deadline=None)
    @given(
        files=st.lists(st.sampled_from(ALL_FILES), unique=True, max_size=5),
        steps=st.lists(STEPS_OF_A_LIST, max_size=12),
        deferrable=st.booleans(),
    )
    def test_start_only_the_imports_that_the_rules_allow(
        self, account: AdsEmulator, hook: AdsHook, files: list[str], steps: list[tuple[str, Any]], deferrable: bool
    ) -> None:
        retries = 20
        try_number, max_tries = 1, retries
        run_started = datetime.now(UTC)
        account.token_seconds = None
        account._tasks._tasks.clear()
        model = Model(files)

        def lose_an_answer() -> None:
            account.inject("lose", operation="StartImportTask", calls=1)

        def newest(file: str) -> str | None:
            ids = [task["importTaskId"] for task in account.import_tasks() if task["importUrl"] == file]
            return str(ids[-1]) if ids else None

        def execute() -> Any:
            """Run the operator until it returns, skips or defers, and return the import task ids."""
            task = operator(
                import_url=model.files, retries=retries, wait_for_completion=deferrable, deferrable=deferrable
            )
            task.__dict__["hook"] = hook
            try:
                return task.execute(
                    context_of(task, run_started=run_started, try_number=try_number, max_tries=max_tries)
                )
            except TaskDeferred as deferred:
                return deferred.trigger.import_task_ids
            except AirflowSkipException:
                return []

        for step, choice in [*steps, ("retry", None)]:
            match step:
                case "crash before a call":
                    model.attempt(choice)
                    with stopped_after(choice, kill), suppress(Killed):
                        execute()
                case "crash after a call":
                    model.attempt(choice + 1)
                    with stopped_after(choice, lose_an_answer), suppress(AdsCallError):
                        execute()
                    account.clear_faults()
                case "retry":
                    model.attempt()
                    ids = execute()
                    assert ids == [newest(file) for file in model.files]
                case "clear":
                    max_tries = try_number + retries
                    model.imported.clear()
                case "reorder":
                    model.files = sorted(model.files, key=choice.index)
                case "add a file" if ALL_FILES[choice] not in model.files:
                    model.files = [*model.files, ALL_FILES[choice]]
                case "remove a file":
                    model.files = [file for file in model.files if file != ALL_FILES[choice]]
                case "one fails" | "one is deleted" if ALL_FILES[choice] in model.imported:
                    status = "IMPORT_FAILED" if step == "one fails" else "DELETE_COMPLETE"
                    account.update_import_task(str(newest(ALL_FILES[choice])), status=status)
                    model.imported.remove(ALL_FILES[choice])
                case "one succeeds" if ALL_FILES[choice] in model.imported:
                    account.update_import_task(str(newest(ALL_FILES[choice])), status="IMPORT_COMPLETE")
            try_number += 1
        assert Counter(task["importUrl"] for task in account.import_tasks()) == Counter(model.imports)
