"""Import tasks as the service describes them, and what their statuses mean."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from airflow_provider_ads.discovery.limits import (
    CLIENT_REQUEST_TOKEN_MAX_CHARACTERS,
    IMPORT_TASK_ID_PATTERN,
    IMPORT_TASK_NAME_MAX_CHARACTERS,
    IMPORT_URL_MAX_CHARACTERS,
    IMPORT_URL_PATTERN,
)

__all__ = [
    "DELETION_FAILED_STATUSES",
    "DELETION_RUNNING_STATUSES",
    "DELETION_STATUSES",
    "IMPORT_DONE_STATUSES",
    "IMPORT_FAILED_STATUSES",
    "IMPORT_RUNNING_STATUSES",
    "MISSING_TASK_LOOKS",
    "TRY_AGAIN_STATUSES",
    "ImportTask",
    "Verdict",
    "VerdictKind",
    "check_client_request_token",
    "check_import_task_ids",
    "check_import_url",
    "check_max_failed_records",
    "check_name",
    "describe_parameters",
    "judge_deletion",
    "judge_import",
    "name_some",
    "newest_by_name",
]

# The sets divide the service's ImportStatus values among them; what the values mean is told by
# https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html

#: The import is queued or being worked on.
IMPORT_RUNNING_STATUSES = frozenset({"IMPORT_IN_PROGRESS"})

#: The import is over, and records were imported; some may have failed under either status.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html
IMPORT_DONE_STATUSES = frozenset({"IMPORT_COMPLETE", "IMPORT_COMPLETE_WITH_ERRORS"})

#: The import is over, and nothing of it can be relied upon.
IMPORT_FAILED_STATUSES = frozenset(
    {
        "IMPORT_FAILED",
        "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED",
        "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED",
        "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE",
        "INTERNAL_ERROR",
    }
)

#: Somebody is deleting, deleted or tried to delete what was imported.
DELETION_STATUSES = frozenset(
    {"DELETE_IN_PROGRESS", "DELETE_COMPLETE", "DELETE_FAILED", "DELETE_FAILED_LIMIT_EXCEEDED"}
)

#: The deletion is over, and data may be left.
DELETION_FAILED_STATUSES = frozenset({"DELETE_FAILED", "DELETE_FAILED_LIMIT_EXCEEDED", "INTERNAL_ERROR"})

#: The deletion goes on, or has not begun: then the status is still that of the import.
DELETION_RUNNING_STATUSES = (
    frozenset({"DELETE_IN_PROGRESS"})
    | IMPORT_RUNNING_STATUSES
    | IMPORT_DONE_STATUSES
    | (IMPORT_FAILED_STATUSES - DELETION_FAILED_STATUSES)
)

#: Failures that a new import of the same file may not meet again.
TRY_AGAIN_STATUSES = frozenset({"IMPORT_FAILED", "INTERNAL_ERROR"})

#: How often an import task that the service does not list is looked for before it is called missing. AWS does not say
#: how soon a new task is listed.
MISSING_TASK_LOOKS = 3

_READ_THE_FAILED_RECORDS = (
    "AdsFailedRecordsToS3Operator fetches the failed rows and their reasons, which the Imports page of the Migration "
    "Hub console offers for download, too"
)

#: What the user can do about a status that fails an import.
_NEXT_STEP = {
    "IMPORT_FAILED": (
        "No record was imported. Check that {import_url} exists, that whoever started the import may read it "
        f"(s3:GetObject), and that it has at most 10 MB. {_READ_THE_FAILED_RECORDS}, if the service could read the file"
    ),
    "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED": (
        "The account's quota of imported servers is used up (10,000 unless raised). Delete imports that are no "
        "longer needed, with AdsDeleteImportDataOperator, or ask AWS to raise Service Quotas code L-E92F1B88"
    ),
    "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED": (
        "The account's quota of 25,000 import records is used up, and AWS does not raise it. Every import counts "
        "its rows again: delete the imports that newer ones replace, with AdsPruneImportTasksOperator"
    ),
    "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE": (
        "The service did not recognise {import_url}. Import a CSV with the columns of the Migration Hub template, "
        "separated by commas and in UTF-8, or a ZIP with an RVTools export"
    ),
    "INTERNAL_ERROR": "The service itself failed. Import the file again",
    "DELETE_IN_PROGRESS": "Somebody is deleting the imported data. Import the file again",
    "DELETE_COMPLETE": "Somebody deleted the imported data. Import the file again",
    "DELETE_FAILED": (
        "Somebody tried to delete the imported data, so it may be incomplete. Delete it again, then import again"
    ),
    "DELETE_FAILED_LIMIT_EXCEEDED": (
        "Somebody tried to delete the imported data and met the limit of 25,000 deleted records a day, so it may "
        "be incomplete. Delete it again tomorrow, then import again"
    ),
}

#: What the user can do about a status that fails a deletion.
_DELETE_AGAIN = {
    "DELETE_FAILED": "The data may be deleted in part. Delete it again",
    "DELETE_FAILED_LIMIT_EXCEEDED": (
        "The account's limit of 25,000 deleted records a day is reached. Delete it again after 00:00 UTC"
    ),
    "INTERNAL_ERROR": "The service itself failed. Delete it again",
}


@dataclass(frozen=True, kw_only=True)
class ImportTask:
    """
    One import task as ``DescribeImportTasks`` returned it; a field the service did not send is None.

    The archive's URL and the request token do not show in ``repr``: the first gives anyone who holds it the
    failed rows, and the second identifies the request to the service.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html

    :param import_task_id: ``import-task-`` and 32 hexadecimal digits, unique in the account.
    :param client_request_token: the token that the import was started with.
    :param name: what the import was called; not unique.
    :param import_url: the file.
    :param status: a value of ``ImportStatus``, or one that AWS added later.
    :param import_request_time: when the import was asked for, in UTC.
    :param import_completion_time: when it ended.
    :param import_deleted_time: when its data were deleted.
    :param file_classification: what the service took the file for, ``IMPORT_TEMPLATE`` for example.
    :param server_import_success: server records imported.
    :param server_import_failure: server records that failed.
    :param application_import_success: application records imported.
    :param application_import_failure: application records that failed.
    :param errors_and_failed_entries_zip: presigned URL of the archive with the failed rows. A credential.
    """

    import_task_id: str
    client_request_token: str | None = field(default=None, repr=False)
    name: str | None = None
    import_url: str | None = None
    status: str | None = None
    import_request_time: datetime | None = None
    import_completion_time: datetime | None = None
    import_deleted_time: datetime | None = None
    file_classification: str | None = None
    server_import_success: int | None = None
    server_import_failure: int | None = None
    application_import_success: int | None = None
    application_import_failure: int | None = None
    errors_and_failed_entries_zip: str | None = field(default=None, repr=False)

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> ImportTask:
        """
        Read what boto3 returns for one task, or what :meth:`summary` made of it; unknown fields are left out.

        :param response: a task with the service's field names; times as ``datetime`` or ISO 8601 text.
        :raises KeyError: it has no ``importTaskId``.
        """
        fields = {name: response.get(service_name) for name, service_name in _SERVICE_NAMES.items()}
        for name in _TIMES:
            time = fields[name]
            if time is not None:
                fields[name] = (datetime.fromisoformat(time) if isinstance(time, str) else time).astimezone(UTC)
        return cls(**{**fields, "import_task_id": response["importTaskId"]})

    def summary(self) -> dict[str, Any]:
        """
        Return the task without its secrets, fit for JSON, events and XCom.

        :return: every field under the service's own name (``importTaskId``, ``status``,
            ``serverImportFailure``, ...), None where the service sent nothing, times in ISO 8601 and UTC;
            neither ``errorsAndFailedEntriesZip`` nor ``clientRequestToken``.
        """
        values = {
            service_name: getattr(self, name) for name, service_name in _SERVICE_NAMES.items() if name not in _SECRETS
        }
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}

    @property
    def failed_records(self) -> int:
        """Server and application records that failed; one bad row may count as both."""
        failed = (self.server_import_failure or 0) + (self.application_import_failure or 0)
        if self.status == "IMPORT_COMPLETE_WITH_ERRORS":
            return max(failed, 1)
        return failed

    @property
    def unlisted(self) -> bool:
        """Whether nothing but the id is known, because the service does not list the task."""
        return self == ImportTask(import_task_id=self.import_task_id)

    def __str__(self) -> str:
        counts = ", ".join(
            f"{label} {count}"
            for label, count in (
                ("servers imported", self.server_import_success),
                ("servers failed", self.server_import_failure),
                ("applications imported", self.application_import_success),
                ("applications failed", self.application_import_failure),
            )
            if count is not None
        )
        name = "" if self.name is None else f" ({self.name!r})"
        return f"{self.import_task_id}{name}: {self.status or 'no status'}" + (f", {counts}" if counts else "")


def _service_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


_SERVICE_NAMES = {f.name: _service_name(f.name) for f in dataclasses.fields(ImportTask)}
_TIMES = ("import_request_time", "import_completion_time", "import_deleted_time")
_SECRETS = ("client_request_token", "errors_and_failed_entries_zip")


class VerdictKind(Enum):
    """What an import task's status means to somebody who waits for it."""

    RUNNING = "running"  #: go on waiting
    DONE = "done"  #: it ended as it should
    FAILED = "failed"  #: it ended, and not as it should
    UNKNOWN = "unknown"  #: the status is none that this version knows


