"""Tables of several import tasks, for logs and errors."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import escaped, join_first

__all__ = ["count_imports", "describe_counts", "format_table"]

#: Maximum width of the name column. A longer name pushes only its own id to the right.
_MAX_NAME_WIDTH = 60


def count_imports(imports: Sized) -> str:
    """Return the number of imports in words: ``1 import``, ``1,000 imports``."""
    return f"{len(imports):,} import{'' if len(imports) == 1 else 's'}"


def describe_counts(import_tasks: Sequence[ImportTask]) -> str:
    """Return the numbers of servers that were imported and that failed, and of applications that failed."""
    imported = sum(task.server_import_success or 0 for task in import_tasks)
    failed = sum(task.failed_servers for task in import_tasks)
    applications = sum(task.application_import_failure or 0 for task in import_tasks)
    servers = f"{imported:,} imported, {failed:,} failed"
    return f"{servers}, {applications:,} applications failed" if applications else servers


def format_table(import_tasks: Sequence[ImportTask], labels: Sequence[str] | None = None) -> str:
    """
    Return a row for each import: status, counts, name and id.

    The counts are those of servers, and of failed applications if there are any. An import that the service does not
    list has none.

    :param import_tasks: the imports, of which only the first 20 are shown. Without imports, the table is empty.
    :param labels: a label for each import, at the start of its row; None for no labels.
    """
    columns = [] if labels is None else [_align(labels, "<")]
    columns.append(_align([task.shown_status for task in import_tasks], "<"))
    columns.append(_align([_count(task, task.server_import_success, "imported") for task in import_tasks], ">"))
    columns.append(_align([_count(task, task.failed_servers, "failed") for task in import_tasks], ">"))
    if any(task.application_import_failure for task in import_tasks):
        applications = [_count(task, task.application_import_failure, "applications failed") for task in import_tasks]
        columns.append(_align(applications, ">"))
    columns.append(_align([escaped(task.name or "") for task in import_tasks], "<", _MAX_NAME_WIDTH))
    columns.append([task.import_task_id for task in import_tasks])
    return join_first(["  ".join(row) for row in zip(*columns, strict=True)], "\n")


def _count(task: ImportTask, count: int | None, label: str) -> str:
    return f"{count or 0:,} {label}" if task.is_listed else ""


def _align(cells: Sequence[str], alignment: str, max_width: int | None = None) -> list[str]:
    width = max(map(len, cells), default=0)
    width = width if max_width is None else min(width, max_width)
    return [f"{cell:{alignment}{width}}" for cell in cells]
