"""Imports of one inventory, one after the other, and what each of them leaves standing of its series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.support.moto import read_object

__all__ = ["BAD_PART", "BAD_ROWS", "GOOD_ROWS", "HEADER", "Correction", "Night", "correct", "import_in_parts"]

#: Which of the three parts has a row that fails, if one has.
BAD_PART = 1

HEADER = "ExternalId,HostName,RAM.TotalSizeInMB\n"
GOOD_ROWS = "1,a.example,1024\n2,b.example,2048\n3,c.example,4096\n"
BAD_ROWS = "4,d.example,much\n5,e.example,-1\n"


@dataclass(frozen=True)
class Night:
    """
    A run that imports an inventory, or corrected rows of it.

    :param run: the run.
    :param before: the ids of the imports of its series that stood before it, the oldest first.
    :param started: the ids of the imports that it started, the oldest first.
    :param statuses: what had become of every import of its series when the run had ended, by their ids.
    """

    run: Run
    before: list[str]
    started: list[str]
    statuses: dict[str, str]


@dataclass(frozen=True)
class Correction:
    """
    The example Dags, from a good night on until rows that failed are corrected where they come from.

    :param good: a night without bad rows.
    :param bad: the next one, with bad rows.
    :param failed_entries: the file that it fetched.
    :param corrected: the import of that file, once it is corrected.
    :param last: the next night, of the inventory corrected.
    """

    good: Night
    bad: Night
    failed_entries: str
    corrected: Night
    last: Night


def import_in_parts(runs: Runs, ads: AdsEmulator, series: str, nights: Sequence[tuple[str, bool]]) -> list[Night]:
    """
    Import inventories in three parts, night after night.

    :param series: how the names of the imports begin, before a hyphen.
    :param nights: for each of them, the Dag, and whether a row of one part fails.
    """

    def upload(bad: bool) -> dict[str, Any]:
        for part in range(3):
            row = ",,1024\n" if bad and part == BAD_PART else f"{part},{part}.example,1024\n"
            ads.upload(f"s3://inventory/{series}-{part}.csv", f"{HEADER}server-{part},,1024\n{row}")
        return {}

    return [_night(runs, ads, dag_id, f"{series}-", partial(upload, bad)) for dag_id, bad in nights]


def correct(runs: Runs, ads: AdsEmulator) -> Correction:
    """Run the example Dags as somebody does whose inventory gets bad rows."""

    def corrected(text: str) -> str:
        return text.replace("much", "512").replace("-1", "256")

    def nightly(text: str) -> Night:
        def upload() -> dict[str, Any]:
            ads.upload("s3://migration-inventory/servers.csv", text)
            return {}

        return _night(runs, ads, "example_ads_failed_records", "cmdb-", upload)

    def by_hand(text: str) -> Night:
        def upload() -> dict[str, Any]:
            return {"import_url": ads.upload("s3://migration-inventory/by-hand.csv", text)}

        return _night(runs, ads, "example_ads_corrected_rows", "cmdb-", upload)

    good = nightly(HEADER + GOOD_ROWS)
    bad = nightly(HEADER + GOOD_ROWS + BAD_ROWS)
    failed_entries = read_object(bad.run.xcom("fetch_failed_records")["failed_entries_url"]).decode()
    correction = by_hand(corrected(failed_entries))
    last = nightly(corrected(HEADER + GOOD_ROWS + BAD_ROWS))
    return Correction(good, bad, failed_entries, correction, last)


def _night(runs: Runs, ads: AdsEmulator, dag_id: str, prefix: str, prepare: Callable[[], dict[str, Any]]) -> Night:
    before: list[str] = []

    def series() -> dict[str, dict[str, Any]]:
        return {task["importTaskId"]: task for task in ads.import_tasks() if task["name"].startswith(prefix)}

    def conf() -> dict[str, Any]:
        # Again for a run that is repeated: what the spoilt one has started belongs to the series.
        before[:] = [id_ for id_, task in series().items() if task["status"].startswith("IMPORT_COMPLETE")]
        return prepare()

    run = runs.run(dag_id, conf, seconds=400)
    started = [id_ for id_, task in series().items() if run.run_id in task["name"]]
    return Night(run, before, started, {id_: task["status"] for id_, task in series().items()})