@dataclass(frozen=True)
class Verdict:
    """
    What one look at one import task says.

    :param kind: what to do.
    :param import_task: the task that was looked at.
    :param explanation: one or two sentences for people: which import, what happened, what to do next.
    """

    kind: VerdictKind
    import_task: ImportTask
    explanation: str

    @property
    def try_again(self) -> bool:
        """Whether a new import of the same file may end better."""
        return self.kind is VerdictKind.FAILED and self.import_task.status in TRY_AGAIN_STATUSES


def judge_deletion(import_task: ImportTask) -> Verdict:
    """
    Say what a task's status means to somebody who waits until its data are deleted.

    :param import_task: what the service said last; nothing but the id if it does not list the task any more, as when
        the data are deleted with the task's history.
    :return: the verdict; a status that is in none of the sets is UNKNOWN, never running and never done.
    """
    if import_task.unlisted:
        explanation = f"Import {import_task.import_task_id}: not listed any more."
        return Verdict(VerdictKind.DONE, import_task, explanation)
    status = import_task.status
    if status == "DELETE_COMPLETE":
        return Verdict(VerdictKind.DONE, import_task, f"Import {import_task}.")
    if status in DELETION_RUNNING_STATUSES:
        return Verdict(VerdictKind.RUNNING, import_task, f"Import {import_task}.")
    if status in DELETION_FAILED_STATUSES:
        return Verdict(VerdictKind.FAILED, import_task, f"Import {import_task}. {_DELETE_AGAIN[status]}.")
    return _unknown(import_task, "the data are deleted")


