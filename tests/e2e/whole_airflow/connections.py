"""The connections of ``docs/howto/connections.md``, and servers that record who uses which endpoint and credentials."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlsplit

from werkzeug.wrappers import Request

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.iam_actions import service_of
from tests.support.credentials_endpoint import CredentialsEndpoint
from tests.support.markdown import ROOT, blocks_of
from tests.support.recording_proxy import RecordingProxy
from tests.support.tls_front import TlsFront

__all__ = ["PAGE", "TABLE", "DocumentedConnections", "ObservedRequest"]

PAGE = ROOT / "docs" / "howto" / "connections.md"

#: Lines that pytest prints after the last test.
TABLE: list[str] = []

#: Secrets by their access keys: AWS's own examples. The page shows the first one.
ACCESS_KEYS = {
    "AKIAIOSFODNN7EXAMPLE": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AKIAI44QH8DHBEXAMPLE": "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
}

#: The profile's key, which no connection contains.
PROFILE_KEY = "AKIAI44QH8DHBEXAMPLE"

#: The role of a Kubernetes service account, which no connection contains.
SERVICE_ACCOUNT_ROLE = "arn:aws:iam::123456789012:role/airflow-service-account"

#: Nothing listens here. Only the proxy can reach a server at this address.
UNREACHABLE = "127.0.0.1:9"


class ObservedRequest(NamedTuple):
    """
    A request to an emulator.

    :param app_id: the Airflow component that sent it; a worker has the id of the scheduler, which started it.
    :param service: the service, such as ``discovery``.
    :param host: the host and port to which the client sent it.
    :param identity: the assumed role or the access key that signed it; empty if it is not signed.
    :param content: its path and body.
    :param status: the HTTP status of the response.
    """

    app_id: str
    service: str
    host: str
    identity: str
    content: str
    status: str


class _ObservingEmulator(AdsEmulator):
    """
    Records every request, unlike the recording emulator, which records no requests to STS.

    An import ends when the triggerer polls it for the second time. Without that, imports would end one after the other.
    """

    def __init__(self, observed: list[ObservedRequest], roles: Iterable[str]) -> None:
        super().__init__(import_seconds=3600, access_keys=ACCESS_KEYS, roles=set(roles))
        self._observed = observed
        self._polls: Counter[str] = Counter()

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        service, _ = service_of(request)
        body = request.get_data()
        environ["wsgi.input"] = BytesIO(body)
        found = re.search(r"\bapp/(\S+)", request.headers.get("User-Agent", ""))
        app_id = found[1] if found else ""
        key = re.search("Credential=([^/]+)/", request.headers.get("Authorization", ""))
        identity = (self.role_of(key[1]) or key[1]) if key else ""
        content = f"{request.path} {body.decode(errors='replace')}"
        host = request.host
        for import_task_id in re.findall(r"import-task-\w+", content) if app_id == "triggerer" else []:
            self._polls[import_task_id] += 1
            if self._polls[import_task_id] == 2:
                self.update_import_task(import_task_id, status="IMPORT_COMPLETE")

        def start(status: str, *arguments: Any) -> Any:
            self._observed.append(ObservedRequest(app_id, service, host, identity, content, status))
            return start_response(status, *arguments)

        return super().answer(environ, start)


class DocumentedConnections:
    """
    The connections of the page, with the page's host names, ports and paths replaced. It runs in a ``with`` statement.

    Host names that the connections do not contain, such as those of AWS, are replaced with environment variables.

    :param folder: an empty folder.
    :ivar environment: the environment variables of Airflow.
    :ivar hosts: hosts and ports, by the names that the table shows.
    :ivar roles: the role that each connection assumes, in a list; an empty list if it assumes none.
    :ivar observed: the requests, oldest first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers = ExitStack()
        self.environment: dict[str, str] = {}
        self.hosts: dict[str, str] = {}
        self.roles: dict[str, list[str]] = {}
        self.observed: list[ObservedRequest] = []

    def __enter__(self) -> Self:
        with self._servers:
            self._start()
            self._servers = self._servers.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def _start(self) -> None:
        pages = _connections_of_page()
        self.roles = {name: re.findall(r"arn:aws:iam::\d+:role/[\w-]+", text) for name, text in pages.items()}
        self.roles["kubernetes_service_account"] = [SERVICE_ACCOUNT_ROLE]
        roles = [role for found in self.roles.values() for role in found]
        start = self._servers.enter_context
        aws, private = (start(_ObservingEmulator(self.observed, roles)) for _ in range(2))
        private_sts = start(CredentialsEndpoint(private))
        tls, unverified, behind_proxy = (
            start(TlsFront(aws.endpoint_url, self._new_folder(name))) for name in ("tls", "unverified", "behind-proxy")
        )
        proxy = start(RecordingProxy({UNREACHABLE: f"127.0.0.1:{behind_proxy.port}"}))
        aws.upload("s3://connections/export.csv", "ExternalId,HostName\n1,a.example\n2,b.example\n")

        token = self._folder / "token"
        token.write_text("a token")
        credentials = self._folder / "credentials"
        credentials.write_text(
            f"[discovery-import]\naws_access_key_id={PROFILE_KEY}\naws_secret_access_key={ACCESS_KEYS[PROFILE_KEY]}\n"
        )
        self.hosts = {
            "AWS": urlsplit(aws.endpoint_url).netloc,
            "private": urlsplit(private.endpoint_url).netloc,
            "private STS": urlsplit(private_sts.url).netloc,
            "own CA": urlsplit(tls.url).netloc,
            "unknown CA": urlsplit(unverified.url).netloc,
            "via proxy": UNREACHABLE,
        }
        replacements = {
            "https://vpce-0a1b2c3d4e5f67890-abcdefgh.discovery.us-west-2.vpce.amazonaws.com": private.endpoint_url,
            "https://bucket.vpce-0b2c3d4e5f67890a1-bcdefghi.s3.us-west-2.vpce.amazonaws.com": private.endpoint_url,
            "https://vpce-0c3d4e5f67890a1b2-cdefghij.sts.us-west-2.vpce.amazonaws.com": private_sts.url,
            "https://discovery.internal.example.com": tls.url,
            "https://discovery.test.example.com": unverified.url,
            "http://proxy.example.com:3128": proxy.url,
            "/etc/ssl/certs/internal-ca.pem": str(tls.authority),
            "/etc/ssl/certs/proxy-ca.pem": str(behind_proxy.authority),
            "/var/run/secrets/airflow/token": str(token),
        }
        for name, text in pages.items():
            connection = json.loads(_replace(text, replacements))
            if name == "proxy":
                # The real connection has no URL: the client asks the proxy for a host of AWS.
                connection["extra"]["endpoint_url"] = f"https://{UNREACHABLE}"
            self.environment[f"AIRFLOW_CONN_CONNECTIONS_{name.upper()}"] = json.dumps(connection)
        self.environment |= {
            "AWS_ENDPOINT_URL_APPLICATION_DISCOVERY_SERVICE": aws.endpoint_url,
            "AWS_ENDPOINT_URL_S3": aws.endpoint_url,
            "AWS_ENDPOINT_URL_STS": aws.endpoint_url,
            "AWS_ROLE_ARN": SERVICE_ACCOUNT_ROLE,
            "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        }

    def _new_folder(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder

    def requests(self, app_id: str, *contents: str) -> dict[str, str]:
        """
        Return how a component reached each service, with all outcomes.

        :param app_id: the component.
        :param contents: requests that contain one of these strings are counted.
        """
        names = {host: name for name, host in self.hosts.items()}
        quoted = [*contents, *(quote(content, safe="") for content in contents)]
        uses: dict[str, set[str]] = {}
        for request in self.observed:
            if request.app_id == app_id and any(content in request.content for content in quoted):
                identity = request.identity.rpartition("/")[2] or "web identity"
                use = f"{names.get(request.host, request.host)}, {identity}, {request.status}"
                uses.setdefault(request.service, set()).add(use)
        return {service: "; ".join(sorted(found)) for service, found in uses.items()}


def _connections_of_page() -> dict[str, str]:
    """Return the page's JSON blocks by their headings, such as ``access_keys`` for "Access keys"."""
    lines = PAGE.read_text().splitlines()
    found = {}
    for block in blocks_of(PAGE):
        heading = next(line for line in reversed(lines[: block.line]) if line.startswith("#"))
        found["_".join(re.findall(r"\w+", heading.lower()))] = block.text
    return found


def _replace(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text
