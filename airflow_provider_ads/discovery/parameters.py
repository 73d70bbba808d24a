"""Checks of request parameters. A parameter that fails its check is never sent."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from airflow_provider_ads.discovery.limits import (
    CLIENT_REQUEST_TOKEN_MAX_CHARACTERS,
    IMPORT_TASK_ID_PATTERN,
    IMPORT_TASK_NAME_MAX_CHARACTERS,
    IMPORT_URL_MAX_CHARACTERS,
    IMPORT_URL_PATTERN,
)

__all__ = [
    "as_list",
    "check_client_request_token",
    "check_import_task_ids",
    "check_import_url",
    "check_max_failed_records",
    "check_name",
    "check_poll_interval",
    "filter_parameters",
    "is_list",
    "join_first",
    "quote",
    "summarize_ids",
]

#: Maximum number of imports that one message names.
MAX_NAMED_IMPORTS = 20


def check_name(name: object) -> str:
    """
    Return an import's name if the service accepts it.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

    :raises ValueError: the name is not a string, is blank, or exceeds 255 characters.
    """
    name = _as_string(name)
    if not isinstance(name, str) or not name.strip() or len(name) > IMPORT_TASK_NAME_MAX_CHARACTERS:
        raise ValueError(
            f"name must be a string of 1 to {IMPORT_TASK_NAME_MAX_CHARACTERS} characters that is not blank; "
            f"got {quote(name)}"
        )
    return name


def check_import_url(import_url: object) -> str:
    """
    Return the URL of an import file if the service accepts it.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

    :raises ValueError: the URL is not a string, exceeds 4,000 characters, or lacks the scheme or the object.
    """
    if (
        not isinstance(import_url, str)
        or len(import_url) > IMPORT_URL_MAX_CHARACTERS
        or not re.fullmatch(IMPORT_URL_PATTERN, import_url)
    ):
        raise ValueError(
            "import_url must consist of a scheme, a bucket and an object, such as s3://bucket/key, and have at most "
            f"{IMPORT_URL_MAX_CHARACTERS:,} characters; got {quote(import_url)}"
        )
    return import_url


def check_client_request_token(token: object) -> str:
    """
    Return a client request token if the service accepts it.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

    :raises ValueError: the token is not a string, is empty, or exceeds 100 characters.
    """
    token = _as_string(token)
    if not isinstance(token, str) or not 1 <= len(token) <= CLIENT_REQUEST_TOKEN_MAX_CHARACTERS:
        # The token itself is a secret.
        got = f"{len(token)} characters" if isinstance(token, str) else type(token).__name__
        raise ValueError(
            f"client_request_token must be a string of 1 to {CLIENT_REQUEST_TOKEN_MAX_CHARACTERS} characters; got {got}"
        )
    return token


def _as_string(value: object) -> object:
    """Turn an integer back into a string: ``render_template_as_native_obj`` renders digits as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_list(import_task_ids: Any) -> list[Any]:
    """Return one id or any iterable of ids as a list, without checking them."""
    return list(import_task_ids) if is_list(import_task_ids) else [import_task_ids]


def is_list(import_task_ids: Any) -> bool:
    """Return True for an iterable of ids, and False for a single id, which is a string."""
    return isinstance(import_task_ids, Iterable) and not isinstance(import_task_ids, str)


def check_import_task_ids(import_task_ids: object) -> list[str]:
    """
    Return import task ids as a list.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html

    :param import_task_ids: one id as a string, or any iterable of ids.
    :raises ValueError: there is no id, or one does not have the form of an import task id.
    """
    ids = as_list(import_task_ids)
    if not ids:
        raise ValueError(
            "import_task_id is an empty list, so there is no import. If the previous task can find nothing to import, "
            "let it skip, so that this task is skipped too"
        )
    for import_task_id in ids:
        if isinstance(import_task_id, str) and re.fullmatch(IMPORT_TASK_ID_PATTERN, import_task_id):
            continue
        hint = ""
        if import_task_id in (None, "None"):
            hint = ". The task that should have started the import returned no id: check import_task_id and that task"
        elif isinstance(import_task_id, str) and import_task_id.lstrip().startswith(("[", "(", "<", "LazyXCom")):
            hint = ". It looks like a list that Jinja rendered as a string: pass the task's .output, not a template"
        raise ValueError(
            "import_task_id must be 'import-task-' followed by 32 hexadecimal digits, or a list of such ids; "
            f"got {quote(import_task_id)}{hint}"
        )
    return ids


def check_max_failed_records(max_failed_records: object) -> int | None:
    """
    Return the number of records that are allowed to fail; None for any number.

    :raises ValueError: it is neither None nor a whole number of 0 or more.
    """
    if max_failed_records is None:
        return None
    if not isinstance(max_failed_records, int) or isinstance(max_failed_records, bool) or max_failed_records < 0:
        raise ValueError(
            "max_failed_records must be a whole number of 0 or more, or None to allow any number; "
            f"got {max_failed_records!r}"
        )
    return max_failed_records


def check_poll_interval(poll_interval: float | timedelta) -> float:
    """
    Return a poll interval in seconds.

    :param poll_interval: seconds, or a :class:`~datetime.timedelta`.
    :raises ValueError: it is not a finite number of more than 0 seconds.
    """
    seconds = poll_interval.total_seconds() if isinstance(poll_interval, timedelta) else poll_interval
    if not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(f"The poll interval must be more than 0 seconds; got {poll_interval!r}")
    return float(seconds)


def filter_parameters(values: Sequence[str], name: str = "IMPORT_TASK_ID") -> dict[str, Any]:
    """
    Return the parameters with which ``DescribeImportTasks`` returns only the tasks with these ids or names.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html

    :param values: at most 100 ids or names.
    :param name: ``IMPORT_TASK_ID`` or ``NAME``.
    """
    return {"filters": [{"name": name, "values": list(values)}]}


def quote(value: object) -> str:
    """Return the ``repr`` of a value, shortened to one line of a message."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text):,} characters)"


def join_first(texts: Sequence[str], separator: str = "; ") -> str:
    """Join the first texts for a message, and count the others."""
    more = len(texts) - MAX_NAMED_IMPORTS
    return separator.join([*texts[:MAX_NAMED_IMPORTS], *([f"and {more:,} more"] if more > 0 else [])])


def summarize_ids(import_task_ids: Sequence[str]) -> str:
    """Return the first id and the number of further ids, for a message."""
    more = len(import_task_ids) - 1
    return import_task_ids[0] + (f" and {more:,} more" if more else "")
