from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.import_tasks import ImportTasks
from tests.unit.emulator.conftest import START, MakeClient, end_refusal, send


def control(ads: AdsEmulator, method: str, path: str, content: object = None) -> tuple[int, Any]:
    body = None if content is None else json.dumps(content).encode()
    response = send(f"{ads.endpoint_url}/_ads/{path}", method, body)
    return response.status, json.loads(response.body or "null")


class TestCalls:
    def test_calls_are_counted_by_operation(self, ads: AdsEmulator, client: MakeClient, s3: Any) -> None:
        discovery = client("discovery")
        for _ in range(2):
            discovery.describe_import_tasks()
        client("migrationhub-config").get_home_region()
        assert ads.calls() == {"DescribeImportTasks": 2, "GetHomeRegion": 1}
        assert ads.calls()["StartImportTask"] == 0
        ads.clear_calls()
        assert ads.calls() == {}

    def test_an_operation_that_is_not_emulated_is_refused_and_counted(self, ads: AdsEmulator, discovery: Any) -> None:
        with pytest.raises(ClientError, match=r"UnknownOperationException.*'DescribeTags'"):
            discovery.describe_tags()
        assert ads.calls() == {"DescribeTags": 1}

    def test_an_unexpected_failure_is_an_internal_error(
        self, discovery: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(ImportTasks, "_describe", None)
        with pytest.raises(discovery.exceptions.ServerInternalErrorException) as caught:
            discovery.start_import_task(**START)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        assert "StartImportTask failed unexpectedly" in caplog.text


class TestControlInterface:
    def test_calls_can_be_read_and_reset(self, ads: AdsEmulator, discovery: Any) -> None:
        discovery.describe_import_tasks()
        assert control(ads, "GET", "calls") == (200, {"DescribeImportTasks": 1})
        assert control(ads, "GET", "iam-actions") == (200, {"discovery:DescribeImportTasks": 1})
        assert control(ads, "DELETE", "calls") == (204, None)
        assert ads.calls() == ads.iam_actions() == {}

    def test_every_listed_request_exists(self, ads: AdsEmulator) -> None:
        status, requests = control(ads, "GET", "")
        assert (status, requests["DELETE /_ads/calls"]) == (200, "reset the numbers of calls and IAM actions")
        for request in requests:
            method, path = request.split(" /_ads/")
            assert control(ads, method, path)[0] in (200, 204, 400)

    def test_import_tasks_are_listed(self, ads: AdsEmulator) -> None:
        ads.add_import_task(name="n", status="IMPORT_COMPLETE")
        status, (task,) = control(ads, "GET", "import-tasks")
        assert (status, task["name"], task["status"]) == (200, "n", "IMPORT_COMPLETE")
        assert isinstance(task["importRequestTime"], float)

    def test_faults_are_injected_and_removed(self, ads: AdsEmulator, discovery: Any) -> None:
        assert control(ads, "POST", "faults", {"fault": "ThrottlingException"}) == (204, None)
        with pytest.raises(ClientError, match="ThrottlingException"):
            discovery.describe_import_tasks()
        assert control(ads, "DELETE", "faults") == (204, None)
        discovery.describe_import_tasks()

    def test_the_request_that_closes_the_port_gets_its_response(self, ads: AdsEmulator, discovery: Any) -> None:
        assert control(ads, "POST", "faults", {"fault": "refuse", "seconds": 3600}) == (204, None)
        with pytest.raises(EndpointConnectionError):
            discovery.describe_import_tasks()
        end_refusal(ads)
        assert control(ads, "GET", "calls") == (200, {})

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"fault": "drop", "colour": "red"}, "colour"),
            ({"fault": ["drop"]}, "must be a string, not ['drop']"),
            (["drop"], "list"),
        ],
    )
    def test_an_invalid_fault_is_refused(self, ads: AdsEmulator, content: object, message: str) -> None:
        status, response = control(ads, "POST", "faults", content)
        assert status == 400
        assert message in response["message"]

    def test_json_that_curl_labels_as_a_form_is_accepted(self, ads: AdsEmulator) -> None:
        headers = {"Accept": "*/*", "Content-Type": "application/x-www-form-urlencoded"}
        response = send(f"{ads.endpoint_url}/_ads/faults", "POST", b'{"fault": "drop", "calls": 2}', **headers)
        assert (response.status, response.body) == (204, b"")
        assert [(each.fault.kind, each.calls) for each in ads._faults.active()] == [("drop", 2)]

    @pytest.mark.parametrize(("method", "path"), [("GET", "colours"), ("DELETE", "import-tasks")])
    def test_an_unknown_request_is_not_found(self, ads: AdsEmulator, method: str, path: str) -> None:
        message = f"The control interface has no {method} /_ads/{path}; GET /_ads/ lists it."
        assert control(ads, method, path) == (404, {"message": message})


class TestOtherSites:
    """A page of another site can make a browser send requests to the emulator. None of them may change anything."""

    @pytest.fixture(autouse=True)
    def _a_fault_is_set(self, ads: AdsEmulator) -> None:
        ads.inject("ThrottlingException")

    def clear_faults(self, ads: AdsEmulator, **headers: str) -> int:
        """Send the page's button; return the status. A redirect leads to the page, whose status is 200."""
        headers = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded", **headers}
        return send(f"{ads.endpoint_url}/_ads/faults", "POST", b"_method=DELETE", **headers).status

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_a_request_from_another_site_is_refused(self, ads: AdsEmulator, site: str) -> None:
        assert self.clear_faults(ads, **{"Sec-Fetch-Site": site}) == 403
        assert ads._faults.active()

    @pytest.mark.parametrize("origin", ["http://example.com", "null", "http://127.0.0.1:1"])
    def test_a_request_with_another_origin_is_refused(self, ads: AdsEmulator, origin: str) -> None:
        """Browsers send no Sec-Fetch-Site to a host other than localhost without TLS."""
        assert self.clear_faults(ads, Origin=origin) == 403
        assert ads._faults.active()

    def test_json_from_another_site_is_refused(self, ads: AdsEmulator) -> None:
        """A script of another site can send text without asking first."""
        headers = {"Content-Type": "text/plain", "Origin": "http://example.com"}
        response = send(f"{ads.endpoint_url}/_ads/faults", "POST", b'{"fault": "drop"}', **headers)
        assert response.status == 403
        assert json.loads(response.body)["message"].startswith("POST /_ads/faults was refused because another site's")
        assert len(ads._faults.active()) == 1

    @pytest.mark.parametrize(
        "headers",
        [{"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy.example"}, {"Sec-Fetch-Site": "none"}, {}],
    )
    def test_other_requests_are_accepted(self, ads: AdsEmulator, headers: dict[str, str]) -> None:
        assert self.clear_faults(ads, **headers) == 200
        assert not ads._faults.active()

    def test_the_page_s_own_origin_is_accepted(self, ads: AdsEmulator) -> None:
        assert self.clear_faults(ads, Origin=ads.endpoint_url) == 200

    def test_the_origin_of_a_public_url_is_accepted(self) -> None:
        with AdsEmulator(public_url="http://ads.example.com:5005") as ads:
            url = f"http://127.0.0.1:{ads._server.port}/_ads/faults"
            host = "ads.example.com:5005"
            assert send(url, "DELETE", Host=host, Origin=f"http://{host}").status == 204
            assert send(url, "DELETE", Host=host, Origin="http://localhost").status == 403
