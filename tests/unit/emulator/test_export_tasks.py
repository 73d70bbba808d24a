from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from aiobotocore.session import get_session  # type: ignore[import-untyped]
from botocore.exceptions import ClientError

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import HOME_REGION, MakeClient, send, wait_for

RECOMMENDATIONS: dict[str, Any] = {"ec2RecommendationsPreferences": {"enabled": True}}


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    with AdsEmulator(import_seconds=0, export_seconds=3600) as emulator:
        yield emulator


def describe(discovery: Any, export_id: str) -> dict[str, Any]:
    (task,) = discovery.describe_export_tasks(exportIds=[export_id])["exportsInfo"]
    return dict(task)


def ended(ads: AdsEmulator, discovery: Any, export_id: str) -> dict[str, Any]:
    """Return the task when the export has ended."""
    ads.export_seconds = 0
    wait_for(lambda: describe(discovery, export_id)["exportStatus"] != "IN_PROGRESS")
    return describe(discovery, export_id)


def refusal(call: Any) -> tuple[str, str]:
    """Return the code and the message of the call's error."""
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


class TestStart:
    @pytest.mark.parametrize("parameters", [{}, {"preferences": RECOMMENDATIONS}, {"exportDataFormat": ["CSV"]}])
    def test_a_start_returns_the_id_of_a_running_export(self, discovery: Any, parameters: dict[str, Any]) -> None:
        export_id = discovery.start_export_task(**parameters)["exportId"]
        task = describe(discovery, export_id)
        assert isinstance(task.pop("exportRequestTime"), datetime)
        assert task == {"exportId": export_id, "exportStatus": "IN_PROGRESS", "statusMessage": "Export in progress"}

    def test_each_start_is_another_export(self, ads: AdsEmulator, discovery: Any) -> None:
        ids = [discovery.start_export_task()["exportId"] for _ in range(2)]
        assert [task["exportId"] for task in ads.export_tasks()] == ids
        assert len(set(ids)) == 2

    def test_an_export_has_a_link_only_when_it_has_succeeded(self, ads: AdsEmulator, discovery: Any) -> None:
        export_id = discovery.start_export_task()["exportId"]
        assert "configurationsDownloadUrl" not in describe(discovery, export_id)
        task = ended(ads, discovery, export_id)
        assert (task["exportStatus"], task["statusMessage"]) == ("SUCCEEDED", "Export was successful")
        assert send(task["configurationsDownloadUrl"]).body.startswith(b"PK")

    @pytest.mark.parametrize("home_region", [None, "eu-central-1"])
    def test_exports_outside_of_the_home_region_are_refused(
        self, ads: AdsEmulator, discovery: Any, home_region: str | None
    ) -> None:
        ads.home_region = home_region
        assert refusal(discovery.start_export_task)[0] == "HomeRegionNotSetException"
        assert ads.export_tasks() == []

    def test_a_period_without_an_agent_is_ignored(self, discovery: Any) -> None:
        export_id = discovery.start_export_task(startTime=0, endTime=1)["exportId"]
        assert "requestedStartTime" not in describe(discovery, export_id)

    @pytest.mark.parametrize(
        ("filters", "message"),
        [
            ([{"name": "agentIds", "values": ["o-1"], "condition": "EQUALS"}], "There is no agent o-1."),
            ([{"name": "agentIds", "values": ["o-1", "o-2"], "condition": "EQUALS"}], "the only filter is agentIds"),
            ([{"name": "agentIds", "values": ["o-1"], "condition": "CONTAINS"}], "the only filter is agentIds"),
            ([{"name": "server.hostName", "values": ["a"], "condition": "EQUALS"}], "the only filter is agentIds"),
        ],
    )
    def test_exports_of_agents_are_refused(self, discovery: Any, filters: Any, message: str) -> None:
        code, found = refusal(lambda: discovery.start_export_task(filters=filters))
        assert code == "InvalidParameterValueException"
        assert message in found

    @pytest.mark.parametrize(
        "preferences",
        [
            {"tenancy": "x"},
            {"preferredRegion": "Oregon"},
            {"cpuPerformanceMetricBasis": {"name": "p101"}},
            {"cpuPerformanceMetricBasis": {"percentageAdjust": 150.0}},
            {"excludedInstanceTypes": ["m5 large"]},
        ],
        ids=lambda preferences: next(iter(preferences)),
    )
    def test_values_that_botocore_sends_unchecked_are_refused(
        self, discovery: Any, preferences: dict[str, Any]
    ) -> None:
        call = {"preferences": {"ec2RecommendationsPreferences": {"enabled": True, **preferences}}}
        assert refusal(lambda: discovery.start_export_task(**call))[0] == "InvalidParameterValueException"

    def test_the_deprecated_format_is_refused(self, discovery: Any) -> None:
        call = lambda: discovery.start_export_task(exportDataFormat=["GRAPHML"])  # noqa: E731
        assert refusal(call)[0] == "InvalidParameterValueException"

    @pytest.mark.parametrize(
        "body", [{"preferences": {}}, {"preferences": {"other": 1}}, {"filters": [{"name": "agentIds"}]}]
    )
    def test_requests_that_botocore_refuses_are_refused_too(self, ads: AdsEmulator, body: dict[str, Any]) -> None:
        headers = {
            "X-Amz-Target": "AWSPoseidonService_V2015_11_01.StartExportTask",
            "Authorization": f"AWS4-HMAC-SHA256 Credential=a/20260101/{HOME_REGION}/discovery/aws4_request",
        }
        response = send(ads.endpoint_url, "POST", json.dumps(body).encode(), **headers)
        assert response.status == 400
        assert json.loads(response.body)["__type"] == "InvalidParameterException"


