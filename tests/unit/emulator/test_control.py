from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import end_refusal, wait_for


def ask(ads: AdsEmulator, method: str, path: str, content: object = None) -> tuple[int, Any]:
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(ads.endpoint_url + path, body, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_calls(ads: AdsEmulator, discovery: Any) -> None:
    discovery.describe_import_tasks()
    assert ask(ads, "GET", "/_ads/calls") == (200, {"DescribeImportTasks": 1})


def test_calls_are_counted_anew(ads: AdsEmulator, discovery: Any) -> None:
    discovery.describe_import_tasks()
    assert ask(ads, "DELETE", "/_ads/calls") == (204, None)
    assert ads.calls() == {}


def test_iam_actions(ads: AdsEmulator, discovery: Any) -> None:
    discovery.describe_import_tasks()
    assert ask(ads, "GET", "/_ads/iam-actions") == (200, {"discovery:DescribeImportTasks": 1})
    ask(ads, "DELETE", "/_ads/calls")
    assert ask(ads, "GET", "/_ads/iam-actions") == (200, {})


def test_list_of_what_there_is(ads: AdsEmulator) -> None:
    status, listed = ask(ads, "GET", "/_ads/")
    assert status == 200
    assert "DELETE /_ads/calls" in listed
    for name in listed:
        assert ask(ads, *name.split())[0] in (200, 204, 400)


def test_requests_are_logged(ads: AdsEmulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ask(ads, "GET", "/_ads/calls")
    assert caplog.messages.count("GET /_ads/calls") == 1


def test_import_tasks(ads: AdsEmulator) -> None:
    ads.add_import_task(name="n", status="IMPORT_COMPLETE")
    status, (task,) = ask(ads, "GET", "/_ads/import-tasks")
    assert (status, task["name"], task["status"]) == (200, "n", "IMPORT_COMPLETE")
    assert isinstance(task["importRequestTime"], float)


def test_faults(ads: AdsEmulator, discovery: Any) -> None:
    assert ask(ads, "POST", "/_ads/faults", {"fault": "ThrottlingException"}) == (204, None)
    with pytest.raises(ClientError, match="ThrottlingException"):
        discovery.describe_import_tasks()
    assert ask(ads, "DELETE", "/_ads/faults") == (204, None)
    discovery.describe_import_tasks()


def test_answers_that_are_held_back(ads: AdsEmulator, discovery: Any) -> None:
    assert ask(ads, "GET", "/_ads/held") == (200, 0)
    assert ask(ads, "POST", "/_ads/faults", {"fault": "hold", "operation": "DescribeImportTasks"}) == (204, None)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(discovery.describe_import_tasks)
        wait_for(lambda: ask(ads, "GET", "/_ads/held") == (200, 1))
        assert ask(ads, "DELETE", "/_ads/faults") == (204, None)
        assert held.result()["tasks"] == []


def test_answer_that_is_lost(ads: AdsEmulator, discovery: Any) -> None:
    assert ask(ads, "POST", "/_ads/faults", {"fault": "lose", "calls": 1}) == (204, None)
    with pytest.raises(ConnectionClosedError):
        discovery.start_import_task(name="n", importUrl="s3://b/k")
    assert [task["name"] for task in ask(ads, "GET", "/_ads/import-tasks")[1]] == ["n"]


def test_error_of_an_import_task(ads: AdsEmulator, discovery: Any) -> None:
    import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
    fault = {"fault": "OVER_LIMIT", "import_task_id": import_task_id}
    assert ask(ads, "POST", "/_ads/faults", fault) == (204, None)
    (error,) = discovery.batch_delete_import_data(importTaskIds=[import_task_id])["errors"]
    assert error["errorCode"] == "OVER_LIMIT"


def test_refusal_spares_the_request_that_asks_for_it(ads: AdsEmulator) -> None:
    assert ask(ads, "POST", "/_ads/faults", {"fault": "refuse", "seconds": 3600}) == (204, None)
    with pytest.raises(urllib.error.URLError, match="refused"):
        ask(ads, "GET", "/_ads/calls")
    end_refusal(ads)
    assert ask(ads, "GET", "/_ads/calls") == (200, {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"fault": "latency"}, "needs a delay"),
        ({"fault": "drop", "colour": "red"}, "colour"),
        ({"fault": "drop", "calls": "two"}, "calls is an integer, not 'two'"),
        ({"fault": ["drop"]}, "is a string, not ['drop']"),
        (["drop"], "list"),
        ({}, "fault"),
    ],
)
def test_faults_that_make_no_sense(ads: AdsEmulator, content: object, said: str) -> None:
    status, answer = ask(ads, "POST", "/_ads/faults", content)
    assert status == 400
    assert said in answer["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/_ads/colours"), ("DELETE", "/_ads/import-tasks")])
def test_what_there_is_not(ads: AdsEmulator, method: str, path: str) -> None:
    assert ask(ads, method, path) == (404, {"message": f"The emulator does not know {method} {path}."})
