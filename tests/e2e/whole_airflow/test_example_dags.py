"""The examples that the demo does not run, as they are copied."""

from __future__ import annotations

from concurrent.futures import Future

from tests.e2e.whole_airflow.nights import BAD_ROWS, HEADER, Correction
from tests.e2e.whole_airflow.runs import Run
from tests.support.moto import sent_messages


def test_the_check_of_a_connection_says_what_is_good(finished: dict[str, Run]) -> None:
    run = finished["example_ads_check_connection"]
    assert run.state == "success"
    assert "Imports can be listed in us-west-2, the account's Migration Hub home region" in run.log("check_connection")


def test_a_good_night_has_nothing_to_fetch(correction: Future[Correction]) -> None:
    good = correction.result().good
    assert good.run.state == "success"
    assert good.run.xcom("fetch_failed_records") == {
        "failed_records": 0,
        "errors_url": None,
        "failed_entries_url": None,
    }


def test_bad_rows_fail_the_night_are_fetched_and_keep_the_night_before(correction: Future[Correction]) -> None:
    good, bad = correction.result().good, correction.result().bad
    assert bad.run.state == "failed"
    assert bad.run.states() == {
        "start_import": "success",
        "wait_for_import": "failed",
        "fetch_failed_records": "success",
        "delete_older_imports": "upstream_failed",
    }
    assert {task.try_number for task in bad.run.task_instances if task.state != "upstream_failed"} == {1}
    assert correction.result().failed_entries == HEADER + BAD_ROWS
    assert bad.statuses[good.started[0]] == "IMPORT_COMPLETE"


def test_the_notifier_tells_the_counts(correction: Future[Correction]) -> None:
    run_id = correction.result().bad.run.run_id
    sent = sent_messages("us-west-2", "migration")
    assert [message for message in sent if run_id in message] == [
        f"cmdb-{run_id}: IMPORT_COMPLETE_WITH_ERRORS, servers imported 3,\nservers failed 2, applications failed 0"
    ]
    assert all("IMPORT_COMPLETE_WITH_ERRORS" in message for message in sent)


def test_the_corrected_rows_are_imported_beside_the_others(correction: Future[Correction]) -> None:
    corrected = correction.result().corrected
    assert corrected.run.state == "success"
    assert corrected.run.xcom("wait_for_import")["serverImportSuccess"] == 2
    assert corrected.run.xcom("wait_for_import")["importUrl"] == "s3://migration-inventory/by-hand.csv"
    assert list(corrected.statuses.values()).count("IMPORT_COMPLETE") >= 2
    assert "DELETE" not in "".join(corrected.statuses.values())


def test_the_next_night_replaces_them_all(correction: Future[Correction]) -> None:
    nights = correction.result()
    last = nights.last
    assert last.run.state == "success"
    assert last.run.xcom("wait_for_import")["serverImportSuccess"] == 5
    assert last.run.xcom("delete_older_imports") == last.before
    assert set(last.before) >= {*nights.good.started, *nights.bad.started, *nights.corrected.started}
    assert last.statuses == {
        **dict.fromkeys(last.statuses, "DELETE_COMPLETE"),
        **dict.fromkeys(last.started, "IMPORT_COMPLETE"),
    }
