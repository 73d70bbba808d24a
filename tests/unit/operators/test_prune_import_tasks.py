from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery.retention import mark_due
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, AdsError, ImportDeletionError, ImportOutcomeError
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsPruneImportTasksOperator, AdsStartImportTaskOperator
from airflow_provider_ads.version_compat import AirflowFailException
from tests.support.lagging_emulator import LaggingEmulator
from tests.support.task_runs import TRIGGER_TIMED_OUT, TaskDeferred, context_of, run_task

WAITS: dict[str, dict[str, Any]] = {"sync": {"deferrable": False}, "deferrable": {"deferrable": True}}


def operator(superseded_by: Any, **arguments: Any) -> AdsPruneImportTasksOperator:
    defaults: dict[str, Any] = {"name_prefix": "cmdb-", "poll_interval": 0.02, "retries": 2}
    return AdsPruneImportTasksOperator(task_id="prune", superseded_by=superseded_by, **{**defaults, **arguments})


def add(
    ads: AdsEmulator, requested: float, status: str = "IMPORT_COMPLETE", name: str = "cmdb-1", **fields: Any
) -> str:
    """Add an import that was requested at a time in seconds."""
    return ads.add_import_task(name=name, status=status, importRequestTime=requested, **fields)


def statuses_of(ads: AdsEmulator) -> dict[str, str]:
    """Return the status of each import by its id."""
    return {task["importTaskId"]: task["status"] for task in ads.import_tasks()}


@pytest.fixture
def ads(aws_default: AdsEmulator) -> AdsEmulator:
    aws_default.delete_seconds = 0.01
    return aws_default


