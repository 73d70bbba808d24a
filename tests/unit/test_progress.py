from __future__ import annotations

import logging
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_ads import progress
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.statuses import is_running
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.polling import Poll
from airflow_provider_ads.progress import Outage, ProgressLog

ID = "import-task-" + "f" * 32
THROTTLED = AdsCallError("throttled", "ThrottlingException", transient=True)
REFUSED = AdsCallError("refused", "AuthorizationErrorException")


def poll(status: str | None = None, error: AdsCallError | None = None) -> Poll:
    return Poll({ID: ImportTask(import_task_id=ID, name="cmdb", status=status)} if status else {}, error)


class TestOutage:
    def test_a_final_error_ends_the_wait_immediately(self) -> None:
        with pytest.raises(AdsCallError, match="refused"):
            Outage().check(REFUSED)

    def test_an_outage_that_lasts_too_long_ends_the_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        outage = Outage()
        outage.check(THROTTLED)
        monkeypatch.setattr(progress, "LONGEST_OUTAGE", 0.0)
        with pytest.raises(AdsCallError, match="throttled"):
            outage.check(THROTTLED)

    def test_a_failed_poll_after_a_successful_one_starts_another_outage(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress, "LONGEST_OUTAGE", 0.1)
        outage = Outage()
        outage.check(THROTTLED)
        time.sleep(0.2)
        outage.check(None)
        time.sleep(0.2)
        outage.check(THROTTLED)


class TestProgressLog:
    @pytest.fixture
    def log(self, caplog: pytest.LogCaptureFixture) -> logging.Logger:
        caplog.set_level(logging.INFO, "test_progress")
        return logging.getLogger("test_progress")

    def test_it_has_one_line_for_each_change_but_none_for_the_end(
        self, log: logging.Logger, caplog: pytest.LogCaptureFixture
    ) -> None:
        progress_log = ProgressLog(log, is_running)
        running, ended = poll("IMPORT_IN_PROGRESS"), poll("IMPORT_COMPLETE")
        throttled = poll("IMPORT_IN_PROGRESS", THROTTLED)
        for each in (running, running, throttled, throttled, ended):
            progress_log.write(each)
        line, error = caplog.messages
        assert re.fullmatch(rf"IMPORT_IN_PROGRESS: waiting for \d:\d\d:\d\d. 'cmdb' \({ID}\)", line)
        assert error == "Polling again soon; the last poll failed.\nthrottled"

    def test_several_imports_are_one_line_with_the_counts_so_far(
        self, log: logging.Logger, caplog: pytest.LogCaptureFixture
    ) -> None:
        requested = datetime.now(UTC) - timedelta(hours=3)
        tasks = [
            ImportTask(import_task_id="1", status="IMPORT_COMPLETE", server_import_success=1605),
            ImportTask(import_task_id="2", status="IMPORT_IN_PROGRESS", server_import_failure=2),
            ImportTask(import_task_id="3", status="IMPORT_IN_PROGRESS", import_request_time=requested),
        ]
        ProgressLog(log, is_running).write(Poll({task.import_task_id: task for task in tasks}))
        (line,) = caplog.messages
        expected = r"1 of 3 ended: 1,605 imported, 2 failed, requested 3:\d\d:\d\d ago\. "
        assert re.fullmatch(expected + "1 IMPORT_COMPLETE, 2 IMPORT_IN_PROGRESS", line)

    def test_it_does_not_repeat_the_poll_that_was_already_logged(
        self, log: logging.Logger, caplog: pytest.LogCaptureFixture
    ) -> None:
        ProgressLog(log, is_running, last_poll=poll("IMPORT_IN_PROGRESS")).write(poll("IMPORT_IN_PROGRESS"))
        assert not caplog.messages

    @pytest.mark.parametrize(
        ("quiet", "line"),
        [
            (poll("IMPORT_IN_PROGRESS"), "IMPORT_IN_PROGRESS: waiting for "),
            (poll(), "No import is listed yet; waiting for it"),
        ],
    )
    def test_it_logs_periodically_when_nothing_changes(
        self,
        log: logging.Logger,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        quiet: Poll,
        line: str,
    ) -> None:
        monkeypatch.setattr(progress, "QUIET_LOG_INTERVAL", 0.0)
        ProgressLog(log, is_running, last_poll=quiet).write(quiet)
        (message,) = caplog.messages
        assert message.startswith(line)
