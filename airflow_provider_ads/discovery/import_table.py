"""Tables of several import tasks, for logs and errors."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import join_first

__all__ = ["count_imports", "describe_counts", "format_table"]


def count_imports(imports: Sized) -> str:
    """Return the number of imports in words: ``1 import``, ``1,000 imports``."""
    return f"{len(imports):,} import{'' if len(imports) == 1 else 's'}"


def describe_counts(import_tasks: Sequence[ImportTask]) -> str:
    """Return the numbers of servers that were imported and of records that failed, for a total of several imports."""
    imported = sum(task.server_import_success or 0 for task in import_tasks)
    failed = sum(task.failed_records for task in import_tasks)
    return f"{imported:,} imported, {failed:,} failed"


def format_table(import_tasks: Sequence[ImportTask], labels: Sequence[str] | None = None) -> str:
    """
    Return a row for each import: status, counts, name and id.

    :param import_tasks: the imports, of which only the first 20 are shown. Without any, the table is empty.
    :param labels: a label for each import, with which its row begins; None for no labels.
    """
    rows = [
        [
            *([] if labels is None else [labels[number]]),
            task.shown_status,
            f"{task.server_import_success or 0:,} imported",
            f"{task.failed_records:,} failed",
            task.name or "",
            task.import_task_id,
        ]
        for number, task in enumerate(import_tasks)
    ]
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first_count = 1 if labels is None else 2
    lines = [
        "  ".join(
            f"{cell:>{width}}" if column in (first_count, first_count + 1) else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return join_first(lines, "\n")