class TestPrune:
    @pytest.mark.parametrize("wait", WAITS)
    def test_it_deletes_superseded_imports_the_oldest_first(
        self, ads: AdsEmulator, wait: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ads.delete_seconds = 0.3
        old = [add(ads, 2e9 + seconds) for seconds in (3, 1, 2)]
        new = [add(ads, 2e9 + seconds) for seconds in (5, 6)]
        run = run_task(operator(new, **WAITS[wait]), monkeypatch)
        assert (run.state, run.result) == ("success", [old[1], old[2], old[0]])
        assert statuses_of(ads) == dict.fromkeys(old, "DELETE_COMPLETE") | dict.fromkeys(new, "IMPORT_COMPLETE")
        assert len(run.deferrals) == WAITS[wait]["deferrable"]

    def test_running_and_newer_imports_and_those_of_other_series_stay(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for status in ("IMPORT_IN_PROGRESS", "IMPORT_PAUSED"):
            add(ads, 2e9, status)
        add(ads, 2e9, name="dmz-1")
        new = [add(ads, 2e9 + seconds) for seconds in (5, 5, 7)]
        before = statuses_of(ads)
        run = run_task(operator(new[0]), monkeypatch)
        assert (run.state, run.result, statuses_of(ads)) == ("success", [], before)

    def test_with_delete_history_the_tasks_are_no_longer_listed(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = add(ads, 2e9), add(ads, 2e9 + 1)
        assert run_task(operator(new, delete_history=True), monkeypatch).result == [old]
        assert list(statuses_of(ads)) == [new]

    def test_a_dry_run_deletes_nothing_and_logs_what_would_be_deleted(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for _ in range(3):
            add(ads, 2e9, "DELETE_COMPLETE")
        old, new = add(ads, 2e9), add(ads, 2e9 + 1)
        run = run_task(operator(new, dry_run=True), monkeypatch)
        assert (run.state, run.result) == ("success", [old])
        assert ads.calls()["BatchDeleteImportData"] == 0
        log = capsys.readouterr().out
        assert "1 import would be deleted, 0 older kept, 3 deleted before\nto delete  IMPORT_COMPLETE  " in log
        assert log.count(old) == 1


def records(requested: float, count: int, status: str = "IMPORT_COMPLETE", **fields: Any) -> dict[str, Any]:
    return {"requested": requested, "status": status, "serverImportSuccess": count, **fields}


class TestXComs:
    @pytest.mark.parametrize("wait", WAITS)
    def test_the_imports_are_pushed_before_and_after_the_wait(
        self, ads: AdsEmulator, wait: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = [add(ads, 1e9 + seconds) for seconds in range(2)], add(ads, 2e9)
        ads.delete_seconds = 0.3
        run = run_task(operator(new, **WAITS[wait]), monkeypatch)
        pushed = [value for key, value in run.pushes if key == "deletion"]
        assert all(value["dry_run"] is False for value in pushed)
        assert all([task["importTaskId"] for task in value["import_tasks"]] == old for value in pushed)
        statuses = [task["status"] for value in pushed for task in value["import_tasks"]]
        assert "DELETE_IN_PROGRESS" in statuses
        assert statuses[-2:] == ["DELETE_COMPLETE"] * 2

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_the_records_of_the_account_are_pushed_without_another_call(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, dry_run: bool
    ) -> None:
        add(ads, **records(1e9, 100))
        add(ads, **records(1e9, 20, "DELETE_IN_PROGRESS", importDeletedTime=3e9))
        add(ads, **records(1e9, 8_000, "DELETE_COMPLETE", importDeletedTime=1.1e9))
        add(ads, **records(1e9, 3, name="dmz-1"))
        new = add(ads, **records(2e9, 500))
        run = run_task(operator(new, dry_run=dry_run, wait_for_completion=False), monkeypatch)
        assert run.xcoms["record_quota"] == {"before": 623, "after": 523 if dry_run else 503}
        assert ads.calls()["DescribeImportTasks"] == 2

    def test_imports_beyond_the_daily_limit_keep_their_records(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = [add(ads, **records(1e9 + number, 10)) for number in range(2)], add(ads, 2e9)
        ads.inject("OVER_LIMIT", import_task_id=old[1])
        run = run_task(operator(new), monkeypatch)
        assert [task["importTaskId"] for task in run.xcoms["deletion"]["import_tasks"]] == old[:1]
        assert run.xcoms["record_quota"] == {"before": 20, "after": 10}

    def test_a_dry_run_pushes_the_imports_that_would_be_deleted(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = add(ads, 1e9), add(ads, 2e9)
        deletion = run_task(operator(new, dry_run=True), monkeypatch).xcoms["deletion"]
        assert deletion == {"dry_run": True, "import_tasks": [AdsHook().get_import_task(old).summary()]}

    def test_a_run_that_deletes_nothing_logs_it(self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        run = run_task(operator(add(ads, **records(2e9, 5))), monkeypatch)
        assert run.xcoms == {
            "deletion": {"dry_run": False, "import_tasks": []},
            "record_quota": {"before": 5, "after": 5},
        }

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_nothing_is_pushed_without_do_xcom_push(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, dry_run: bool
    ) -> None:
        add(ads, 1e9)
        task = operator(add(ads, 2e9), delete_history=True, dry_run=dry_run, do_xcom_push=False)
        run = run_task(task, monkeypatch)
        assert (run.state, run.pushes) == ("success", [])


class TestRetry:
    def test_a_retry_returns_the_same_result_and_deletes_nothing_twice(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The imports must be requested before the emulator deletes them, which it does now.
        old, new = [add(ads, 1.6e9 + seconds) for seconds in range(3)], add(ads, 1.7e9)
        first = run_task(operator(new), monkeypatch)
        second = run_task(operator(new), monkeypatch, try_number=2)
        assert first.result == second.result == old
        assert ads.calls()["BatchDeleteImportData"] == 1

    def test_the_result_of_an_earlier_deletion_does_not_count_immediately(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with LaggingEmulator(stale_polls=1) as ads:
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
            old, new = add(ads, 1.6e9, "DELETE_FAILED"), add(ads, 1.7e9)
            run = run_task(operator(new), monkeypatch)
        assert (run.state, run.result) == ("success", [old])
        assert ads.calls()["BatchDeleteImportData"] == 1

    def test_a_retry_waits_for_running_deletions(self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        ads.delete_seconds = 60
        old, new = add(ads, 1.6e9), add(ads, 1.7e9)
        run_task(operator(new, wait_for_completion=False), monkeypatch)
        ads.delete_seconds = 0.2
        run = run_task(operator(new), monkeypatch, try_number=2)
        assert run.result == [old]
        assert statuses_of(ads)[old] == "DELETE_COMPLETE"
        assert ads.calls()["BatchDeleteImportData"] == 1


class TestRefusal:
    def test_it_deletes_nothing_and_gives_the_reasons(self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        add(ads, 2e9)
        new = [add(ads, 2e9 + 1), add(ads, 2e9 + 2, serverImportFailure=1), add(ads, 2e9 + 3, "IMPORT_FAILED")]
        run = run_task(operator(new), monkeypatch)
        assert (run.state, type(run.error)) == ("failed", AirflowFailException)
        assert isinstance(run.error.__context__, ImportOutcomeError)  # type: ignore[union-attr]
        assert [import_task_id in str(run.error) for import_task_id in new] == [False, True, True]
        assert "allow_failed_records=True" in str(run.error)
        assert ads.calls()["BatchDeleteImportData"] == 0

    def test_a_running_new_import_follows_the_retries(self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        add(ads, 2e9)
        running = add(ads, 2e9 + 1, "IMPORT_IN_PROGRESS")
        run = run_task(operator([add(ads, 2e9 + 1), running]), monkeypatch)
        assert run.state == "up_for_retry"
        assert isinstance(run.error, AdsCallError)
        assert running in str(run.error)
        assert ads.calls()["BatchDeleteImportData"] == 0

    @pytest.mark.parametrize("arguments", [{"name_prefix": ""}, {"name_prefix": " "}, {"superseded_by": []}])
    def test_bad_input_is_refused_before_any_call(
        self, ads: AdsEmulator, arguments: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = run_task(operator(**{"superseded_by": add(ads, 2e9), **arguments}), monkeypatch)
        assert isinstance(run.error, ValueError)
        assert not ads.calls()


class TestDailyLimit:
    def test_it_succeeds_and_logs_what_is_left(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        old, new = [add(ads, 2e9 + seconds) for seconds in range(25)], add(ads, 2e9 + 100)
        ads.inject("OVER_LIMIT", import_task_id=old[11])
        run = run_task(operator(new), monkeypatch)
        assert (run.state, run.result) == ("success", [*old[:11], *old[12:20]])
        assert ads.calls()["BatchDeleteImportData"] == 2
        (line,) = (line for line in capsys.readouterr().out.splitlines() if "left for the next run" in line)
        assert all(each in line for each in [old[11], *old[20:]])

    def test_a_deletion_that_exceeds_the_limit_later_is_left_for_the_next_run_too(
        self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = [add(ads, 2e9 + seconds) for seconds in range(2)], add(ads, 2e9 + 100)

        def delete_and_end(*_: Any) -> None:
            ads.update_import_task(old[0], status="DELETE_COMPLETE")
            ads.update_import_task(old[1], status="DELETE_FAILED_LIMIT_EXCEEDED")

        monkeypatch.setattr(AdsHook, "delete_import_data", delete_and_end)
        run = run_task(operator(new), monkeypatch)
        assert (run.state, run.result) == ("success", [old[0]])
        statuses = [task["status"] for task in run.xcoms["deletion"]["import_tasks"]]
        assert statuses == ["DELETE_COMPLETE", "DELETE_FAILED_LIMIT_EXCEEDED"]

    def test_any_other_refusal_is_an_error(self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        old, new = [add(ads, 2e9 + seconds) for seconds in range(2)], add(ads, 2e9 + 100)
        ads.inject("OVER_LIMIT", import_task_id=old[0])
        ads.inject("INTERNAL_SERVER_ERROR", import_task_id=old[1])
        run = run_task(operator(new), monkeypatch)
        assert run.state == "up_for_retry"
        assert isinstance(run.error, ImportDeletionError)


STATUSES = [
    "IMPORT_COMPLETE",
    "IMPORT_COMPLETE_WITH_ERRORS",
    "IMPORT_FAILED",
    "IMPORT_IN_PROGRESS",
    "INTERNAL_ERROR",
    "DELETE_FAILED",
    "DELETE_COMPLETE",
    "IMPORT_PAUSED",
]
HISTORIES = st.lists(
    st.tuples(st.sampled_from(["cmdb-", "dmz-"]), st.sampled_from(STATUSES), st.integers(0, 9), st.integers(0, 1)),
    min_size=1,
    max_size=14,
)
GOOD = {"IMPORT_COMPLETE", "IMPORT_COMPLETE_WITH_ERRORS"}


class TestRandomHistories:
    """Random histories of imports, compared with a model."""

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls) -> Iterator[tuple[AdsEmulator, AdsHook]]:
        """An account for all examples, with one hook, because creating a client takes longer than using it."""
        with pytest.MonkeyPatch.context() as patch, AdsEmulator(import_seconds=3600, delete_seconds=0) as ads:
            patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
            yield ads, AdsHook(config={"retries": {"total_max_attempts": 1}})

    @settings(max_examples=2 * settings().max_examples, deadline=None)
    @given(history=HISTORIES, chosen=st.sets(st.integers(0, 13), min_size=1, max_size=4), allowed=st.booleans())
    def test_only_superseded_imports_are_deleted(
        self,
        account: tuple[AdsEmulator, AdsHook],
        history: list[tuple[str, str, int, int]],
        chosen: set[int],
        allowed: bool,
    ) -> None:
        ads, hook = account
        # The examples share an account that fills up, so each has its own series.
        series = uuid4().hex
        ids = [
            add(ads, 2e9 + requested, status, f"{prefix}{series}-part", serverImportFailure=failures)
            for prefix, status, requested, failures in history
        ]
        chosen = {index % len(history) for index in chosen}
        task = operator([ids[index] for index in chosen], name_prefix=f"cmdb-{series}", allow_failed_records=allowed)
        task.__dict__["hook"] = hook
        before = statuses_of(ads)
        try:
            task.execute(context_of(task))
        except (AirflowFailException, AdsError):
            refused = True
        else:
            refused = False
        deleted = {import_task_id for import_task_id, _ in before.items() - statuses_of(ads).items()}
        new = [history[index] for index in chosen]
        good = all(
            prefix == "cmdb-" and status in GOOD and (allowed or (not failures and "ERRORS" not in status))
            for prefix, status, _, failures in new
        )
        assert refused is not good
        since = min(requested for _, _, requested, _ in new)
        keep = {"IMPORT_IN_PROGRESS", "IMPORT_PAUSED", "DELETE_COMPLETE"}
        replaced = {
            import_task_id
            for import_task_id, (prefix, status, requested, _) in zip(ids, history, strict=True)
            if prefix == "cmdb-" and requested < since and status not in keep
        }
        assert deleted == (replaced if good else set())


def test_a_prune_in_a_later_run_deletes_nothing_newer_than_the_imports(
    ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_due(day: int, requested: float) -> str:
        return add(ads, requested, clientRequestToken=mark_due("0" * 64, FIRST_DUE + day * DAY))

    monday, tuesday, again = add_due(0, 1e9), add_due(1, 1.1e9), add_due(0, 1.2e9)
    task = operator(again, wait_for_completion=False)
    context = {**context_of(task), "dag_run": DagRun.triggered(2, 2).dag_run}
    assert task.execute(context) == [monday]
    assert statuses_of(ads)[tuesday] == "IMPORT_COMPLETE"


@pytest.mark.parametrize("delete_history", [False, True])
def test_a_deletion_that_ended_while_no_triggerer_ran_counts(ads: AdsEmulator, delete_history: bool) -> None:
    ads.delete_seconds = 0.5
    old, new = add(ads, 1e9), add(ads, 1.1e9)
    task = operator(new, deferrable=True, delete_history=delete_history)
    with pytest.raises(TaskDeferred):
        task.execute(context_of(task))
    while statuses_of(ads).get(old, "DELETE_COMPLETE") != "DELETE_COMPLETE":
        pass
    # An id is only known from the list.
    result = [] if delete_history else [old]
    assert task.resume_execution("__fail__", TRIGGER_TIMED_OUT, context_of(task)) == result


DAY = timedelta(days=1)
FIRST_DUE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class DagRun:
    """A Dag run that imports an inventory and then deletes what the import replaces."""

    due: datetime
    dag_run: SimpleNamespace
    run_id: str = field(default_factory=lambda: uuid4().hex)
    clears: int = 0
    imports: list[str] = field(default_factory=list)

    @classmethod
    def scheduled(cls, day: int) -> DagRun:
        """Return the run that a schedule or a backfill creates for a day."""
        due = FIRST_DUE + day * DAY
        dates = {"run_after": due, "logical_date": due - DAY, "data_interval_end": due}
        return cls(due, SimpleNamespace(run_type="scheduled", start_date=datetime.now(UTC), **dates))

    @classmethod
    def triggered(cls, day: int, logical_day: int) -> DagRun:
        """Return a run that a user triggers on a day, for the same or another day."""
        run_after, logical_date = FIRST_DUE + day * DAY, FIRST_DUE + logical_day * DAY
        dates = {"run_after": run_after, "logical_date": logical_date}
        due = min(run_after, logical_date)
        return cls(due, SimpleNamespace(run_type="manual", start_date=datetime.now(UTC), **dates))


DAYS = st.integers(0, 6)
EVENTS = st.one_of(
    st.tuples(st.just("scheduled"), DAYS),
    st.tuples(st.just("triggered"), DAYS, DAYS),
    st.tuples(st.sampled_from(["clear", "clear prune", "still running"]), st.integers(0, 20)),
)


class TestRandomDagRuns:
    """No matter what is cleared, backfilled or triggered, no newer data is deleted and no older data is left over."""

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls) -> Iterator[AdsEmulator]:
        with pytest.MonkeyPatch.context() as patch, AdsEmulator(import_seconds=3600, delete_seconds=0) as ads:
            patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
            yield ads

    @pytest.fixture(scope="class")
    @classmethod
    def hook(cls, account: AdsEmulator) -> AdsHook:
        return AdsHook()

    @settings(max_examples=settings().max_examples // 5, deadline=None)
    @given(events=st.lists(EVENTS, min_size=1, max_size=8))
    def test_a_run_deletes_only_what_is_older_than_its_own_data(
        self, account: AdsEmulator, hook: AdsHook, events: list[Any]
    ) -> None:
        runs: list[DagRun] = []
        due_of: dict[str, datetime] = {}
        running: set[str] = set()

        def execute(task: Any, run: DagRun) -> Any:
            task.__dict__["hook"] = hook
            context = context_of(task, run_id=run.run_id, max_tries=task.retries + run.clears)
            return task.execute({**context, "dag_run": run.dag_run})

        def start(run: DagRun, is_running: bool = False) -> None:
            task = AdsStartImportTaskOperator(task_id="start", name="cmdb-1", import_url="s3://bucket/key")
            import_task_id = execute(task, run)
            assert import_task_id not in due_of
            due_of[import_task_id] = run.due
            run.imports.append(import_task_id)
            if is_running:
                running.add(import_task_id)
            else:
                account.update_import_task(import_task_id, status="IMPORT_COMPLETE", serverImportSuccess=1)

        def prune(run: DagRun) -> None:
            # A run whose import was replaced deletes nothing, and logs the reason.
            if run.imports[-1] not in running and "DELETE" not in statuses_of(account)[run.imports[-1]]:
                deleted = execute(operator(run.imports[-1], wait_for_completion=False), run)
                assert [each for each in deleted if due_of[each] > run.due] == []

        for kind, *numbers in events:
            match kind:
                case "scheduled":
                    runs.append(DagRun.scheduled(*numbers))
                case "triggered":
                    runs.append(DagRun.triggered(*numbers))
                case _ if not runs:
                    continue
            run = runs[numbers[0] % len(runs)] if kind in {"clear", "clear prune", "still running"} else runs[-1]
            if kind != "clear prune":
                run.clears += 1
                start(run, is_running=kind == "still running")
            prune(run)
        newest = DagRun.scheduled(7)
        start(newest)
        prune(newest)
        listed = {task["importTaskId"] for task in account.import_tasks() if "DELETE" not in task["status"]}
        assert listed == {*newest.imports, *running}
        account._tasks._tasks.clear()