def judge_import(import_task: ImportTask, max_failed_records: int | None) -> Verdict:
    """
    Say what a task's status means to somebody who waits for the import.

    :param import_task: what the service said last.
    :param max_failed_records: server and application records that may fail; None for any number.
    :return: the verdict; a status that is in none of the sets is UNKNOWN, never running and never done.
    """
    status = import_task.status
    if status in IMPORT_RUNNING_STATUSES:
        return Verdict(VerdictKind.RUNNING, import_task, f"Import {import_task}.")
    if status in IMPORT_DONE_STATUSES:
        failed = import_task.failed_records
        if max_failed_records is None or failed <= max_failed_records:
            archive = f" {_READ_THE_FAILED_RECORDS}." if failed else ""
            return Verdict(VerdictKind.DONE, import_task, f"Import {import_task}.{archive}")
        return Verdict(
            VerdictKind.FAILED,
            import_task,
            f"Import {import_task}. Failed records: {failed}, more than max_failed_records={max_failed_records} "
            f"allows. {_READ_THE_FAILED_RECORDS}. Correct them and import them again, or raise "
            "max_failed_records (None allows any number).",
        )
    if status in IMPORT_FAILED_STATUSES or status in DELETION_STATUSES:
        next_step = _NEXT_STEP[str(status)].format(import_url=import_task.import_url)
        return Verdict(VerdictKind.FAILED, import_task, f"Import {import_task}. {next_step}.")
    return _unknown(import_task, "the import ended")


def _unknown(import_task: ImportTask, question: str) -> Verdict:
    return Verdict(
        VerdictKind.UNKNOWN,
        import_task,
        f"Import {import_task}. This version of airflow-provider-ads does not know the status {import_task.status!r}, "
        f"so it cannot say whether {question}. Look at the import in the Migration Hub console, and upgrade "
        "airflow-provider-ads.",
    )


