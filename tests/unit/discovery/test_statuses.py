from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.session
import pytest

from airflow_provider_ads.discovery import statuses

MODEL: Any = botocore.session.get_session().get_service_model("discovery")

#: Every status in the service's API.
STATUSES = set(MODEL.shape_for("ImportStatus").enum)


@pytest.mark.parametrize(
    "sets",
    [
        [
            statuses.IMPORT_RUNNING_STATUSES,
            statuses.IMPORT_DONE_STATUSES,
            statuses.IMPORT_FAILED_STATUSES,
            statuses.DELETION_STATUSES,
        ],
        [statuses.DELETION_RUNNING_STATUSES, statuses.DELETION_DONE_STATUSES, statuses.DELETION_FAILED_STATUSES],
    ],
    ids=["imports", "deletions"],
)
def test_every_status_is_in_exactly_one_set(sets: list[frozenset[str]]) -> None:
    assert sorted(status for each in sets for status in each) == sorted(STATUSES)


def test_every_status_of_an_export_is_in_exactly_one_set_and_its_predicate() -> None:
    sets = [statuses.EXPORT_RUNNING_STATUSES, statuses.EXPORT_DONE_STATUSES, statuses.EXPORT_FAILED_STATUSES]
    predicates = [statuses.is_export_running, statuses.is_export_done, statuses.is_export_failed]
    every_status = MODEL.shape_for("ExportStatus").enum
    assert sorted(status for each in sets for status in each) == sorted(every_status)
    for status in [*every_status, "EXPORT_OF_THE_FUTURE", None]:
        assert [predicate(status) for predicate in predicates] == [status in each for each in sets]


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (statuses.is_running, {"IMPORT_IN_PROGRESS"}),
        (statuses.is_done, {"IMPORT_COMPLETE", "IMPORT_COMPLETE_WITH_ERRORS"}),
        (statuses.has_failed_records, {"IMPORT_COMPLETE_WITH_ERRORS"}),
        (
            statuses.is_failed,
            {
                "IMPORT_FAILED",
                "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED",
                "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED",
                "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE",
                "INTERNAL_ERROR",
            },
        ),
        (statuses.is_retryable, {"IMPORT_FAILED", "INTERNAL_ERROR"}),
        (
            statuses.is_deletion,
            {"DELETE_IN_PROGRESS", "DELETE_COMPLETE", "DELETE_FAILED", "DELETE_FAILED_LIMIT_EXCEEDED"},
        ),
        (statuses.is_being_deleted, {"DELETE_IN_PROGRESS"}),
        (statuses.is_deleted, {"DELETE_COMPLETE"}),
        (statuses.is_deletion_failed, {"DELETE_FAILED", "DELETE_FAILED_LIMIT_EXCEEDED", "INTERNAL_ERROR"}),
        (
            statuses.is_deletion_running,
            STATUSES - {"DELETE_COMPLETE", "DELETE_FAILED", "DELETE_FAILED_LIMIT_EXCEEDED", "INTERNAL_ERROR"},
        ),
        (statuses.is_over_deletion_limit, {"DELETE_FAILED_LIMIT_EXCEEDED"}),
        (statuses.is_deletable, STATUSES - {"IMPORT_IN_PROGRESS", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"}),
    ],
)
def test_a_predicate_is_true_for_these_statuses_only(
    predicate: Callable[[str | None], bool], expected: set[str]
) -> None:
    assert {status for status in (*STATUSES, "A_NEW_STATUS", "", None) if predicate(status)} == expected
