"""A slow or failing source of credentials: STS and the container credentials endpoint."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_ads.emulator import AdsEmulator
from tests.support.stoppable_server import ForwardingHandler, StoppableServer

__all__ = ["CredentialsEndpoint"]


class _Handler(ForwardingHandler):
    server: CredentialsEndpoint

    def respond(self) -> None:
        body = self.read_body()
        is_container = self.command == "GET"
        self.server.requests.append("container" if is_container else parse_qs(body.decode())["Action"][0])
        if self.server.stopping.wait(self.server.delay):
            raise ConnectionAbortedError
        status = self.server.status
        if status is not None:
            code = "ServiceUnavailable" if status >= 500 else "AccessDenied"
            error = f"<ErrorResponse><Error><Code>{code}</Code><Message>From a test.</Message></Error></ErrorResponse>"
            self.answer(status, error.encode(), {"Content-Type": "text/xml"})
        elif is_container:
            # https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
            issued = self.server.credentials or self.server.default_credentials()
            answer = {
                "AccessKeyId": issued["AccessKeyId"],
                "SecretAccessKey": issued["SecretAccessKey"],
                "Token": issued["SessionToken"],
                "Expiration": f"{issued['Expiration']:%Y-%m-%dT%H:%M:%SZ}",
            }
            self.answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})
        else:
            emulator = urlsplit(self.server.ads.endpoint_url)
            self.forward(emulator.hostname or "", emulator.port or 80, self.path, body)


class CredentialsEndpoint(StoppableServer):
    """
    Stand-in for STS and for the container credentials endpoint. It runs during a ``with`` statement.

    The attributes can be changed while it runs. The delay is read when a request arrives, the others after the delay.

    :param ads: the emulator that answers requests to STS.
    :ivar url: the endpoint URL of STS.
    :ivar container_url: the value for ``AWS_CONTAINER_CREDENTIALS_FULL_URI``.
    :ivar delay: the number of seconds to wait before an answer; None: never answer.
    :ivar status: the HTTP status of the error to send instead of an answer; None: send no error.
    :ivar credentials: the credentials that a container gets, as STS returns them in the field ``Credentials``. None:
        the emulator's access key, with an expiration in one hour.
    :ivar requests: for each request, the operation of STS, or ``container``; oldest first.
    """

    def __init__(self, ads: AdsEmulator) -> None:
        super().__init__(_Handler)
        self.ads = ads
        self.url = f"http://127.0.0.1:{self.port}"
        self.container_url = f"{self.url}/credentials"
        self.delay: float | None = 0
        self.status: int | None = None
        self.credentials: dict[str, Any] | None = None
        self.requests: list[str] = []

    def default_credentials(self) -> dict[str, Any]:
        """Return the emulator's access key as STS would return it."""
        access_key, secret = self.ads.access_key
        return {
            "AccessKeyId": access_key,
            "SecretAccessKey": secret,
            "SessionToken": "token",
            "Expiration": datetime.now(UTC) + timedelta(hours=1),
        }
