"""
Hundreds of deferred tasks at once on a whole Airflow with one triggerer, left alone and with the triggerer killed.

As many waits of Airflow's own file sensor show what the same Airflow prints by itself.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from tests.resilience.load.blocking import PROVIDER
from tests.resilience.load.waits import TASKS, Load

pytestmark = pytest.mark.skipif(
    not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has neither the API server nor the Dag processor of its own"
)

BOTH = pytest.mark.parametrize("name", ["left alone", "triggerer killed"])


@BOTH
def test_every_task_succeeds_with_the_summary_of_its_own_import(load: Load, name: str) -> None:
    waits = load.waits[name]
    assert Counter(task.state for task in waits.tasks()) == {"success": TASKS}
    imported = {"status": "IMPORT_COMPLETE", "serverImportSuccess": 1}
    wrong = {
        index: summary
        for index, summary in waits.results().items()
        if not summary.items() >= {**imported, **waits.imports[index]}.items()
    }
    assert wrong == {}
    assert len(waits.results()) == TASKS


@BOTH
def test_each_log_tells_of_its_own_import_and_of_no_other(load: Load, name: str) -> None:
    waits = load.waits[name]
    for index, task in enumerate(waits.imports):
        by_workers = waits.worker_log(index)
        by_triggerers = "".join([*waits.trigger_logs(index).values(), *waits.misplaced_lines(index)])
        line = "Import {importTaskId} ('{name}'): ".format(**task)
        for status in ("IMPORT_IN_PROGRESS", "IMPORT_COMPLETE"):
            assert line + status in by_workers
            assert line + status in by_triggerers
        assert set(re.findall("import-task-[0-9a-f]{32}", by_workers + by_triggerers)) == {task["importTaskId"]}


def test_another_triggerer_takes_over_from_the_one_that_was_killed(load: Load) -> None:
    alone, killed = (
        [len(load.waits[name].trigger_logs(index)) for index in range(TASKS)]
        for name in ("left alone", "triggerer killed")
    )
    assert set(alone) == {1}
    assert max(killed) == 2


@BOTH
def test_the_provider_never_blocks_the_event_loop(load: Load, name: str) -> None:
    assert [str(blocking) for blocking in load.blockings(name) if blocking.cause == PROVIDER] == []
