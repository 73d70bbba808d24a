from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.limits import CLIENT_REQUEST_TOKEN_MAX_CHARACTERS
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, ImportWaitTimeout
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.idempotency import Intention
from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.version_compat import AirflowFailException
from tests.support.task_runs import Run, TaskDeferred, at_the_second_look, context_of, run_task

STARTED = datetime(2026, 11, 1, 2, 3, 4, 567890, tzinfo=UTC)
LOST = ["IMPORT_FAILED", "INTERNAL_ERROR", "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED", "DELETE_IN_PROGRESS"]
MODES: dict[str, dict[str, Any]] = {
    "not waiting": {},
    "sync": {"wait_for_completion": True, "deferrable": False},
    "deferrable": {"wait_for_completion": True, "deferrable": True},
}


def operator(**arguments: Any) -> AdsStartImportTaskOperator:
    return AdsStartImportTaskOperator(
        **{
            "task_id": "start",
            "name": "cmdb",
            "import_url": "s3://inventory/inventory.csv",
            "poll_interval": 0.02,
            "retries": 2,
            # botocore's own retries would send the same token again.
            "botocore_config": {"retries": {"total_max_attempts": 1}},
            **arguments,
        }
    )


def intention(run_started: datetime | None = STARTED, **fields: Any) -> Intention:
    """The intention of a task instance that differs from others in these fields."""
    name, import_url = fields.pop("name", "cmdb"), fields.pop("import_url", "s3://bucket/key")
    context = context_of(operator(), run_started=STARTED, **fields)
    context["dag_run"].start_date = run_started
    found = Intention.of(context, name, import_url)
    assert found is not None
    return found


class TestToken:
    def test_is_the_same_in_every_try(self) -> None:
        assert intention(try_number=1).token(0) == intention(try_number=3).token(0)

    def test_is_the_same_in_every_time_zone(self) -> None:
        elsewhere = STARTED.astimezone(datetime.strptime("+0530", "%z").tzinfo)
        assert intention(elsewhere).token(0) == intention(STARTED).token(0)

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
    def test_is_another_for_another_intention(self, fields: dict[str, Any]) -> None:
        assert intention(**fields).token(0) != intention().token(0)

    def test_is_another_for_every_generation(self) -> None:
        tokens = {intention().token(generation) for generation in range(100)}
        assert len(tokens) == 100
        assert all(len(token) <= CLIENT_REQUEST_TOKEN_MAX_CHARACTERS for token in tokens)

    def test_does_not_say_what_it_is_made_of(self) -> None:
        assert "cmdb" not in intention().token(0)

    @pytest.mark.parametrize("run_started", [None, STARTED], ids=["unknown", "the date of airflow dags test"])
    def test_there_is_none_without_the_start_of_the_dag_run(self, run_started: datetime | None) -> None:
        context = context_of(operator())
        context["dag_run"].start_date = run_started
        context["dag_run"].logical_date = STARTED
        assert Intention.of(context, "cmdb", "s3://bucket/key") is None


class TestLatest:
    def test_is_the_highest_generation_whatever_the_order(self) -> None:
        mine = intention(try_number=3)
        tasks = [
            ImportTask(import_task_id=f"import-task-{token[:32]}", client_request_token=token)
            for token in (mine.token(1), mine.token(0), "of somebody else")
        ]
        assert mine.latest(tasks) == (1, tasks[0])

    def test_is_none_when_all_are_of_others(self) -> None:
        others = [ImportTask(import_task_id="import-task-" + "0" * 32, client_request_token="of somebody else")]
        assert intention().latest(others) is None


