"""
Whatever is killed, and whenever: one intention, one import.

Few kills in ``make test``, at least 200 with ``make chaos``.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.resilience.chaos.kills import KILLS, Chaos, in_turn
from tests.resilience.chaos.points import AFTER, BEFORE, BETWEEN

MODES = ("not_waiting", "sync", "deferrable")


def test_one_intention_starts_one_import(chaos: Chaos, capsys: pytest.CaptureFixture[str]) -> None:
    chaos.kill_halting_tasks(BEFORE, in_turn(MODES, 2 * KILLS))
    chaos.kill_halting_tasks(BETWEEN, in_turn(MODES, 2 * KILLS))
    chaos.kill_halting_tasks(AFTER, in_turn(MODES, 2 * KILLS))
    chaos.kill_triggerer("the triggerer, while waits are pending", KILLS, 3 * ["deferrable"])
    chaos.kill_scheduler("the scheduler, while tasks are at work", KILLS, MODES[:2])
    chaos.kill_everything("everything, while tasks are at work", KILLS, MODES)
    chaos.kill_at_random("at random: task, triggerer or scheduler", KILLS, MODES)
    waited = chaos.settle()
    unfinished = chaos.unfinished()

    started = Counter(task["name"] for task in chaos.ads.import_tasks())
    duplicates = lost = 0
    with capsys.disabled():
        print(f"\n{'kill point':<46}{'kills':>6}{'intentions':>12}{'imports':>9}{'duplicates':>12}{'lost':>6}")
        for point, runs in chaos.runs.items():
            counts = [started[f"{run.dag_id} {run.run_id}"] for run in runs]
            kills = chaos.killed(point).total()
            twice, never = sum(count > 1 for count in counts), counts.count(0)
            print(f"{point:<46}{kills:>6}{len(runs):>12}{sum(counts):>9}{twice:>12}{never:>6}")
            duplicates += twice
            lost += never
        print(f"{chaos.kills.total()} kills; {len(unfinished)} runs had not ended {waited:.0f} s after the last one")
    assert min(chaos.killed(point).total() for point in chaos.runs) >= KILLS
    assert (duplicates, lost, unfinished) == (0, 0, [])
    states = chaos.airflow.query("select distinct state from dag_run")
    assert states == [("success",)]
