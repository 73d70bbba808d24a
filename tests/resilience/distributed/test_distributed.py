"""Hundreds of imports on two workers and two triggerers, of which each is killed, as is the broker."""

from __future__ import annotations

from collections import Counter

from tests.resilience.distributed.imports import ACCOUNTS, IMPORTS, START, START_AND_WAIT, WAIT, imports_of
from tests.resilience.distributed.run import SLOTS, TRIGGERERS, WORKERS, Run

WANTED = [each for account in ACCOUNTS for task_id in (START_AND_WAIT, START) for each in imports_of(account, task_id)]


def test_every_import_is_started_once(run: Run) -> None:
    assert len(WANTED) == IMPORTS
    assert Counter(task["name"] for task in run.imports()) == Counter(each.name for each in WANTED)


def test_every_import_ends_as_its_file_says(run: Run) -> None:
    assert {task["name"]: task["status"] for task in run.imports()} == {each.name: each.status for each in WANTED}


def test_every_task_tells_how_its_own_import_has_ended(run: Run) -> None:
    imports = {task["name"]: task for task in run.imports()}
    states, ids = run.states(), run.values("return_value")
    # A sensor that succeeds returns what else is pushed.
    summaries = {**ids, **run.values("import_task")}
    for each in WANTED:
        waiting = WAIT if each.task_id == START else each.task_id
        expected = {field: imports[each.name][field] for field in ("importTaskId", "name", "status", "importUrl")}
        assert summaries[each.account, waiting, each.map_index].items() >= expected.items()
        succeeded = each.status == "IMPORT_COMPLETE"
        assert states[each.account, waiting, each.map_index] == ("success" if succeeded else "failed")
        if succeeded or waiting == WAIT:
            assert states[each.account, each.task_id, each.map_index] == "success"
            assert ids[each.account, each.task_id, each.map_index] == expected["importTaskId"]


def test_a_killed_worker_leaves_imports_that_later_tries_adopt(run: Run) -> None:
    (kill,) = [kill for kill in run.kills if kill.victim in WORKERS]
    assert kill.took == SLOTS
    assert run.adopted() >= SLOTS
    assert set(run.calls("StartImportTask")) == set(WORKERS)


def test_a_killed_triggerer_leaves_waits_that_the_other_takes_over(run: Run) -> None:
    kills = {kill.victim: kill for kill in run.kills if kill.victim in TRIGGERERS}
    assert set(kills) == set(TRIGGERERS)
    for name, kill in kills.items():
        assert kill.took > 0
        assert run.shares[f"before {name} killed"][name] == kill.took
        assert set(run.shares[f"after {name} killed"]) == set(TRIGGERERS) - {name}


def test_both_triggerers_have_a_share_of_the_waits(run: Run) -> None:
    assert set(run.shares["before triggerer-1 killed"]) == set(TRIGGERERS)


def test_a_killed_broker_loses_messages_and_no_import(run: Run) -> None:
    assert [kill.took > 0 for kill in run.kills if kill.victim == "broker"] == [True, True]


def test_the_waits_of_a_triggerer_share_calls(run: Run) -> None:
    calls = run.calls("DescribeImportTasks")
    assert 0 < sum(calls[name] for name in TRIGGERERS) < run.looks / 2