@pytest.fixture
def try_it(
    aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Any:
    """Run one try of a task instance, in the mode of the test."""
    started = datetime.now(UTC)

    def try_it(try_number: int, run_started: datetime = started, max_tries: int = 2, **arguments: Any) -> Run:
        return run_task(
            operator(**{**request.getfixturevalue("mode"), **arguments}),
            monkeypatch,
            run_started=run_started,
            try_number=try_number,
            max_tries=max_tries,
        )

    return try_it


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
class TestRetry:
    def test_adopts_an_import_that_goes_on(
        self, aws_default: AdsEmulator, try_it: Any, mode: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws_default.import_seconds = 3600
        aws_default.inject("lose", operation="StartImportTask", calls=1)
        assert isinstance(try_it(1).error, AdsCallError)
        with at_the_second_look(aws_default, lambda: setattr(aws_default, "import_seconds", 0.01)):
            run = try_it(2)
        (task,) = aws_default.import_tasks()
        assert (run.state, run.result) == ("success", task["importTaskId"])
        assert aws_default.calls()["StartImportTask"] == 1
        printed = capsys.readouterr().out
        assert "IMPORT_IN_PROGRESS. Adopted: an earlier try of this task started it 0:00:0" in printed
        assert "To import again, clear the task" in printed

    def test_adopts_although_retries_were_edited(self, aws_default: AdsEmulator, try_it: Any, mode: Any) -> None:
        assert try_it(1).result == try_it(2, retries=5).result
        assert len(aws_default.import_tasks()) == 1

    def test_says_that_an_import_like_its_own_goes_on(
        self, aws_default: AdsEmulator, try_it: Any, mode: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = aws_default.add_import_task(name="cmdb", importUrl="s3://inventory/inventory.csv")
        assert try_it(2).result != other
        printed = capsys.readouterr().out
        assert (
            f"{other} ('cmdb'): IMPORT_IN_PROGRESS. It has the same name and file, but this task did not start it"
            in printed
        )

    def test_without_the_start_of_the_dag_run_says_that_it_starts_another_one(
        self, aws_default: AdsEmulator, inventory: str, mode: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for try_number in (1, 2):
            task = operator()
            context = context_of(task, try_number=try_number)
            context["dag_run"].start_date = None
            task.execute(context)
        assert len(aws_default.import_tasks()) == 2
        assert "a retry starts another import" in capsys.readouterr().out

    def test_returns_the_import_that_has_succeeded(self, aws_default: AdsEmulator, try_it: Any, mode: Any) -> None:
        first = try_it(1)
        until_ended(aws_default)
        again = try_it(2)
        assert (first.state, again.state) == ("success", "success")
        assert first.result == again.result
        assert len(aws_default.import_tasks()) == 1

    @pytest.mark.parametrize("status", LOST)
    def test_starts_another_import_after_one_that_is_lost(
        self, aws_default: AdsEmulator, try_it: Any, mode: Any, status: str
    ) -> None:
        for try_number in (1, 2, 3):
            aws_default.inject("lose", operation="StartImportTask", calls=1)
            try_it(try_number)
            task = aws_default.import_tasks()[-1]
            aws_default.update_import_task(task["importTaskId"], status=status)
            assert len(aws_default.import_tasks()) == try_number
        assert try_it(4).state == "success"
        assert len(aws_default.import_tasks()) == 4

    def test_follows_a_lost_import_that_is_not_listed(
        self, aws_default: AdsEmulator, try_it: Any, mode: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost = intention_of_try(try_it).token(0)
        aws_default.add_import_task(
            name="cmdb", importUrl="s3://inventory/inventory.csv", clientRequestToken=lost, status="IMPORT_FAILED"
        )
        monkeypatch.setattr(AdsHook, "list_import_tasks", lambda self, name: iter(()))
        assert try_it(2).state == "success"
        assert len(aws_default.import_tasks()) == 2

    def test_after_a_clear_starts_another_import(self, aws_default: AdsEmulator, try_it: Any, mode: Any) -> None:
        results = [try_it(1).result, try_it(2, max_tries=3).result, try_it(3, max_tries=3).result]
        assert results[0] != results[1] == results[2]
        assert len(aws_default.import_tasks()) == 2

    def test_of_a_run_that_was_deleted_and_made_again_starts_another_import(
        self, aws_default: AdsEmulator, try_it: Any, mode: Any
    ) -> None:
        assert try_it(1).result != try_it(1, run_started=datetime.now(UTC)).result

    def test_adopts_an_import_whose_token_the_service_has_forgotten(
        self, aws_default: AdsEmulator, try_it: Any, mode: Any
    ) -> None:
        aws_default.token_seconds = 0
        first = try_it(1)
        assert try_it(2).result == first.result
        assert aws_default.calls()["StartImportTask"] == 1

    def test_never_adopts_the_import_of_another_url(self, aws_default: AdsEmulator, try_it: Any, mode: Any) -> None:
        urls = [aws_default.upload(f"s3://inventory/{n}.csv", f"ExternalId\n{n}\n") for n in range(2)]
        assert try_it(1, import_url=urls[0]).result != try_it(2, import_url=urls[1]).result
        assert [task["importUrl"] for task in aws_default.import_tasks()] == urls


def intention_of_try(try_it: Any) -> Intention:
    """The intention of the task instance that the fixture runs."""
    (run_started, _) = try_it.__defaults__
    return intention(run_started, import_url="s3://inventory/inventory.csv")


def until_ended(ads: AdsEmulator) -> None:
    deadline = time.monotonic() + 30
    while any(task["status"] == "IMPORT_IN_PROGRESS" for task in ads.import_tasks()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestOwnToken:
    def test_that_is_used_for_another_import_names_it(self, aws_default: AdsEmulator, inventory: str) -> None:
        held = AdsHook().start_import_task("theirs", inventory, "my-token")
        with pytest.raises(AdsCallError) as caught:
            AdsHook().start_import_task("mine", inventory, "my-token")
        assert caught.value.code == "ResourceInUseException"
        assert f"It stands for {held.import_task_id} ('theirs'): " in str(caught.value)
        assert f"from {inventory}: to get that import again, ask for its name and URL" in str(caught.value)
        assert "my-token" not in str(caught.value)

    def test_that_is_used_for_another_import_is_said_to_be_when_imports_cannot_be_listed(
        self, aws_default: AdsEmulator, inventory: str
    ) -> None:
        AdsHook().start_import_task("theirs", inventory, "my-token")
        aws_default.inject("AccessDeniedException", operation="DescribeImportTasks", status=400)
        with pytest.raises(AdsCallError) as caught:
            AdsHook().start_import_task("mine", inventory, "my-token")
        assert caught.value.code == "ResourceInUseException"

    def test_that_stands_for_an_import_that_has_ended_is_said_to(
        self, aws_default: AdsEmulator, inventory: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        AdsHook().start_import_task("cmdb", inventory, "my-token")
        until_ended(aws_default)
        task = operator(client_request_token="my-token")
        task.execute(context_of(task))
        assert "stands for an import that has ended: change it to import again" in capsys.readouterr().out

    def test_that_stands_for_a_failed_import_fails_without_a_retry(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # To ask again with the same token would bring the same import.
        run = run_task(
            operator(client_request_token="my-token", import_url="s3://inventory/missing.csv", **MODES["sync"]),
            monkeypatch,
        )
        assert (run.state, type(run.error)) == ("failed", AirflowFailException)
        assert "IMPORT_FAILED" in str(run.error)
        assert "client_request_token" in str(run.error)


class TestKill:
    def test_of_the_operator_names_the_import_that_goes_on(
        self, aws_default: AdsEmulator, inventory: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = operator()
        task.on_kill()
        assert "goes on" not in capsys.readouterr().out
        import_task_id = task.execute(context_of(task))
        aws_default.clear_calls()
        task.on_kill()
        printed = capsys.readouterr().out
        assert f"Import {import_task_id} ('cmdb'): IMPORT_IN_PROGRESS. It goes on at AWS" in printed
        assert "A retry of this task adopts it" in printed
        assert not aws_default.calls()

    def test_of_the_operator_is_silent_about_an_import_that_has_ended(
        self, aws_default: AdsEmulator, inventory: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = operator(**MODES["sync"])
        task.execute(context_of(task))
        task.on_kill()
        assert "goes on" not in capsys.readouterr().out

    def test_after_the_execution_timeout_while_deferred_names_it_too(
        self, aws_default: AdsEmulator, inventory: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws_default.import_seconds = 60
        run = run_task(
            operator(execution_timeout=timedelta(seconds=1), **MODES["deferrable"]),
            monkeypatch,
        )
        assert isinstance(run.error, ImportWaitTimeout)
        assert aws_default.import_tasks()[0]["importTaskId"] in str(run.error)
        assert "goes on at AWS" in str(run.error)
        assert run.state == "up_for_retry"


def test_mapped_imports_whose_list_changes_its_order_are_never_taken_for_each_other(aws_default: AdsEmulator) -> None:
    aws_default.import_seconds = 3600
    urls = [f"s3://inventory/{number}.csv" for number in range(50)]
    started = datetime.now(UTC)
    hook = AdsHook(config={"retries": {"total_max_attempts": 1}})

    def start(try_number: int, map_index: int, import_url: str) -> str:
        task = operator(import_url=import_url, name="one name for all")
        task.__dict__["hook"] = hook
        return task.execute(context_of(task, run_started=started, try_number=try_number, map_index=map_index))

    aws_default.inject("lose", operation="StartImportTask", share=0.5)
    for index, url in enumerate(urls):
        with suppress(AdsCallError):
            start(1, index, url)
    aws_default.clear_faults()
    order = [*reversed(urls[:25]), *urls[25:]]
    results = [start(2, index, url) for index, url in enumerate(order)]
    by_id = {task["importTaskId"]: task["importUrl"] for task in aws_default.import_tasks()}
    assert [by_id[result] for result in results] == order
    # 24 of them are at another place, where they were not started before, and 26 are adopted.
    assert len(by_id) == 50 + 24


STEPS = st.one_of(
    st.sampled_from(["crash before", "crash after", "answer lost", "succeed", "clear", "import ends well", "forget"]),
    st.sampled_from([f"import becomes {status}" for status in LOST]),
)


class TestManyLives:
    """Whatever happens to a task instance, it starts as many imports as the rules allow."""

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls) -> Iterator[AdsEmulator]:
        with pytest.MonkeyPatch.context() as patch, AdsEmulator(import_seconds=3600) as ads:
            patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
            yield ads

    @pytest.fixture(scope="class")
    @classmethod
    def hook(cls, account: AdsEmulator) -> AdsHook:
        """A hook for all, because to make a client takes longer than to use it."""
        return AdsHook(config={"retries": {"total_max_attempts": 1}})

    @settings(max_examples=10 * settings().max_examples, deadline=None)
    @given(steps=st.lists(STEPS, max_size=12), deferrable=st.booleans())
    def test_imports_started_are_those_that_the_rules_allow(
        self, account: AdsEmulator, hook: AdsHook, steps: list[str], deferrable: bool
    ) -> None:
        name = uuid4().hex
        run_started = datetime.now(UTC)
        retries = 20
        try_number, max_tries = 1, retries
        account.token_seconds = None
        allowed = 0
        current = "none"  # the import of this intention: none, good or lost

        def imports() -> list[dict[str, Any]]:
            return [task for task in account.import_tasks() if task["name"] == name]

        def go() -> str | None:
            """Run the real operator up to where it returns or defers."""
            task = operator(name=name, retries=retries, wait_for_completion=deferrable, deferrable=deferrable)
            task.__dict__["hook"] = hook
            context = context_of(task, run_started=run_started, try_number=try_number, max_tries=max_tries)
            try:
                return task.execute(context)
            except TaskDeferred as deferred:
                return str(deferred.trigger.import_task_ids[0])

        for step in [*steps, "succeed"]:
            if step in {"crash after", "answer lost", "succeed"} and current != "good":
                allowed += 1
                current = "good"
            match step:
                case "crash after":
                    go()
                case "answer lost":
                    account.inject("lose", operation="StartImportTask", calls=1)
                    try:
                        go()
                    except AdsCallError:
                        pass
                    finally:
                        account.clear_faults()
                case "succeed":
                    assert go() == imports()[-1]["importTaskId"]
                case "clear":
                    max_tries, current = try_number + retries, "none"
                case "forget":
                    account.token_seconds = 0
                case "import ends well" if current == "good":
                    account.update_import_task(imports()[-1]["importTaskId"], status="IMPORT_COMPLETE")
                case _ if step.startswith("import becomes") and current == "good":
                    account.update_import_task(imports()[-1]["importTaskId"], status=step.split()[-1])
                    current = "lost"
            try_number += 1
        assert len(imports()) == allowed
        # Else each life would take longer than the one before, which is a thousand times too long.
        account._tasks._tasks.clear()