def check_name(name: object) -> str:
    """
    Return the name of an import if the service will take it.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

    :raises ValueError: it is no text, blank, or longer than 255 characters.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > IMPORT_TASK_NAME_MAX_CHARACTERS:
        raise ValueError(
            f"name must be a text of 1 to {IMPORT_TASK_NAME_MAX_CHARACTERS} characters, one of them not a space; "
            f"got {_quote(name)}"
        )
    return name


def check_import_url(import_url: object) -> str:
    """
    Return the URL of an import file if the service will take it.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

    :raises ValueError: it is no text, longer than 4,000 characters, or lacks the scheme or the object.
    """
    if (
        not isinstance(import_url, str)
        or len(import_url) > IMPORT_URL_MAX_CHARACTERS
        or not re.fullmatch(IMPORT_URL_PATTERN, import_url)
    ):
        raise ValueError(
            f"import_url must name a scheme, a bucket and an object, as s3://bucket/key does, in at most "
            f"{IMPORT_URL_MAX_CHARACTERS:,} characters; got {_quote(import_url)}"
        )
    return import_url


def check_client_request_token(token: object) -> str:
    """
    Return the client request token if the service will take it.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html

    :raises ValueError: it is no text, empty, or longer than 100 characters.
    """
    if not isinstance(token, str) or not 1 <= len(token) <= CLIENT_REQUEST_TOKEN_MAX_CHARACTERS:
        length = f"{len(token)} characters" if isinstance(token, str) else type(token).__name__
        raise ValueError(
            f"client_request_token must be a text of 1 to {CLIENT_REQUEST_TOKEN_MAX_CHARACTERS} characters; "
            f"got {length}"
        )
    return token


def check_import_task_ids(import_task_ids: object) -> list[str]:
    """
    Return import task ids, given one as text or several as any iterable, as a list.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html

    :raises ValueError: there is none, or one of them is not of the form of an import task id.
    """
    if isinstance(import_task_ids, str):
        ids: list[object] = [import_task_ids]
    elif isinstance(import_task_ids, Iterable):
        ids = list(import_task_ids)
    else:
        ids = [import_task_ids]
    if not ids:
        raise ValueError(
            "import_task_id is an empty list: there is no import to wait for. If the task before it may find "
            "nothing to import, let it be skipped then, so that this task is skipped too"
        )
    for import_task_id in ids:
        if isinstance(import_task_id, str) and re.fullmatch(IMPORT_TASK_ID_PATTERN, import_task_id):
            continue
        hint = ""
        if import_task_id in (None, "None"):
            hint = ". The task that should have started the import returned no id: check import_task_id and that task"
        elif isinstance(import_task_id, str) and import_task_id.lstrip().startswith(("[", "(", "<", "LazyXCom")):
            hint = (
                ". It looks like a list that a Jinja template turned into text: pass the task's .output "
                "instead of a template"
            )
        raise ValueError(
            "import_task_id must be 'import-task-' and 32 hexadecimal digits, or a list of such ids; "
            f"got {_quote(import_task_id)}{hint}"
        )
    return [str(import_task_id) for import_task_id in ids]


def check_max_failed_records(max_failed_records: object) -> int | None:
    """
    Return the number of records that may fail, or None for any number.

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


def describe_parameters(values: Sequence[str], filter_name: str = "IMPORT_TASK_ID") -> dict[str, Any]:
    """
    Return the parameters of ``DescribeImportTasks`` that ask for the tasks of these ids or names.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTaskFilter.html

    :param values: at most 100 ids or names.
    :param filter_name: ``IMPORT_TASK_ID`` or ``NAME``.
    """
    return {"filters": [{"name": filter_name, "values": list(values)}]}


def newest_by_name(import_tasks: Iterable[ImportTask]) -> dict[str, ImportTask]:
    """
    Return of each name the task that was requested last.

    Two that were requested at the same moment are told apart by their ids, so that whoever looks sees the same one.

    :param import_tasks: tasks in any order.
    """
    never = datetime.min.replace(tzinfo=UTC)
    in_order = sorted(import_tasks, key=lambda task: (task.import_request_time or never, task.import_task_id))
    return {task.name: task for task in in_order if task.name is not None}


def name_some(import_task_ids: Sequence[str]) -> str:
    """Name the first of many ids, for a message."""
    more = len(import_task_ids) - 1
    return import_task_ids[0] + (f" and {more} more" if more else "")


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"
