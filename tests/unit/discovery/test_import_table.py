from __future__ import annotations

from airflow_provider_ads.discovery.import_table import count_imports, describe_counts, format_table
from airflow_provider_ads.discovery.import_task import ImportTask

TASKS = [
    ImportTask(import_task_id="id-1", name="part-1", status="IMPORT_COMPLETE", server_import_success=1605),
    ImportTask(
        import_task_id="id-2",
        name="part-20",
        status="IMPORT_COMPLETE_WITH_ERRORS",
        server_import_success=7,
        application_import_failure=2,
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
        "not listed                       0 imported  0 failed           id-3",
    ]


def test_labels_come_first() -> None:
    assert format_table(TASKS[:2], ["new", "adopted"]).splitlines() == [
        "new      IMPORT_COMPLETE              1,605 imported  0 failed  part-1   id-1",
        "adopted  IMPORT_COMPLETE_WITH_ERRORS      7 imported  2 failed  part-20  id-2",
    ]


def test_a_long_table_is_cut_and_an_empty_one_is_empty() -> None:
    assert format_table(TASKS * 10).splitlines()[20:] == ["and 10 more"]
    assert format_table([]) == ""
