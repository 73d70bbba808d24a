"""The emulator's page, as a browser requests it."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.page import parse_form
from tests.unit.emulator.conftest import (
    HttpResponse,
    ImportFile,
    MakeClient,
    end_refusal,
    run_import,
    send,
    wait_for,
)

#: The header ``Accept`` of Chromium.
HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


class Page(HTMLParser):
    """The page as a browser reads it: its elements, the cells of its table rows, and its text without styles."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__()
        self.status, self.headers = response.status, response.headers
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.html = response.body.decode()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in ("input", "link", "meta"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data + "\n"
        if "td" in self._open:
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data}".strip()

    def row(self, beginning: str) -> list[str]:
        """Return the cells of the row whose first cell begins with these words."""
        (row,) = [row for row in self.rows if row and row[0].startswith(beginning)]
        return row

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def get_page(ads: AdsEmulator, path: str = "/") -> Page:
    return Page(send(ads.endpoint_url + path, Accept=HTML))


def quotas(page: Page) -> dict[str, list[str]]:
    """Return the number used and the limit of each quota."""
    return {row[0]: row[1:3] for row in page.rows if len(row) == 4}


def submit(ads: AdsEmulator, path: str, **fields: str) -> Page:
    """Send a form as a browser does, and follow the redirect."""
    headers = {"Accept": HTML, "Content-Type": "application/x-www-form-urlencoded", "Origin": ads.endpoint_url}
    return Page(send(ads.endpoint_url + path, "POST", urlencode(fields).encode(), **headers))


class TestRequests:
    def test_a_browser_gets_a_page_that_loads_nothing_else_and_runs_no_script(self, ads: AdsEmulator) -> None:
        page = get_page(ads)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert page.html.startswith("<!DOCTYPE html>")
        assert "color-scheme: light dark" in page.html
        assert not {"script", "img", "iframe"} & {tag for tag, _ in page.elements}
        assert [link["href"] for link in page.attributes("link")] == ["data:,"]
        links = [str(link["href"]) for link in page.attributes("a")]
        assert all(link.startswith(("/", "#")) for link in links)
        assert {link[1:] for link in links if link.startswith("#")} <= {each.get("id") for _, each in page.elements}

    def test_scripts_get_the_buckets(self, ads: AdsEmulator) -> None:
        for response in (
            send(ads.endpoint_url),
            send(ads.endpoint_url, Accept="*/*"),
            send(ads.endpoint_url, Accept="application/json"),
        ):
            assert response.status == 200
            assert b"<ListAllMyBucketsResult" in response.body

    def test_a_signed_request_and_another_query_get_the_answer_of_s3(self, ads: AdsEmulator) -> None:
        credential = "AWS4-HMAC-SHA256 Credential=user/20260105/us-west-2/s3/aws4_request"
        for response in (
            send(ads.endpoint_url, Accept=HTML, Authorization=credential),
            send(f"{ads.endpoint_url}/?x-id=ListBuckets", Accept=HTML),
        ):
            assert b"<ListAllMyBucketsResult" in response.body

    def test_the_control_interface_answers_a_browser_with_json(self, ads: AdsEmulator) -> None:
        for path in ("", "calls", "import-tasks", "iam-actions", "held"):
            assert send(f"{ads.endpoint_url}/_ads/{path}", Accept=HTML).headers["Content-Type"] == "application/json"

    def test_the_page_is_neither_a_call_nor_an_iam_action(self, ads: AdsEmulator) -> None:
        page = get_page(ads)
        assert ads.calls() == ads.iam_actions() == {}
        assert "There have been no calls yet." in page.text

    def test_it_refreshes_only_if_it_is_asked_to(self, ads: AdsEmulator) -> None:
        """A page that refreshes has no form to set faults, which would lose what the user types."""
        assert not any(meta.get("http-equiv") for meta in get_page(ads).attributes("meta"))
        page = get_page(ads, "/?refresh")
        assert [meta["content"] for meta in page.attributes("meta") if "http-equiv" in meta] == ["5; url=/?refresh"]
        assert page.attributes("select") == []

    def test_it_works_at_a_public_url(self) -> None:
        with AdsEmulator(public_url="http://ads.example.com:5005") as ads:
            url = f"http://127.0.0.1:{ads._server.port}/"
            assert "http://ads.example.com:5005 · " in Page(send(url, Accept=HTML, Host="ads.example.com:5005")).text


