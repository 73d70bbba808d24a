"""A night's imports replace those of the nights before, if all parts of them are a good copy."""

from __future__ import annotations

from concurrent.futures import Future

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.nights import BAD_PART, Night

Nights = dict[str, Future[list[Night]]]


def test_a_night_replaces_all_parts_of_the_night_before(nights: Nights) -> None:
    first, second = nights["sync"].result()
    assert (first.run.state, second.run.state) == ("success", "success")
    assert (len(first.started), len(second.started)) == (3, 3)
    assert set(first.started) <= set(second.before)
    assert standing(second) == dict.fromkeys(second.started, "IMPORT_COMPLETE")
    assert deleted(second) >= set(first.started)
    assert second.run.xcom("prune") == second.before
    assert "deferred" not in second.run.events("prune")


def test_a_part_with_a_row_that_failed_keeps_the_night_before(nights: Nights) -> None:
    first, second, _ = nights["deferrable"].result()
    bad = second.run.xcom("start", map_index=BAD_PART)
    assert first.run.state == "success"
    assert set(first.started) <= set(second.before)
    assert standing(second) == {
        **dict.fromkeys([*second.before, *second.started], "IMPORT_COMPLETE"),
        bad: "IMPORT_COMPLETE_WITH_ERRORS",
    }
    prune = second.run.task("prune")
    assert (second.run.task("wait").state, prune.state, prune.try_number) == ("success", "failed", 1)
    log = second.run.log("prune")
    assert "Nothing was deleted" in log
    assert f"Import {bad}" in log
    assert "allow_failed_records=True" in log
    assert not any(id_ in log for id_ in second.started if id_ != bad)


def test_unless_failed_records_are_allowed(nights: Nights) -> None:
    first, second, third = nights["deferrable"].result()
    assert third.run.state == "success"
    assert standing(third) == {
        **dict.fromkeys(third.started, "IMPORT_COMPLETE"),
        third.run.xcom("start", map_index=BAD_PART): "IMPORT_COMPLETE_WITH_ERRORS",
    }
    assert deleted(third) >= {*first.started, *second.started}
    assert third.run.xcom("prune") == third.before
    assert third.run.events("prune") == ["running", "deferred", "running", "success"]


def test_imports_of_another_series_stay(nights: Nights, aws: dict[str, AdsEmulator]) -> None:
    for series in nights.values():
        series.result()
    statuses = {task["name"]: task["status"] for task in aws["aws_nightly"].import_tasks()}
    assert statuses["of another series"] == "IMPORT_COMPLETE"


def standing(night: Night) -> dict[str, str]:
    """The imports of the series whose data were there after a night, and their statuses."""
    return {id_: status for id_, status in night.statuses.items() if not status.startswith("DELETE")}


def deleted(night: Night) -> set[str]:
    """The imports of the series whose data were gone after a night."""
    return {id_ for id_, status in night.statuses.items() if status == "DELETE_COMPLETE"}
