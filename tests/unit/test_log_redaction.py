from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.log_redaction import REDACTED_LOGGERS, redact_logs

SECRET = "se/cr+et=="


def logged(caplog: pytest.LogCaptureFixture, message: str, *arguments: Any) -> str:
    """Return the record's message as a handler sees it."""
    redact_logs()
    with caplog.at_level(logging.DEBUG, logger="botocore.parsers"):
        logging.getLogger("botocore.parsers").debug(message, *arguments)
    return caplog.messages[-1]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"task": {"clientRequestToken": SECRET}}),
        repr(json.dumps({"clientRequestToken": SECRET, "name": "it's"}).encode()),
        json.dumps({"body": json.dumps({"clientRequestToken": SECRET})}),
        json.dumps({"tasks": [{"errorsAndFailedEntriesZip": f"https://bucket/key?X-Amz-Signature={SECRET}"}]}),
        f"GET https://bucket/key?X-Amz-Signature={SECRET}&X-Amz-Security-Token={SECRET} HTTP/1.1",
        f"<Credentials><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{SECRET}</SessionToken></Credentials>",
        repr({"Authorization": f"AWS4-HMAC-SHA256 Credential=key, Signature={SECRET}".encode()}),
        f"host:bucket\nx-amz-security-token:{SECRET}\n\nhost;x-amz-security-token\n",
        f"Signature:\n{SECRET}",
        repr({"Action": "AssumeRoleWithWebIdentity", "WebIdentityToken": SECRET}),
        f"Action=AssumeRoleWithSAML&SAMLAssertion={SECRET}&Version=2011-06-15",
        f'{{\n  "SecretAccessKey" : "{SECRET}",\n  "Token" : "{SECRET}"\n}}',
        f'{{"SecretAccessKey": "{SECRET}',
    ],
)
def test_a_secret_is_replaced_in_any_notation(caplog: pytest.LogCaptureFixture, text: str) -> None:
    assert SECRET in text
    shown = logged(caplog, "Response body:\n%s", text)
    assert SECRET not in shown
    assert "***" in shown


@pytest.mark.parametrize("quote", ['"', "'", '\\"', "\\'", '\\\\"'])
def test_no_part_of_a_secret_with_quotes_is_left(caplog: pytest.LogCaptureFixture, quote: str) -> None:
    body = json.dumps({"clientRequestToken": f"begin{quote}end", "name": "cmdb"})
    for text in (body, repr(body), repr(body.encode()), json.dumps(body)):
        shown = logged(caplog, "%s", text)
        assert "begin" not in shown
        assert "end" not in shown


def test_everything_else_stays_readable(caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"task": {"clientRequestToken": SECRET, "name": "cmdb", "status": "IMPORT_IN_PROGRESS"}})
    expected = body.replace(f'"{SECRET}"', "***")
    assert logged(caplog, "Response body:\n%r", body.encode()) == f"Response body:\nb'{expected}'"
    assert logged(caplog, "Calculating signature using %s auth.", "v4") == "Calculating signature using v4 auth."


def test_each_hook_installs_one_filter_for_each_logger(aws_default: AdsEmulator) -> None:
    loggers = [logging.getLogger(name) for name in REDACTED_LOGGERS]
    for logger in loggers:
        logger.filters.clear()
    AdsHook()
    AdsHook()
    assert [len(logger.filters) for logger in loggers] == [1] * len(loggers)