class TestImports:
    def test_without_imports_it_shows_how_to_start_one(self, ads: AdsEmulator) -> None:
        page = get_page(ads)
        assert "aws discovery start-import-task" in page.text
        assert "open" in page.attributes("details")[0]
        ads.add_import_task()
        assert "open" not in get_page(ads).attributes("details")[0]

    def test_an_import_has_its_counts(self, ads: AdsEmulator, import_file: ImportFile) -> None:
        task = import_file("ExternalId,OS.Name,Applications\na,Linux,shop\n,Linux,shop\n")
        name, status, *counts, requested = get_page(ads).row("n s3:")
        assert name == f"n s3://inventory/servers.csv {task['importTaskId']}"
        assert status == "IMPORT_COMPLETE_WITH_ERRORS with an error archive"
        assert counts == ["1", "1", "1", "1"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ended after [\d.]+ s", requested)

    def test_a_failed_import_has_its_reason(self, ads: AdsEmulator, discovery: Any) -> None:
        run_import(discovery, "s3://missing/servers.csv")
        status = "IMPORT_FAILED s3://missing/servers.csv: NoSuchBucket"
        wait_for(lambda: get_page(ads).row("n s3:")[1:6] == [status, "0", "0", "0", "0"])

    def test_a_running_import_has_its_age(self, ads: AdsEmulator) -> None:
        ads.add_import_task(name="running", importRequestTime=datetime.now(UTC))
        assert re.search(r" [\d.]+ s ago$", get_page(ads).row("running")[-1])

    def test_the_newest_imports_are_first_and_older_ones_are_counted(self, ads: AdsEmulator) -> None:
        for number in range(103):
            ads.add_import_task(name=f"import-{number}", status="IMPORT_COMPLETE" if number else "IMPORT_PAUSED")
        page = get_page(ads)
        names = [row[0].split()[0] for row in page.rows if row and row[0].startswith("import-")]
        assert names == [f"import-{number}" for number in range(102, 2, -1)]
        assert "103 in total: 102\xa0IMPORT_COMPLETE · 1\xa0IMPORT_PAUSED" in page.text
        assert "These are the newest 100." in page.text

    def test_names_urls_and_messages_are_text(self, ads: AdsEmulator) -> None:
        hostile = '<script>alert("1")</script>\' & <b>'
        ads.add_import_task(name=hostile, importUrl=f"s3://inventory/{hostile}", status=hostile)
        ads.inject("malformed", message=hostile)
        page = get_page(ads)
        assert page.text.count(hostile) == 5  # the name, the URL, the status twice, the message
        assert not {"script", "b"} & {tag for tag, _ in page.elements}


class TestExports:
    def test_without_exports_there_is_no_table_of_them(self, ads: AdsEmulator) -> None:
        assert "Exports" not in get_page(ads).text

    def test_the_newest_exports_are_first_and_have_their_content_status_and_message(
        self, ads: AdsEmulator, discovery: Any
    ) -> None:
        ads.add_export_task(exportStatus="FAILED", statusMessage='<script>alert("1")</script>')
        export_id = discovery.start_export_task(preferences={"ec2RecommendationsPreferences": {"enabled": True}})[
            "exportId"
        ]
        wait_for(lambda: ads.export_tasks()[1]["exportStatus"] == "SUCCEEDED")
        page = get_page(ads)
        first, second = (row for row in page.rows if row and "export-" in row[0])
        assert f"EC2 recommendations {export_id}" in " ".join(first[0].split())
        assert "SUCCEEDED" in first[1]
        assert "Summary" in second[0]
        assert '<script>alert("1")</script>' in second[1]
        assert "X-Amz-Signature" not in page.html


class TestSecrets:
    def test_tokens_and_presigned_urls_are_not_shown(self, ads: AdsEmulator, import_file: ImportFile) -> None:
        task = import_file("ExternalId\n \n")
        html = get_page(ads).html
        assert task["importTaskId"] in html
        assert "X-Amz-Signature" in task["errorsAndFailedEntriesZip"]
        assert "X-Amz-Signature" not in html
        assert task["clientRequestToken"] not in html

    @pytest.mark.parametrize(
        "import_url",
        [
            "https://inventory.s3.amazonaws.com/servers.csv?X-Amz-Signature=s3cr3t",
            "https://user:s3cr3t@example.com/servers.csv?X-Amz-Signature=s3cr3t",
            "s3://inventory/servers.csv?X-Amz-Signature=s3cr3t",
        ],
    )
    def test_credentials_in_an_import_url_are_not_shown(
        self, ads: AdsEmulator, discovery: Any, import_url: str
    ) -> None:
        run_import(discovery, import_url)
        wait_for(lambda: ads._tasks.snapshot()[0].reason)
        page = get_page(ads)
        assert "/servers.csv?…" in page.text
        assert "s3cr3t" not in page.html

    def test_the_secrets_of_known_access_keys_are_not_shown(self) -> None:
        with AdsEmulator(access_keys={"AKIAFIRST": "s3cr3t", "AKIASECOND": "s3cr3t"}) as ads:
            page = get_page(ads)
            assert "AWS_ACCESS_KEY_ID=AKIAFIRST AWS_SECRET_ACCESS_KEY=SECRET " in page.text
            assert "Replace SECRET" in page.text
            assert "s3cr3t" not in page.html

    def test_without_known_access_keys_the_lines_for_clients_are_complete(self, ads: AdsEmulator) -> None:
        page = get_page(ads)
        assert all(line in page.text for line in ads.exports)
        assert "Replace SECRET" not in page.text


class TestQuotas:
    def test_the_use_of_each_quota_is_shown(self) -> None:
        with AdsEmulator(
            record_quota=30,
            server_quota=2,
            application_quota=9,
            servers_per_application=8,
            tags_per_server=7,
            deletion_quota=1_000,
        ) as ads:
            page = get_page(ads)
        assert quotas(page) == {
            "Records": ["0", "30"],
            "Servers": ["0", "2"],
            "Applications": ["0", "9"],
            "Servers of the largest application": ["0", "8"],
            "Tags of the server with the most": ["0", "7"],
            "Records deleted today (UTC)": ["0", "1,000"],
        }

    def test_an_exhausted_quota_is_marked(self, client: MakeClient) -> None:
        with AdsEmulator(import_seconds=0, server_quota=2) as ads:
            discovery = client("discovery", emulator=ads)
            run_import(discovery, ads.upload("s3://inventory/a", "ExternalId,Tags\na,x:1\na,y:1\nb,\n"))
            page = get_page(ads)
            used = quotas(page)
            assert used["Servers exhausted"] == ["2", "2"]
            assert used["Records"] == ["3", "25,000"]
            assert used["Tags of the server with the most"] == ["2", "30"]
            run_import(discovery, ads.upload("s3://inventory/b", "ExternalId\nc\n"), name="too many")
            assert get_page(ads).row("too many")[1].startswith("IMPORT_FAILED_SERVER_LIMIT_EXCEEDED")

    def test_each_region_has_its_own_quota_table(self, ads: AdsEmulator, import_file: ImportFile) -> None:
        import_file("ExternalId\na\n")
        ads.home_region = "eu-central-1"
        page = get_page(ads)
        assert [row[1] for row in page.rows if row and row[0] == "Records"] == ["0", "1"]
        assert page.text.index("\neu-central-1\n") < page.text.index("\nus-west-2\n")
        assert page.row("n s3:")[0].endswith(" in us-west-2")


class TestFaults:
    def test_a_fault_is_set_and_cleared(self, ads: AdsEmulator, discovery: Any) -> None:
        assert "No fault is set." in get_page(ads).text
        fields = {"fault": "ThrottlingException", "operation": "DescribeImportTasks", "calls": "2", "seconds": ""}
        page = submit(ads, "/_ads/faults", **fields)
        assert (page.status, page.text.count("Clear all faults")) == (200, 1)
        assert page.row("Throttling") == ["ThrottlingException", "DescribeImportTasks", "after 2 more calls"]
        with pytest.raises(ClientError, match="ThrottlingException"):
            discovery.describe_import_tasks()
        assert get_page(ads).row("Throttling")[2] == "after 1 more call"
        page = submit(ads, "/_ads/faults", _method="DELETE")
        assert "No fault is set." in page.text
        discovery.describe_import_tasks()

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ({"fault": "latency", "delay": 90}, ["latency by 1 min 30 s", "every operation"]),
            ({"fault": "lose", "share": 0.25}, ["lose", "every operation 25% of them"]),
            ({"fault": "TeapotException", "status": 418}, ["TeapotException HTTP status 418", "every operation"]),
            (
                {"fault": "OVER_LIMIT", "import_task_id": "import-task-0", "message": "Too many."},
                ["OVER_LIMIT Too many.", "BatchDeleteImportData import-task-0"],
            ),
        ],
    )
    def test_every_part_of_a_fault_is_shown(self, ads: AdsEmulator, fault: Any, expected: list[str]) -> None:
        ads.inject(**fault)
        assert get_page(ads).row(fault["fault"]) == [*expected, "when it is cleared"]

    def test_a_fault_that_ends_has_its_time_left(self, ads: AdsEmulator) -> None:
        ads.inject("drop", seconds=7300)
        assert re.fullmatch(r"in 2 h [01] min", get_page(ads).row("drop")[2])

    def test_an_invalid_fault_is_explained_and_the_form_keeps_its_values(self, ads: AdsEmulator) -> None:
        page = submit(ads, "/_ads/faults", fault="latency", operation="StartImportTask", calls="5")
        assert page.status == 400
        assert "'latency' needs a delay in seconds" in page.text
        selected = [option["value"] for option in page.attributes("option") if "selected" in option]
        assert selected == ["latency", "StartImportTask"]
        assert {each.get("name"): each.get("value") for each in page.attributes("input")}["calls"] == "5"
        assert "No fault is set." in page.text

    def test_a_refused_value_is_text(self, ads: AdsEmulator) -> None:
        hostile = '"><script>alert(1)</script>'
        page = submit(ads, "/_ads/faults", fault="drop", calls=hostile)
        assert {each.get("name"): each.get("value") for each in page.attributes("input")}["calls"] == hostile
        assert page.attributes("script") == []

    def test_every_choice_of_the_form_is_a_fault(self, ads: AdsEmulator) -> None:
        choices = [str(option["value"]) for option in get_page(ads).attributes("option")]
        faults, operations = choices[: choices.index("")], choices[choices.index("") + 1 :]
        assert {"drop", "hold", "lose", "malformed", "ThrottlingException", "OVER_LIMIT", "EXPORT_FAILED"} < set(faults)
        assert "DescribeImportTasks" in operations
        for fault in sorted(set(faults) - {"latency", "refuse"}):
            assert submit(ads, "/_ads/faults", fault=fault).status == 200
        for operation in operations:
            assert submit(ads, "/_ads/faults", fault="drop", operation=operation).status == 200

    def test_the_page_says_for_how_long_the_port_is_closed(self, ads: AdsEmulator, discovery: Any) -> None:
        page = submit(ads, "/_ads/faults", fault="refuse", seconds="3600")
        assert "The port is closed for 3600 seconds." in page.text
        assert [meta["content"] for meta in page.attributes("meta") if "http-equiv" in meta] == ["3601; url=/"]
        with pytest.raises(EndpointConnectionError):
            discovery.describe_import_tasks()
        end_refusal(ads)

    def test_held_responses_are_counted(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.inject("hold", calls=1)
        held = threading.Thread(target=discovery.describe_import_tasks)
        held.start()
        wait_for(ads.held)
        assert "Held responses: 1" in get_page(ads).text
        assert "No fault is set." in submit(ads, "/_ads/faults", _method="DELETE").text
        held.join()

    def test_text_in_a_field_for_a_number_is_refused(self, ads: AdsEmulator) -> None:
        assert "calls must be an integer, not 'two'." in submit(ads, "/_ads/faults", fault="drop", calls="two").text
        assert parse_form({"calls": "2", "seconds": "0.5", "message": "7", "share": ""}) == {
            "calls": 2,
            "seconds": 0.5,
            "message": "7",
        }


class TestCalls:
    def test_calls_and_iam_actions_are_counted_and_reset(self, ads: AdsEmulator, discovery: Any) -> None:
        for _ in range(2):
            discovery.describe_import_tasks()
        page = get_page(ads)
        assert page.row("DescribeImportTasks") == ["DescribeImportTasks", "2"]
        assert page.row("discovery:") == ["discovery:DescribeImportTasks", "2"]
        assert "There have been no calls yet." in submit(ads, "/_ads/calls", _method="DELETE").text
        assert ads.calls() == {}
