"""Redact secrets in errors, and in the debug logs of botocore and aiobotocore, which print requests and responses."""

from __future__ import annotations

import logging
import re

__all__ = ["REDACTED_LOGGERS", "redact", "redact_logs"]

#: The loggers that print requests, responses or credentials. A logger does not apply the filters of its parents.
#: aiobotocore uses botocore's loggers for everything but the credentials of containers.
REDACTED_LOGGERS = ("botocore.auth", "botocore.endpoint", "botocore.parsers", "botocore.utils", "aiobotocore.utils")

#: The end of a secret's name, in any spelling (``X-Amz-Security-Token``, ``sessionToken``), and its value in JSON, XML,
#: headers, query strings or Python's ``repr``. A body can be cut off anywhere, so a value need not end with its quote.
_SECRET = re.compile(
    r"""
    (
        (?: token | secretaccesskey | clientsecret | authorization | samlassertion | signature
          | entrieszip | downloadurl )
        ["'\\]* \s* [:=>] \s*
    )
    (?: b?\\*" (?: [^"\\] | \\+[^\\] )* "? | b?\\*' (?: [^'\\] | \\+[^\\] )* '? | [^\s&<>"',;)}\]]+ )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def redact(text: str) -> str:
    """Return a string with its secrets replaced."""
    return _SECRET.sub(r"\1***", text)


def redact_logs() -> None:
    """Replace secrets in the records of botocore and aiobotocore from now on. Calling it again has no effect."""
    for name in REDACTED_LOGGERS:
        logging.getLogger(name).addFilter(_redact)


def _redact(record: logging.LogRecord) -> bool:
    # A logger calls its filters only for records of an enabled level, so this costs nothing unless DEBUG is on.
    record.msg = redact(record.getMessage())
    record.args = None
    return True