class TestDescribe:
    def test_pages_have_as_many_tasks_as_requested(self, ads: AdsEmulator, discovery: Any) -> None:
        ids = [ads.add_export_task() for _ in range(5)]
        pages = list(discovery.get_paginator("describe_export_tasks").paginate(PaginationConfig={"PageSize": 2}))
        assert [[task["exportId"] for task in page["exportsInfo"]] for page in pages] == [ids[:2], ids[2:4], ids[4:]]
        assert "nextToken" not in pages[-1]

    def test_without_a_number_a_page_has_a_hundred_tasks(self, ads: AdsEmulator, discovery: Any) -> None:
        for _ in range(101):
            ads.add_export_task()
        assert len(discovery.describe_export_tasks()["exportsInfo"]) == 100

    def test_only_the_requested_tasks_are_described_and_unknown_ids_are_ignored(
        self, ads: AdsEmulator, discovery: Any
    ) -> None:
        first, _, third = (ads.add_export_task() for _ in range(3))
        found = discovery.describe_export_tasks(exportIds=[third, "unknown", first])["exportsInfo"]
        assert [task["exportId"] for task in found] == [first, third]

    @pytest.mark.parametrize(
        "parameters",
        [
            {"exportIds": [f"e-{number}" for number in range(101)]},
            {"exportIds": ["with space"]},
            {"exportIds": ["x" * 201]},
            {"maxResults": 0},
            {"maxResults": 101},
            {"nextToken": "made up"},
            {"filters": [{"name": "status", "values": ["FAILED"], "condition": "EQUALS"}]},
        ],
        ids=lambda parameters: next(iter(parameters)),
    )
    def test_invalid_parameters_are_refused(self, discovery: Any, parameters: dict[str, Any]) -> None:
        code, _ = refusal(lambda: discovery.describe_export_tasks(**parameters))
        assert code == "InvalidParameterValueException"

    def test_a_token_of_imports_is_refused(self, ads: AdsEmulator, discovery: Any) -> None:
        for _ in range(2):
            ads.add_import_task()
        token = discovery.describe_import_tasks(maxResults=1)["nextToken"]
        code, _ = refusal(lambda: discovery.describe_export_tasks(nextToken=token))
        assert code == "InvalidParameterValueException"

    @pytest.mark.parametrize("name", ["agentIds", "AgentId"])
    def test_no_export_is_about_an_agent(self, ads: AdsEmulator, discovery: Any, name: str) -> None:
        ads.add_export_task()
        filters = [{"name": name, "values": ["o-1"], "condition": "EQUALS"}]
        assert discovery.describe_export_tasks(filters=filters)["exportsInfo"] == []

    def test_each_region_has_its_own_tasks(self, ads: AdsEmulator, client: MakeClient) -> None:
        ads.add_export_task()
        assert client("discovery", region="eu-west-1").describe_export_tasks()["exportsInfo"] == []


