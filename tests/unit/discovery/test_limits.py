from __future__ import annotations

from typing import Any

import boto3
import botocore.session
import pytest

from airflow_provider_ads.discovery import limits


@pytest.mark.parametrize(
    ("shape", "key", "limit"),
    [
        ("ImportTaskName", "max", limits.IMPORT_TASK_NAME_MAX_CHARACTERS),
        ("ImportURL", "max", limits.IMPORT_URL_MAX_CHARACTERS),
        ("ImportURL", "pattern", limits.IMPORT_URL_PATTERN),
        ("ClientRequestToken", "max", limits.CLIENT_REQUEST_TOKEN_MAX_CHARACTERS),
        ("ImportTaskIdentifier", "pattern", f"^{limits.IMPORT_TASK_ID_PATTERN}$"),
        ("ImportTaskFilterValueList", "max", limits.VALUES_PER_FILTER),
        ("ToDeleteIdentifierList", "max", limits.IMPORT_TASKS_PER_DELETION),
        ("DescribeImportTasksMaxResults", "max", limits.IMPORT_TASK_PAGE_SIZE),
    ],
)
def test_limits_match_the_service_model(shape: str, key: str, limit: Any) -> None:
    model: Any = botocore.session.get_session().get_service_model("discovery")
    assert model.shape_for(shape).metadata[key] == limit


def test_service_regions_match_boto3() -> None:
    assert sorted(limits.SERVICE_REGIONS) == sorted(boto3.session.Session().get_available_regions("discovery"))
