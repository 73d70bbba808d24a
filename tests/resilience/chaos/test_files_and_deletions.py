"""
Whatever is killed, and whenever: files and deletions are the same, and nothing is deleted twice or wrongly.

Few kills in ``make test``, at least 300 with ``make chaos``.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.resilience.chaos.kills import KILLS, Chaos, Started, in_turn
from tests.resilience.chaos.points import AFTER, BEFORE, BETWEEN, WAITING
from tests.support.moto import objects_under

UNDISTURBED = "nothing"
FILES = ("fetch", "prepare")
DELETIONS = ("delete_sync", "prune_deferrable", "delete_deferrable", "prune_sync")
TURNED = DELETIONS[2:] + DELETIONS[:2]

FAILED_ROWS = 'ExternalId,RAM.TotalSizeInMB\r\n2,"very\r\nmuch"\r\n'

#: Prepared in these files: the quarantine and three parts.
EXPORT = "HostName,RAM.TotalSizeInMB\r\n" + "".join(f"web{number:05},{number}\r\n" for number in range(3_500))
EXPORT_FILES = {"quarantine.csv", "part-0001.csv", "part-0002.csv", "part-0003.csv"}


def test_results_and_deletions_are_those_of_undisturbed_runs(chaos: Chaos, capsys: pytest.CaptureFixture[str]) -> None:
    import_task_id = import_file(chaos.ads, FAILED_ROWS + "1,1024\r\n")
    chaos.ads.upload("s3://inventory/export.csv", EXPORT + "web,much\r\n")
    numbers = count()

    def prepare(dag_id: str, point: str) -> dict[str, Any]:
        if dag_id == "fetch":
            return {"import_task_id": import_task_id}
        if dag_id == "prepare":
            return {"upload": 1 + next(numbers) % len(EXPORT_FILES)}
        # 10 go with a call, and the answer to a second call would be held back too.
        return add_series(chaos.ads, f"series-{next(numbers)}", 10 if point == BETWEEN else 12)

    chaos.prepare = prepare
    chaos.start_runs(UNDISTURBED, [*FILES, *DELETIONS])
    chaos.kill_halting_tasks(BEFORE, [*KILLS * FILES, *in_turn(DELETIONS, 2 * KILLS)])
    chaos.kill_halting_tasks(AFTER, [*KILLS * FILES, *in_turn(TURNED, 2 * KILLS)])
    chaos.kill_halting_tasks(WAITING, in_turn(DELETIONS, 2 * KILLS))
    chaos.kill_halting_tasks(BETWEEN, in_turn(TURNED, 2 * KILLS))
    chaos.kill_triggerer("the triggerer, while waits are pending", KILLS, ["delete_deferrable", "prune_deferrable"])
    chaos.kill_at_random("at random: task, triggerer or scheduler", 2 * KILLS, [*FILES, *DELETIONS])
    waited = chaos.settle()

    assert chaos.unfinished() == []
    assert chaos.airflow.query("select distinct state from dag_run") == [("success",)]
    tallies = {point: tally(chaos, point) for point in chaos.runs}
    total = sum(tallies.values(), Counter[str]())
    to_delete = {each for runs in chaos.runs.values() for run in runs for each in run.conf.get("old", ())}
    imports = {task["importTaskId"]: task["status"] for task in chaos.ads.import_tasks()}
    wrongly = {each for each, status in imports.items() if status.startswith("DELETE")} - to_delete
    asked_again = [each for each, status in chaos.ads.asked if str(status).startswith("DELETE")]
    with capsys.disabled():
        print(f"\n{'what is killed':<46}{''.join(f'{column:>{len(column) + 3}}' for column in tallies[UNDISTURBED])}")
        for point, row in tallies.items():
            print(f"{point:<46}{''.join(f'{number:>{len(column) + 3}}' for column, number in row.items())}")
        print(f"{total['kills']} kills; the last run ended {waited:.0f} s after the last one; ", end="")
        print(f"of {len(imports)} imports, {len(wrongly)} were wrongly deleted")
    assert min(row["kills"] for point, row in tallies.items() if point != UNDISTURBED) >= KILLS
    assert total["asked for"] == total["deleted"] == total["to delete"] == len(to_delete)
    assert (total["asked twice"], total["other results"], wrongly, asked_again) == (0, 0, set(), [])
    fetched, prepared = (result_of(chaos, run)[1] for run in chaos.runs[UNDISTURBED][:2])
    assert fetched[f"{import_task_id}/failed-entries.csv"] == FAILED_ROWS.encode()
    assert prepared.keys() == EXPORT_FILES


def tally(chaos: Chaos, point: str) -> Counter[str]:
    """What was killed at a point, and what came of its runs."""
    runs = chaos.runs[point]
    kills = chaos.killed(point)
    old = [each for run in runs for each in run.conf.get("old", ())]
    asked = Counter(each for each, _ in chaos.ads.asked)
    deleted = {task["importTaskId"] for task in chaos.ads.import_tasks() if task["status"] == "DELETE_COMPLETE"}
    undisturbed = {run.dag_id: result_of(chaos, run) for run in chaos.runs[UNDISTURBED] if run.dag_id in FILES}
    return Counter(
        {
            "kills": kills.total(),
            **{name: sum(kills[each] for each in kills if of(each) == name) for name in (*FILES, "delete", "prune")},
            "runs": len(runs),
            "to delete": len(old),
            "deleted": len(deleted.intersection(old)),
            "asked for": sum(asked[each] for each in old),
            "asked twice": sum(asked[each] > 1 for each in old),
            "other results": sum(
                result_of(chaos, run) != (undisturbed.get(run.dag_id) or ([run.conf["old"]], {})) for run in runs
            ),
        }
    )


def result_of(chaos: Chaos, run: Started) -> tuple[Any, dict[str, bytes]]:
    """What a task returned, as if all runs had the same id, and the objects that it wrote."""
    xcoms = [chaos.airflow.xcom(run.dag_id, run.run_id, of(run.dag_id))]
    if run.dag_id == "prepare":
        xcoms.append(chaos.airflow.xcom(run.dag_id, run.run_id, "prepare", "report"))
    returned = json.dumps(xcoms).replace(run.run_id, "run")
    return json.loads(returned), objects_under(f"s3://inventory/files/{run.run_id}/")


def of(dag_id: str) -> str:
    """The task of a Dag, which is called as what it does."""
    return dag_id.partition("_")[0]


def add_series(ads: AdsEmulator, series: str, size: int) -> dict[str, Any]:
    """Add old imports of a series, the new ones that replace them, and such as have to stay."""
    now = datetime.now(UTC)

    def add(name: str, hours: float, status: str = "IMPORT_COMPLETE") -> str:
        return ads.add_import_task(
            name=name, status=status, importRequestTime=now - timedelta(hours=hours), serverImportSuccess=1
        )

    add(f"{series}-running", 3, "IMPORT_IN_PROGRESS")
    add(f"{series}b-of-another-series", 3)
    return {
        "series": series,
        "old": [add(f"{series}-old", 2 - number / 100) for number in range(size)],
        "new": [add(f"{series}-new", 1), add(f"{series}-new", 0.5)],
    }


def import_file(ads: AdsEmulator, text: str) -> str:
    """Import a file; return the id of the import once it has ended."""
    client: Any = boto3.client(
        "discovery",
        region_name="us-west-2",
        endpoint_url=ads.endpoint_url,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
    )
    url = ads.upload("s3://inventory/failing.csv", text)
    import_task_id = str(client.start_import_task(name="failing", importUrl=url)["task"]["importTaskId"])
    filters = [{"name": "IMPORT_TASK_ID", "values": [import_task_id]}]
    while client.describe_import_tasks(filters=filters)["tasks"][0]["status"] == "IMPORT_IN_PROGRESS":
        time.sleep(0.1)
    return import_task_id