class TestOutcomes:
    def test_an_export_can_fail(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.inject("EXPORT_FAILED", message="No servers found", calls=1)
        task = ended(ads, discovery, discovery.start_export_task()["exportId"])
        assert (task["exportStatus"], task["statusMessage"]) == ("FAILED", "No servers found")
        assert "configurationsDownloadUrl" not in task
        assert ended(ads, discovery, discovery.start_export_task()["exportId"])["exportStatus"] == "SUCCEEDED"

    def test_an_export_can_be_truncated(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.inject("EXPORT_TRUNCATED")
        task = ended(ads, discovery, discovery.start_export_task()["exportId"])
        assert (task["exportStatus"], task["isTruncated"]) == ("SUCCEEDED", True)
        assert task["configurationsDownloadUrl"]

    def test_a_start_can_be_denied(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.inject("OperationNotPermittedException", operation="StartExportTask", message="Too many.")
        assert refusal(discovery.start_export_task) == ("OperationNotPermittedException", "Too many.")

    @pytest.mark.parametrize(
        "arguments", [{"status": 500}, {"operation": "DescribeExportTasks"}, {"import_task_id": "i"}]
    )
    def test_an_outcome_accepts_no_argument_of_other_faults(self, ads: AdsEmulator, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="'EXPORT_FAILED'"):
            ads.inject("EXPORT_FAILED", **arguments)

    def test_a_changed_status_abandons_the_export(self, ads: AdsEmulator, discovery: Any) -> None:
        export_id = discovery.start_export_task()["exportId"]
        ads.update_export_task(export_id, exportStatus="FAILED", isTruncated=None)
        ads.export_seconds = 0
        other = discovery.start_export_task()["exportId"]
        assert ended(ads, discovery, other)["exportStatus"] == "SUCCEEDED"
        assert describe(discovery, export_id)["exportStatus"] == "FAILED"

    def test_an_added_export_does_not_end(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.export_seconds = 0
        added = ads.add_export_task(statusMessage="busy")
        assert ended(ads, discovery, discovery.start_export_task()["exportId"])["exportStatus"] == "SUCCEEDED"
        assert (describe(discovery, added)["exportStatus"], describe(discovery, added)["statusMessage"]) == (
            "IN_PROGRESS",
            "busy",
        )

    def test_unknown_names_ids_and_regions_are_refused(self, ads: AdsEmulator) -> None:
        with pytest.raises(ValueError, match="An export task has no field status; it has configurationsDownloadUrl"):
            ads.add_export_task(status="FAILED")
        with pytest.raises(KeyError):
            ads.update_export_task("unknown", exportStatus="FAILED")
        ads.home_region = None
        with pytest.raises(ValueError, match="needs a home region"):
            ads.add_export_task()


class TestClients:
    """Clients of other kinds understand the two operations; boto3's paginator is tested above."""

    def test_aiobotocore(self, ads: AdsEmulator) -> None:
        ads.export_seconds = 0

        async def export() -> list[str]:
            async with get_session().create_client(
                "discovery",
                region_name=HOME_REGION,
                endpoint_url=ads.endpoint_url,
                aws_access_key_id="user",
                aws_secret_access_key="secret",
            ) as client:
                export_id = (await client.start_export_task(preferences=RECOMMENDATIONS))["exportId"]
                while True:
                    pages = client.get_paginator("describe_export_tasks").paginate(exportIds=[export_id])
                    (task,) = (await pages.build_full_result())["exportsInfo"]
                    if task["exportStatus"] != "IN_PROGRESS":
                        return [task["exportStatus"], task["configurationsDownloadUrl"]]

        status, url = asyncio.run(export())
        assert status == "SUCCEEDED"
        assert "X-Amz-Signature=" in url

    def test_the_aws_cli(self, ads: AdsEmulator) -> None:
        def aws(*arguments: str) -> Any:
            command = [str(Path(sys.executable).with_name("aws")), "discovery", *arguments, "--output", "json"]
            environment = {
                "AWS_ENDPOINT_URL": ads.endpoint_url,
                "AWS_ACCESS_KEY_ID": "user",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": HOME_REGION,
            }
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
            return json.loads(done.stdout)

        ads.export_seconds = 0
        preferences = json.dumps({"ec2RecommendationsPreferences": {"enabled": True, "preferredRegion": "eu-west-1"}})
        export_id = aws("start-export-task", "--preferences", preferences)["exportId"]
        other = aws("start-export-task")["exportId"]
        wait_for(lambda: {task["exportStatus"] for task in ads.export_tasks()} == {"SUCCEEDED"})
        (task,) = aws("describe-export-tasks", "--export-ids", export_id)["exportsInfo"]
        assert (task["exportId"], task["exportStatus"]) == (export_id, "SUCCEEDED")
        every = aws("describe-export-tasks", "--page-size", "1")["exportsInfo"]
        assert [each["exportId"] for each in every] == [export_id, other]


def test_the_control_interface_lists_exports(ads: AdsEmulator) -> None:
    export_id = ads.add_export_task()
    (task,) = json.loads(send(f"{ads.endpoint_url}/_ads/export-tasks").body)
    assert task["exportId"] == export_id


def test_every_status_of_the_service_has_a_message(ads: AdsEmulator, discovery: Any) -> None:
    model: Any = botocore.session.get_session().get_service_model("discovery")
    for status in model.shape_for("ExportStatus").enum:
        assert describe(discovery, ads.add_export_task(exportStatus=status))["statusMessage"] != status
