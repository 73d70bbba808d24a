"""The example that the demo does not run."""

from __future__ import annotations

from tests.e2e.whole_airflow.runs import Run


def test_the_check_of_a_connection_says_what_is_good(finished: dict[str, Run]) -> None:
    run = finished["example_ads_check_connection"]
    assert run.state == "success"
    assert "Imports can be listed in us-west-2, the account's Migration Hub home region" in run.log("check_connection")
