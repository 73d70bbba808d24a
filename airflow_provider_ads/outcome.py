"""From imports that ended to how the task ends: one way for sensors and operators, in every mode."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_ads.discovery.import_task import ImportTask, VerdictKind, judge_import
from airflow_provider_ads.exceptions import AdsCallError, ImportOutcomeError

__all__ = ["IMPORT_TASK_XCOM_KEY", "attach_to_asset_events", "conclude"]

#: The XCom that holds the summaries, also when an import failed, and their key in the extra of asset events.
IMPORT_TASK_XCOM_KEY = "import_task"


def conclude(
    context: Mapping[str, Any],
    import_tasks: Sequence[ImportTask],
    max_failed_records: int | None,
    as_list: bool,
    log: Any,
) -> Any:
    """
    Log the verdict on every import, push the summaries as XCom and to asset events, and fail unless all are done.

    :param context: the task's context.
    :param import_tasks: the imports, none of them running.
    :param max_failed_records: records of one import that may fail; None for any number.
    :param as_list: whether the result is a list although it may hold one import.
    :param log: the task's logger. The verdict is logged because ``soft_fail`` hides the message of an error.
    :return: the summary of the import, or the list of them.
    :raises ImportOutcomeError: one or more imports ended, and not as they should.
    :raises AdsCallError: the status of an import is unknown, and none failed.
    """
    summaries = [import_task.summary() for import_task in import_tasks]
    result = summaries if as_list else summaries[0]
    verdicts = [judge_import(import_task, max_failed_records) for import_task in import_tasks]
    for verdict in verdicts:
        log.log(logging.INFO if verdict.kind is VerdictKind.DONE else logging.ERROR, "%s", verdict.explanation)
    if context["ti"].task.do_xcom_push:
        context["ti"].xcom_push(key=IMPORT_TASK_XCOM_KEY, value=result)
    bad = [verdict for verdict in verdicts if verdict.kind is not VerdictKind.DONE]
    failed = [verdict for verdict in bad if verdict.kind is VerdictKind.FAILED]
    message = "\n".join(verdict.explanation for verdict in bad)
    if failed:
        raise ImportOutcomeError(message, summaries, try_again=all(verdict.try_again for verdict in bad))
    if bad:
        raise AdsCallError(message, code="UnknownStatus", import_task_id=bad[0].import_task.import_task_id)
    attach_to_asset_events(context, result)
    return result


def attach_to_asset_events(context: Mapping[str, Any], result: Any) -> None:
    """
    Put summaries into the ``extra`` of the events of the task's outlets, where the Dags that they trigger find them.

    :param context: the task's context.
    :param result: the summary of an import, or a list of them.
    """
    for outlet in context["ti"].task.outlets:
        # Outlets may be other things than assets, and the events of an alias are those of assets yet unknown.
        if hasattr(outlet, "uri"):
            context["outlet_events"][outlet].extra[IMPORT_TASK_XCOM_KEY] = result
