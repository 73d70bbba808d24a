from __future__ import annotations

from dataclasses import replace

from airflow_provider_ads.discovery.import_table import count_imports, describe_counts, format_table
from airflow_provider_ads.discovery.import_task import ImportTask

TASKS = [
    ImportTask(import_task_id="id-1", name="part-1", status="IMPORT_COMPLETE", server_import_success=1605),
    ImportTask(
        import_task_id="id-2",
        name="part-20",
        status="IMPORT_COMPLETE_WITH_ERRORS",
        server_import_success=7,
        server_import_failure=2,
    ),
    ImportTask(import_task_id="id-3"),
]


def test_imports_are_counted_in_words() -> None:
    assert [count_imports(TASKS[:1]), count_imports(TASKS)] == ["1 import", "3 imports"]


def test_a_total_adds_up_servers_and_failed_records() -> None:
    assert describe_counts(TASKS) == "1,612 imported, 2 failed"


def test_a_table_begins_with_status_and_counts_and_ends_with_ids() -> None:
    assert format_table(TASKS).splitlines() == [
        "IMPORT_COMPLETE              1,605 imported  0 failed  part-1   id-1",
        "IMPORT_COMPLETE_WITH_ERRORS      7 imported  2 failed  part-20  id-2",
        "not listed                                                      id-3",
    ]


def test_applications_that_failed_are_apart_from_servers() -> None:
    bad = replace(TASKS[1], server_import_success=None, application_import_failure=3)
    assert describe_counts([TASKS[0], bad]) == "1,605 imported, 2 failed, 3 applications failed"
    assert format_table([TASKS[0], bad]).splitlines() == [
        "IMPORT_COMPLETE              1,605 imported  0 failed  0 applications failed  part-1   id-1",
        "IMPORT_COMPLETE_WITH_ERRORS      0 imported  2 failed  3 applications failed  part-20  id-2",
    ]


def test_names_are_on_one_line_and_long_ones_do_not_move_other_ids() -> None:
    hostile = ImportTask(import_task_id="id-4", name="a\nb\x1b[31m", status="IMPORT_COMPLETE")
    long = ImportTask(import_task_id="id-5", name=255 * "n", status="IMPORT_COMPLETE")
    first, second = format_table([hostile, long]).splitlines()
    name = r"a\nb\x1b[31m"
    assert first == f"IMPORT_COMPLETE  0 imported  0 failed  {name:<60}  id-4"
    assert second.endswith("n  id-5")


def test_labels_come_first() -> None:
    assert format_table(TASKS[:2], ["new", "adopted"]).splitlines() == [
        "new      IMPORT_COMPLETE              1,605 imported  0 failed  part-1   id-1",
        "adopted  IMPORT_COMPLETE_WITH_ERRORS      7 imported  2 failed  part-20  id-2",
    ]


def test_a_long_table_is_cut_and_an_empty_one_is_empty() -> None:
    assert format_table(TASKS * 10).splitlines()[20:] == ["and 10 more"]
    assert format_table([]) == ""
