"""The Imports tab in Chromium shows AWS's numbers for every kind of run, to every viewer who may read them."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.imports_tab.tab import HOSTILE, Tab
from tests.e2e.whole_airflow.runs import Run
from tests.support.airflow import LocalAirflow
from tests.support.browser import requested_urls

Runs = dict[str, Future[Run]]


def import_tasks(ads: AdsEmulator, run_id: str) -> list[dict[str, Any]]:
    """Return the imports that a run started, by their files."""
    found = [task for task in ads.import_tasks() if task["name"].startswith(run_id)]
    return sorted(found, key=lambda task: str(task["importUrl"]))


def total(tasks: list[dict[str, Any]], field: str) -> int:
    return sum(task.get(field) or 0 for task in tasks)


def open_run(tab: Tab, run: Run) -> None:
    tab.open(dag_id=run.dag_id, run_id=run.run_id)


@pytest.mark.parametrize(
    ("name", "state", "parts"), [("good", "success", 1), ("partial", "failed", 3), ("mapped", "success", 3)]
)
def test_the_numbers_of_a_run_are_those_of_aws(
    tab: Tab, runs: Runs, aws: dict[str, AdsEmulator], name: str, state: str, parts: int
) -> None:
    run = runs[name].result()
    open_run(tab, run)
    tasks = import_tasks(aws["aws_default"], run.run_id)
    report = run.xcom("prepare", "report")
    assert (run.state, len(tasks)) == (state, parts)
    expected = {
        "rows": report["rows_read"],
        "imported": total(tasks, "serverImportSuccess"),
        "failed": total(tasks, "serverImportFailure"),
        "quarantined": report["rows_quarantined"],
        "filtered": sum(report["rows_filtered"].values()),
    }
    assert tab.terms == {name: number for name, number in expected.items() if number}
    assert expected["rows"] == sum(expected.values()) - expected["rows"]
    assert [cells[:4] for cells in tab.imports] == [
        [
            task["importUrl"].rpartition("/")[2],
            str(part["rows"]),
            str(task["serverImportSuccess"]),
            str(task["serverImportFailure"]),
        ]
        for task, part in zip(tasks, report["parts"], strict=True)
    ]
    statuses = {"IMPORT_COMPLETE": "complete", "IMPORT_COMPLETE_WITH_ERRORS": "complete with errors"}
    assert [cells[5] for cells in tab.imports] == [statuses[task["status"]] for task in tasks]
    applications = f"Applications: {total(tasks, 'applicationImportSuccess')} imported"
    assert applications in tab.texts(".legend")[0]


def test_a_failed_run_names_the_task_that_failed_and_the_files_with_rows_to_correct(tab: Tab, runs: Runs) -> None:
    run = runs["partial"].result()
    open_run(tab, run)
    assert "Failed: import_files. The log of the task says why and what to do." in tab.text
    assert "Not run because of that: delete_older_imports." in tab.text
    (failed,) = [each for each in run.xcom("fetch_failed_records") if each["failed_records"]]
    assert tab.texts(".url code") == [
        run.xcom("prepare", "report")["quarantine_url"],
        failed["failed_entries_url"],
        failed["errors_url"],
    ]
    assert "1 row quarantined before the import. Invalid cells: Memory (MB) (1)" in tab.text.replace("\n", " ")
    tab.elements("button.copy")[0].click()
    tab.wait_for(lambda: tab.texts("button.copy")[0] == "Copied")


def test_a_run_shows_what_was_ignored_and_filtered(tab: Tab, runs: Runs) -> None:
    run = runs["good"].result()
    open_run(tab, run)
    assert "Column Rack is ignored: it is not a column of the import template." in tab.text
    facts = dict(zip(tab.texts("dt"), tab.texts("dd"), strict=True))
    assert facts["Ignored by the mapping"] == "Comment"
    assert facts["Filtered"] == "2 rows by Operating System"
    assert facts["Format"] == run.xcom("prepare", "report")["source_format"]


def test_a_run_shows_the_quota_before_and_after_it(tab: Tab, runs: Runs) -> None:
    run = runs["good"].result()
    open_run(tab, run)
    quota = run.xcom("prepare", "record_quota")
    assert f"{quota['before']:,} → {quota['after']:,} of 25,000" in tab.texts(".quota")[0].replace("\n", " ")


def test_a_run_shows_which_imports_it_deleted(tab: Tab, runs: Runs) -> None:
    run = runs["good"].result()
    open_run(tab, run)
    deleted = run.xcom("delete_older_imports")
    assert deleted
    (heading,) = [text for text in tab.texts("h2") if "deleted" in text]
    assert heading.startswith(f"{len(deleted)} import")


def test_a_failed_import_has_no_imported_rows(tab: Tab, runs: Runs, aws: dict[str, AdsEmulator]) -> None:
    run = runs["failed"].result()
    open_run(tab, run)
    (task,) = import_tasks(aws["aws_default"], run.run_id)
    assert task["status"] == "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE"
    assert tab.terms == {"rows": 0, "imported": 0}
    ((name, *_, status, _),) = tab.imports
    assert (name, status) == (f"{HOSTILE}.txt", "failed: unsupported file type")


def test_a_run_in_progress_is_updated_until_its_end(
    tab: Tab, airflow: LocalAirflow, aws: dict[str, AdsEmulator]
) -> None:
    conf = {"source_url": "s3://inventory/good.csv", "name_prefix": "running-", "aws_conn_id": "aws_slow"}
    run_id = airflow.trigger("tab_pipeline", "running-1", **conf)
    tab.open(dag_id="tab_pipeline", run_id=run_id)
    tab.wait_for(lambda: tab.terms == {"rows": 6, "filtered": 2, "in progress": 4})
    assert [cells[5] for cells in tab.imports] == ["in progress"]
    assert tab.texts("header .status")[0].startswith("Running · updated ")
    aws["aws_slow"].import_seconds = 0.1
    tab.wait_for(lambda: tab.terms == {"rows": 6, "imported": 4, "filtered": 2})
    tab.wait_for(lambda: tab.texts("header .status")[0].startswith("Success · "))
    tasks = import_tasks(aws["aws_slow"], run_id)
    assert tab.terms["imported"] == total(tasks, "serverImportSuccess")


def test_a_cleared_run_shows_the_numbers_of_the_current_attempt(
    tab: Tab, runs: Runs, airflow: LocalAirflow, aws: dict[str, AdsEmulator]
) -> None:
    run = runs["cleared"].result()
    open_run(tab, run)
    assert tab.terms == {"row": 1, "imported": 1}
    ads = aws["aws_cleared"]
    ads.upload("s3://inventory/cleared.csv", "ExternalId,HostName\n1,a.example\n2,b.example\n")
    ads.import_seconds = 3600
    hold = airflow.home / "hold"
    hold.touch()
    airflow.clear(run.dag_id, run.run_id, "import_file")
    tab.wait_for(lambda: [task.state for task in airflow.task_instances(run.dag_id, run.run_id)] == ["running"])
    open_run(tab, run)
    assert tab.heading == "No imports in this run yet"
    hold.unlink()
    tab.wait_for(lambda: tab.heading == "1 import in progress")
    ads.import_seconds = 0.1
    tab.wait_for(lambda: tab.terms == {"rows": 2, "imported": 2})
    assert [task["serverImportSuccess"] for task in import_tasks(ads, run.run_id)] == [1, 2]


@pytest.mark.parametrize("address", [{"task_id": "report", "map_index": -1}, {}])
def test_a_run_without_imports_explains_the_tab(tab: Tab, runs: Runs, address: dict[str, Any]) -> None:
    run = runs["without imports"].result()
    tab.open(dag_id=run.dag_id, run_id=run.run_id, **address)
    assert tab.heading == f"No imports in this {'task' if address else 'run'}"
    assert "what tasks of airflow-provider-ads report as XComs" in tab.text


def test_a_dag_without_imports_explains_the_tab(tab: Tab, runs: Runs) -> None:
    tab.open(dag_id=runs["without imports"].result().dag_id)
    assert tab.heading == "No imports in the last run"


def test_references_of_an_xcom_backend_are_named(tab: Tab, runs: Runs) -> None:
    run = runs["with references"].result()
    assert run.xcom("import_file", "import_task") == "s3://xcoms/<b>reference</b>"
    open_run(tab, run)
    assert "This tab cannot read" in tab.text
    assert "import_task of import_file" in tab.text


def test_the_page_of_a_dag_shows_its_runs_and_opens_them(tab: Tab, runs: Runs, aws: dict[str, AdsEmulator]) -> None:
    finished = [runs["good"].result(), runs["partial"].result()]
    tab.open(dag_id="tab_pipeline")
    imported = [total(import_tasks(aws["aws_default"], run.run_id), "serverImportSuccess") for run in finished]
    titles = {str(element.get_attribute("title")): element for element in tab.elements(".column")}
    for run, number in zip(finished, imported, strict=True):
        assert f"\n{number} imported" in next(title for title in titles if title.startswith(run.run_id))
    next(element for title, element in titles.items() if title.startswith(finished[1].run_id)).click()
    tab.wait_for(lambda: tab.terms.get("imported") == imported[1])
    tab.elements("button.back")[0].click()
    tab.wait_for(lambda: tab.elements(".chart"))


def test_the_page_of_a_dag_reads_a_run_that_has_ended_only_once(tab: Tab, runs: Runs) -> None:
    run = runs["good"].result()
    tab.open(dag_id=run.dag_id)
    answered = "return performance.getEntriesByType('resource').filter(({name}) => name.includes('/dagRuns?')).length"
    requested_urls(tab.chrome)
    # By the answer of the second load, the first one has requested what it needs.
    for _ in range(2):
        before = tab.chrome.execute_script(answered)
        # The page loads its data again when it becomes visible.
        tab.chrome.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
        while tab.chrome.execute_script(answered) == before:
            time.sleep(0.05)
    urls = requested_urls(tab.chrome)
    assert len([url for url in urls if "/dagRuns?" in url]) >= 2
    assert [url for url in urls if urllib.parse.quote(run.run_id) in url] == []


def test_the_page_of_a_mapped_task_instance_shows_its_import(tab: Tab, runs: Runs, aws: dict[str, AdsEmulator]) -> None:
    run = runs["mapped"].result()
    tab.open(dag_id=run.dag_id, run_id=run.run_id, task_id="start_import", map_index=1)
    task = import_tasks(aws["aws_default"], run.run_id)[1]
    ((name, rows, imported, *_),) = tab.imports
    assert (name, imported) == ("part-0002.csv", str(task["serverImportSuccess"]))
    assert rows == str(run.xcom("prepare", "report")["parts"][1]["rows"])


def test_the_tab_is_on_the_pages_of_a_dag_a_run_and_a_task_and_has_their_theme(tab: Tab, runs: Runs) -> None:
    run = runs["partial"].result()
    page = f"/dags/{run.dag_id}"
    tab.open_in_airflow(page)
    assert tab.heading.startswith("Rows of the last")
    tab.open_in_airflow(f"{page}/runs/{run.run_id}/tasks/import_files")
    assert tab.terms["imported"] == 398
    tab.open_in_airflow(f"{page}/runs/{run.run_id}")
    assert tab.terms["rows"] == 600

    def color() -> str:
        return str(tab.chrome.execute_script("return getComputedStyle(document.body).color"))

    light = color()
    tab.chrome.execute_script(
        "const root = parent.document.documentElement; root.classList.remove('light'); root.classList.add('dark')"
    )
    tab.wait_for(lambda: color() != light)


@pytest.mark.parametrize("name", ["failed", "hostile"])
def test_hostile_names_are_text(tab: Tab, runs: Runs, name: str) -> None:
    run = runs[name].result()
    open_run(tab, run)
    assert HOSTILE in tab.text
    assert tab.elements("#page img") == []
    assert tab.chrome.execute_script("return window.hacked") is None
    tab.open(dag_id=run.dag_id)
    assert tab.elements("#page img") == []
    assert tab.chrome.execute_script("return window.hacked") is None


def test_every_name_in_a_report_is_shown_as_text(tab: Tab, runs: Runs) -> None:
    open_run(tab, runs["hostile"].result())
    for word in ("header", "quarantine", "column", "ignored", "unknown", "format", "warning", "old"):
        assert f"{word} {HOSTILE}" in tab.text
    assert "Dry run: 1 import would be deleted" in tab.text
    assert "Nothing was deleted, because dry_run is set." in tab.text
    assert "exceeds the quota" in tab.text


def test_xcoms_of_another_form_do_not_hide_the_others(tab: Tab, runs: Runs) -> None:
    open_run(tab, runs["malformed"].result())
    assert tab.terms == {"rows": 3, "imported": 3}
    (notice,) = tab.texts(".notice")
    assert notice.startswith("This tab cannot read ")
    assert {words.split()[0] for words in tab.texts(".notice b")} == {"report", "deletion", "record_quota"}


def test_the_page_of_a_proxy_instead_of_an_answer_is_explained(tab: Tab, runs: Runs) -> None:
    script = {"source": "window.fetch = async () => new Response('<html>')"}
    added = tab.chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    try:
        open_run(tab, runs["good"].result())
        assert tab.heading == "Airflow does not answer"
    finally:
        tab.chrome.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_an_id_that_is_not_known_is_explained(tab: Tab) -> None:
    tab.open(dag_id=HOSTILE, run_id=HOSTILE)
    assert tab.heading.startswith("Airflow does not have this ")


@pytest.fixture
def origin(airflow: LocalAirflow) -> str:
    return airflow.url


def test_no_request_leaves_airflow(tab: Tab, runs: Runs, origin: str) -> None:
    run = runs["partial"].result()
    requested_urls(tab.chrome)
    open_run(tab, run)
    tab.open(dag_id=run.dag_id)
    urls = [url for url in requested_urls(tab.chrome) if not url.startswith("about:")]
    assert len(urls) > 5
    assert [url for url in urls if not url.startswith(f"{origin}/")] == []


def test_the_policy_of_the_page_forbids_other_origins_scripts_and_styles(
    tab: Tab, runs: Runs, aws: dict[str, AdsEmulator]
) -> None:
    open_run(tab, runs["partial"].result())
    blocked = tab.chrome.execute_async_script(
        """
        const [url, done] = arguments;
        const blocked = [];
        document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
        const add = (tag, attributes) => document.body.append(Object.assign(document.createElement(tag), attributes));
        add("img", { src: url });
        add("iframe", { src: url });
        add("script", { textContent: "window.hacked = 1" });
        add("style", { textContent: "body { color: red }" });
        fetch(url).catch(() => setTimeout(() => done(blocked.sort()), 100));
        """,
        aws["aws_default"].endpoint_url,
    )
    assert blocked == ["connect-src", "frame-src", "img-src", "script-src-elem", "style-src-elem"]
    assert tab.chrome.execute_script("return window.hacked") is None


def test_fifty_parts_take_no_more_requests_than_necessary(
    tab: Tab, runs: Runs, aws: dict[str, AdsEmulator], capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs["of fifty parts"].result()
    requested_urls(tab.chrome)
    open_run(tab, run)
    requests = [url.rpartition("/api/v2/")[2] for url in requested_urls(tab.chrome) if "/api/v2/" in url]
    last = "return performance.getEntriesByType('resource').at(-1).responseEnd / 1000"
    with capsys.disabled():
        print(f"\nThe Imports tab showed {len(tab.imports)} parts after {tab.chrome.execute_script(last):.2f} s.")
    assert len(tab.imports) >= 50
    assert tab.terms["imported"] == total(import_tasks(aws["aws_default"], run.run_id), "serverImportSuccess")
    run_path = f"dags/{run.dag_id}/dagRuns/{urllib.parse.quote(run.run_id)}"
    assert sorted(request.partition("?")[0] for request in requests) == [
        run_path,
        f"{run_path}/taskInstances",
        f"{run_path}/taskInstances/import_files/xcomEntries/import_task",
        f"{run_path}/taskInstances/prepare/xcomEntries/record_quota",
        f"{run_path}/taskInstances/prepare/xcomEntries/report",
        f"{run_path}/taskInstances/~/xcomEntries",
    ]


def test_the_starts_of_imports_that_another_task_waited_for_take_no_requests(tab: Tab, runs: Runs) -> None:
    requested_urls(tab.chrome)
    open_run(tab, runs["mapped"].result())
    assert [url for url in requested_urls(tab.chrome) if "/start_import/" in url] == []


def test_a_viewer_who_is_logged_in_sees_the_imports_under_a_base_path(
    tab_of: Callable[[str | None], Tab], runs: Runs
) -> None:
    tab = tab_of("reader")
    run = runs["partial"].result()
    open_run(tab, run)
    assert tab.terms["rows"] == 600
    tab.open_in_airflow(f"/dags/{run.dag_id}/runs/{run.run_id}")
    assert tab.terms["rows"] == 600


@pytest.mark.parametrize(
    ("user", "heading", "explanation"),
    [
        (None, "Log in to see the imports", "Airflow answered 401"),
        ("without_dags", "You may not read the Dag run", "Airflow answered 403 for the Dag run."),
        ("without_xcoms", "You may not read the XComs of this Dag", "Airflow answered 403 for the XComs."),
    ],
)
def test_a_viewer_without_access_learns_why(
    tab_of: Callable[[str | None], Tab], runs: Runs, user: str | None, heading: str, explanation: str
) -> None:
    tab = tab_of(user)
    open_run(tab, runs["good"].result())
    assert tab.heading == heading
    assert explanation in tab.text
