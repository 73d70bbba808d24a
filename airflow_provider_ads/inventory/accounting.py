"""Accounting for the rows of a run: each row that was read, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import escaped, quote

__all__ = ["account_for_rows"]


def account_for_rows(
    report: Mapping[str, Any] | None, import_tasks: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None
) -> str:
    """
    Return the sum of a run, such as ``6,000 rows = 5,983 imported + 5 failed + 12 quarantined``.

    Rows without a known outcome are in the sum as ``unaccounted``, or as ``in progress`` while an import runs. Lines
    below the sum contain the applications, which the service counts apart from the rows, and each import that did not
    succeed.

    :param report: the XCom ``report`` of
        :class:`~airflow_provider_ads.operators.prepare_import_file.AdsPrepareImportFileOperator`; None if the task
        pushed none.
    :param import_tasks: the XCom ``import_task``, a summary or a list of summaries; None, alone or in the list, for a
        task that started no import.
    :raises ValueError: they are not these XComs.
    """
    if report is not None and not isinstance(report, Mapping):
        raise ValueError(f"report must be the XCom 'report' of one task, or None; got {quote(report)}")
    is_list = isinstance(import_tasks, Sequence) and not isinstance(import_tasks, str)
    summaries: Any = import_tasks if is_list else [import_tasks]
    tasks = []
    for summary in summaries:
        if summary is None:
            continue
        if not isinstance(summary, Mapping) or "importTaskId" not in summary:
            raise ValueError(
                "import_tasks must be the XCom 'import_task', a summary or a list of summaries; got an "
                f"object of type {type(summary).__name__} without importTaskId"
            )
        tasks.append(ImportTask.from_response(summary))
    imported = sum(task.server_import_success or 0 for task in tasks)
    failed = sum(task.server_import_failure or 0 for task in tasks)
    applications = sum(task.application_import_success or 0 for task in tasks)
    failed_applications = sum(task.application_import_failure or 0 for task in tasks)
    if report is None:
        lines = [f"{imported:,} imported, {failed:,} failed. There is no report on the rows"]
    elif report.get("rows_read") is None:
        lines = [
            f"{imported:,} imported, {failed:,} failed. The source was imported unchanged, so no rows were counted"
        ]
    else:
        # Version 0.1.0 had no filters.
        quarantined, filtered = report.get("rows_quarantined") or 0, sum(report.get("rows_filtered", {}).values())
        rest = report["rows_read"] - imported - failed - quarantined - filtered
        is_running = any(statuses.is_running(task.status) for task in tasks)
        in_progress = rest if is_running and rest > 0 else 0
        terms = [
            (quarantined, "quarantined"),
            (filtered, "filtered"),
            (in_progress, "in progress"),
            (rest - in_progress, "unaccounted"),
        ]
        lines = [
            f"{report['rows_read']:,} rows = {imported:,} imported + {failed:,} failed"
            + "".join(f" {'-' if count < 0 else '+'} {abs(count):,} {outcome}" for count, outcome in terms if count)
        ]
    if applications or failed_applications:
        lines.append(f"{applications:,} applications imported, {failed_applications:,} failed")
    lines += [
        f"{task.shown_status}: {escaped(task.name or task.id)}" for task in tasks if not statuses.is_done(task.status)
    ]
    return "\n".join(lines)
