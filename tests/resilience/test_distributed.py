"""Hundreds of imports on two workers and two triggerers, while a worker, both triggerers and the broker are killed."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.resilience.distributed_imports import ACCOUNTS, imports_of
from tests.resilience.distributed_run import (
    SLOTS,
    TRIGGERERS,
    WORKERS,
    DistributedRun,
    distributed_airflow,
)
from tests.resilience.parameters import IMPORTS
from tests.resilience.results import Result, add_table

ALL_IMPORTS = [each for account in ACCOUNTS for each in imports_of(account)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DistributedRun]:
    """Return the run after it has ended."""
    # As with Ctrl-C, everything is stopped in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with distributed_airflow(tmp_path_factory.mktemp("distributed")) as (airflow, broker, accounts):
        run = DistributedRun(airflow, broker, accounts)
        run.run()
        yield run


def test_every_import_is_started_once(run: DistributedRun) -> None:
    started = Counter(task["name"] for task in run.imports())
    results = [
        Result(f"{kill.point}: {kill.name}", 1, [started[each.name] for each in kill.intentions]) for kill in run.kills
    ]
    add_table("imports started", [*results, Result("all", len(run.kills), list(started.values()))])
    assert len(ALL_IMPORTS) == IMPORTS
    assert started == Counter(each.name for each in ALL_IMPORTS)


def test_every_import_ends_with_the_status_that_its_file_implies(run: DistributedRun) -> None:
    assert {task["name"]: task["status"] for task in run.imports()} == {each.name: each.status for each in ALL_IMPORTS}


def test_every_task_reports_its_own_import(run: DistributedRun) -> None:
    imports = {task["name"]: task for task in run.imports()}
    states, summaries = (
        {tuple(row[:2]): row[2] for row in run.airflow.query(f"select dag_id, map_index, {query}")}
        for query in ("state from task_instance", "value from xcom where key = 'import_task'")
    )
    for each in ALL_IMPORTS:
        expected = {field: imports[each.name][field] for field in ("importTaskId", "name", "status", "importUrl")}
        assert summaries[each].items() >= expected.items()
        assert states[each] == ("success" if each.status == "IMPORT_COMPLETE" else "failed")


def test_every_kill_interrupts_work(run: DistributedRun) -> None:
    assert [kill.name for kill in run.kills] == [WORKERS[0], "broker", *TRIGGERERS, "broker"]
    # Every slot of the worker had started an import.
    assert len(run.kills[0].intentions) == SLOTS
    assert all(kill.intentions for kill in run.kills)


def test_the_waits_of_a_triggerer_share_calls(run: DistributedRun) -> None:
    polls = sum(len(call.import_task_ids) for call in run.quiet_calls)
    assert polls >= 2 * IMPORTS
    assert len(run.quiet_calls) < polls / 2
