"""Checks of request parameters. A parameter that fails its check is never sent."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from datetime import timedelta
from pathlib import PurePosixPath
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
    "check_ec2_recommendations",
    "check_export_ids",
    "check_import_task_ids",
    "check_import_url",
    "check_max_failed_records",
    "check_name",
    "check_poll_interval",
    "escaped",
    "filter_parameters",
    "import_urls_by_name",
    "is_list",
    "join_first",
    "quote",
    "renderable",
    "summarize_ids",
]

#: Maximum number of imports that one message names.
MAX_NAMED_IMPORTS = 20

#: The beginnings of lists, tuples, sets, views of dictionaries and lazy sequences that Jinja rendered as strings.
RENDERED_LISTS = ("[", "(", "{", "<", "dict_", "frozenset(", "LazyXCom")


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

    :raises ValueError: the URL is not a string, exceeds 4,000 characters, lacks the scheme or the object, or is an HTTP
        URL that can contain a secret.
    """
    hint = _rendered_list_hint(import_url)
    if (
        not isinstance(import_url, str)
        or len(import_url) > IMPORT_URL_MAX_CHARACTERS
        or not re.fullmatch(IMPORT_URL_PATTERN, import_url)
        or hint
    ):
        raise ValueError(
            "import_url must consist of a scheme, a bucket and an object, such as s3://bucket/key, and have at most "
            f"{IMPORT_URL_MAX_CHARACTERS:,} characters; got {quote(import_url)}{hint}"
        )
    if re.match(r"https?://([^/]*@|.*\?)", import_url, re.IGNORECASE):
        # The message does not quote the URL, because the query or the user can be a secret.
        raise ValueError(
            "import_url must not contain a query or a user, because they can be secrets, and URLs of imports are "
            "logged. Use s3://bucket/key, which AWS reads with your permissions"
        )
    return import_url


def import_urls_by_name(name: object, import_urls: Iterable[Any]) -> dict[str, str]:
    """
    Return the URLs of several files by the names of their imports.

    Each import's name is ``name``, a hyphen, and the file's name without its extension.

    :param name: the beginning of every name.
    :param import_urls: the URLs, or lists of URLs, which become one list.
    :return: the URLs in the order given; empty if there are none.
    :raises ValueError: a URL is given twice, two imports would have the same name, or the service does not accept a
        name or a URL.
    """
    name = check_name(name)
    by_name: dict[str, str] = {}
    for import_url in [url for urls in import_urls for url in as_list(urls)]:
        file_name = PurePosixPath(check_import_url(import_url)).stem
        import_name = f"{name}-{file_name}"
        if len(import_name) > IMPORT_TASK_NAME_MAX_CHARACTERS:
            raise ValueError(
                f"The import's name would have {len(import_name)} characters, but the service accepts at most "
                f"{IMPORT_TASK_NAME_MAX_CHARACTERS}. Shorten name={quote(name)}, or rename the file "
                f"{quote(file_name)}, whose name is added to it"
            )
        if import_name in by_name:
            other = by_name[import_name]
            if other == import_url:
                raise ValueError(f"import_url has a URL twice, which would import its file twice: {quote(import_url)}")
            raise ValueError(
                f"Two files would be imported with the same name {quote(import_name)}: {quote(other)} and "
                f"{quote(import_url)}. Rename one; or, if several tasks prepare files, map this task over their "
                "results instead, with a different name for each"
            )
        by_name[import_name] = import_url
    return by_name


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


def as_list(values: Any) -> list[Any]:
    """Return one id, name or URL, or any iterable of them, as a list, without checking them."""
    return list(values) if is_list(values) else [values]


def is_list(values: Any) -> bool:
    """Return True for an iterable of ids, names or URLs, and False for a single one, which is a string."""
    return isinstance(values, Iterable) and not isinstance(values, str)


def renderable(values: Any) -> Any:
    """Return a generator, a view or a frozenset as a list, because Airflow does not look for templates in them."""
    return list(values) if isinstance(values, Iterator | KeysView | ValuesView | frozenset) else values


def _rendered_list_hint(value: object) -> str:
    """Return advice about a list that Jinja rendered as a string; empty for any other value."""
    if not isinstance(value, str) or not value.lstrip().startswith(RENDERED_LISTS):
        return ""
    return (
        ". It looks like a list that Jinja rendered as a string: pass the task's .output instead of a template, or set "
        "render_template_as_native_obj=True in the Dag"
    )


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
        hint = _rendered_list_hint(import_task_id)
        if import_task_id in (None, "None"):
            hint = ". The task that should have started the import returned no id: check import_task_id and that task"
        elif isinstance(import_task_id, str) and import_task_id.strip() and not hint:
            raise ValueError(
                f"Use name={quote(import_task_id)} of AdsImportTaskSensor instead of import_task_id if that is the "
                "name of an import. An import_task_id is 'import-task-' followed by 32 hexadecimal digits"
            )
        raise ValueError(
            "import_task_id must be 'import-task-' followed by 32 hexadecimal digits, or a list of such ids; "
            f"got {quote(import_task_id)}{hint}"
        )
    return ids


def check_export_ids(export_ids: object) -> list[str]:
    """
    Return export ids as a list.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ExportInfo.html

    :param export_ids: one id as a string, or any iterable of ids.
    :raises ValueError: there is no id, or one is not a string of 1 to 200 characters without whitespace.
    """
    ids = as_list(export_ids)
    for export_id in ids or [None]:
        if not isinstance(export_id, str) or not re.fullmatch(r"\S{1,200}", export_id):
            raise ValueError(f"An export id must have 1 to 200 characters and no whitespace; got {quote(export_id)}")
    return ids


def check_ec2_recommendations(preferences: object) -> dict[str, Any] | None:
    """
    Return the preferences of EC2 recommendations; None for an export of all discovered data.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_Ec2RecommendationsExportPreferences.html

    :raises ValueError: they are neither None nor a dictionary, or contain ``enabled``.
    """
    if preferences is None:
        return None
    if not isinstance(preferences, Mapping) or "enabled" in preferences:
        raise ValueError(
            "ec2_recommendations must be a dictionary such as {'preferredRegion': 'us-west-2'}, without 'enabled', "
            f"or None to export all discovered data; got {quote(preferences)}"
        )
    return dict(preferences)


def check_max_failed_records(max_failed_records: object) -> int | None:
    """
    Return the number of records that are allowed to fail; None for any number.

    :param max_failed_records: the number, or the string that Jinja renders it as, such as ``10`` or ``None``.
    :raises ValueError: it is neither None nor a whole number of 0 or more.
    """
    if max_failed_records in (None, "None"):
        return None
    if isinstance(max_failed_records, str) and max_failed_records.isdecimal():
        return int(max_failed_records)
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


def escaped(text: str) -> str:
    """Escape control characters, so that a string stays on one line of a log and cannot change the log's colors."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def join_first(texts: Sequence[str], separator: str = "; ") -> str:
    """Join the first strings for a message, and count the others."""
    more = len(texts) - MAX_NAMED_IMPORTS
    return separator.join([*texts[:MAX_NAMED_IMPORTS], *([f"and {more:,} more"] if more > 0 else [])])


def summarize_ids(import_task_ids: Sequence[str]) -> str:
    """Return the first id and the number of further ids, for a message."""
    more = len(import_task_ids) - 1
    return import_task_ids[0] + (f" and {more:,} more" if more else "")
