"""S3 and STS, which moto emulates, and the emulator's own access to S3: import files and archives."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from threading import Lock
from typing import Any
from urllib.parse import unquote_plus, urlsplit
from xml.sax.saxutils import escape

import botocore.session
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ParamValidationError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

__all__ = [
    "OWN_CREDENTIALS",
    "Storage",
    "UnreadableFileError",
    "call_moto",
    "expired_response",
    "parse_import_url",
    "s3_error_response",
    "share_moto",
]

_log = logging.getLogger(__name__)

#: The bucket of the archives of imports and exports. AWS does not document where it keeps them.
_ARCHIVE_BUCKET = "application-discovery-service-archives"

_REGION = "us-east-1"

#: The credentials with which the emulator itself uses S3, and signs the links to archives.
OWN_CREDENTIALS = Credentials("emulator", "emulator")

#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
_S3_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")

#: One application for the process, because moto has one state for the process.
_moto = DomainDispatcherApplication(create_backend_app)
_emulators = 0
_emulators_lock = Lock()


@contextmanager
def share_moto() -> Iterator[None]:
    """Share moto's state with the other emulators of the process, and reset it after the last of them."""
    global _emulators
    with _emulators_lock:
        _emulators += 1
    try:
        yield
    finally:
        with _emulators_lock:
            _emulators -= 1
            if _emulators == 0:
                # http://docs.getmoto.org/en/latest/docs/server_mode.html#reset-api
                Client(_moto).post("/moto-api/reset").close()


def call_moto(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """
    Let moto answer a request. If moto raises an exception, log one line and return an error of S3.

    Without this, werkzeug prints a traceback after the client has its response. One case is known:
    ``upload_part`` and ``complete_multipart_upload`` in ``moto/s3/models.py`` raise a KeyError for an unknown upload,
    in moto 5.1.0 to 5.2.5. LocalStack works around it too: https://github.com/localstack/localstack/pull/8396.
    AWS returns ``NoSuchUpload``: https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
    """
    try:
        return _moto(environ, start_response)  # type: ignore[no-any-return]
    except Exception as error:
        request = Request(environ)
        _log.warning("moto failed: %s %s: %r", request.method, request.path, error)
        if isinstance(error, KeyError) and error.args == (request.args.get("uploadId"),):
            response = s3_error_response(404, "NoSuchUpload", "The specified upload does not exist.")
        else:
            response = s3_error_response(500, "InternalError", f"moto failed: {error!r}")
        return response(environ, start_response)


def expired_response(request: Request) -> Response | None:
    """
    Return the error for a presigned URL that has expired, or None. moto would accept it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
    """
    if request.method not in ("GET", "HEAD"):
        return None
    try:
        if "X-Amz-Expires" in request.args:
            signed = datetime.strptime(request.args["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            expires = signed + timedelta(seconds=int(request.args["X-Amz-Expires"]))
        elif "Signature" in request.args:
            expires = datetime.fromtimestamp(int(request.args["Expires"]), UTC)
        else:
            return None
    except (KeyError, ValueError, OverflowError):
        return None
    now = datetime.now(UTC)
    if now < expires:
        return None
    times = f"<Expires>{expires:%Y-%m-%dT%H:%M:%SZ}</Expires><ServerTime>{now:%Y-%m-%dT%H:%M:%SZ}</ServerTime>"
    return s3_error_response(403, "AccessDenied", "Request has expired", times)


def s3_error_response(status: int, code: str, message: str, details: str = "") -> Response:
    """Create the response of S3 for an error."""
    return Response(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>{details}</Error>",
        status,
        content_type="application/xml",
    )


def parse_import_url(import_url: str) -> tuple[str, str]:
    """
    Split an import URL into bucket and key.

    AWS documents ``s3://bucket/key`` for the API and the object's https URL for the console:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html

    :raises ValueError: if it is neither.
    """
    if import_url.startswith("s3://"):
        bucket, _, key = import_url.removeprefix("s3://").partition("/")
        return bucket, key
    url = urlsplit(import_url)
    host = _S3_HOST.fullmatch(url.hostname or "")
    if url.scheme != "https" or host is None:
        raise ValueError(f"{import_url} is not the URL of an S3 object")
    path = unquote_plus(url.path.removeprefix("/"))  # S3 reads a plus sign as a space, and the console writes it so
    if host["bucket"]:
        return host["bucket"], path
    bucket, _, key = path.partition("/")
    return bucket, key


class UnreadableFileError(Exception):
    """The file to import cannot be read; the message gives the reason."""


class Storage:
    """
    The emulator's own access to S3.

    :param public_url: the URL at which clients reach the emulator, for links to archives.
    :param link_seconds: the number of seconds for which such a link is valid.
    :param on_read: called for each import file that is read.
    """

    def __init__(self, public_url: str, link_seconds: int, on_read: Callable[[], None]) -> None:
        self._client = _s3_client()
        self._public_url = public_url
        self._link_seconds = link_seconds
        self._on_read = on_read

    def read(self, import_url: str, max_bytes: int) -> bytes:
        """
        Read a file to import.

        :raises UnreadableFileError: if the file does not exist or is too large.
        """
        try:
            bucket, key = parse_import_url(import_url)
            self._on_read()
            answer = self._client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise UnreadableFileError(f"s3://{bucket}/{key}: {error.response['Error']['Code']}") from error
        except ParamValidationError as error:
            raise UnreadableFileError(f"s3://{bucket}/{key}: not valid names of a bucket and a key") from error
        except ValueError as error:
            raise UnreadableFileError(str(error)) from error
        with answer["Body"] as body:
            if answer["ContentLength"] > max_bytes:
                raise UnreadableFileError(f"the file exceeds {max_bytes:,} bytes")
            return bytes(body.read())

    def write(self, import_url: str, content: bytes) -> None:
        """
        Write a file to import. If its bucket does not exist, it is created in us-east-1.

        :raises ValueError: if an object cannot have that URL.
        """
        bucket, key = parse_import_url(import_url)
        if not bucket or not key:
            raise ValueError(f"{import_url} is not the URL of an S3 object")
        try:
            with suppress(self._client.exceptions.BucketAlreadyOwnedByYou):
                self._client.create_bucket(Bucket=bucket)
            self._client.put_object(Bucket=bucket, Key=key, Body=content)
        except (ClientError, ParamValidationError) as error:
            raise ValueError(f"{import_url} is not the URL of an S3 object: {error}") from error

    def write_archive(self, task_id: str, archive: bytes) -> None:
        """Write the archive of a task."""
        self._client.create_bucket(Bucket=_ARCHIVE_BUCKET)
        self._client.put_object(Bucket=_ARCHIVE_BUCKET, Key=f"{task_id}.zip", Body=archive)

    def delete_archive(self, task_id: str) -> None:
        """Delete the archive of a task."""
        self._client.delete_object(Bucket=_ARCHIVE_BUCKET, Key=f"{task_id}.zip")

    def archive_url(self, task_id: str) -> str:
        """Create a presigned URL of the archive of a task."""
        # Signing needs no client, and creating one would take most of an emulator's start-up time.
        request = AWSRequest("GET", f"{self._public_url}/{_ARCHIVE_BUCKET}/{task_id}.zip")
        S3SigV4QueryAuth(OWN_CREDENTIALS, "s3", _REGION, expires=self._link_seconds).add_auth(request)
        return str(request.prepare().url)


@cache
def _s3_client() -> Any:
    """
    Create the client that all emulators share. It ignores the user's AWS configuration.

    It calls moto without a connection, so that injected faults do not affect the emulator itself.
    """
    nowhere = (None, None, os.devnull, None)
    session = botocore.session.Session(
        {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    )
    client: Any = session.create_client(
        "s3",
        region_name=_REGION,
        endpoint_url="http://127.0.0.1",
        aws_access_key_id=OWN_CREDENTIALS.access_key,
        aws_secret_access_key=OWN_CREDENTIALS.secret_key,
        config=Config(proxies={}, s3={"addressing_style": "path"}, signature_version="s3v4"),
    )
    client.meta.events.register("before-send.s3", _send_to_moto)
    return client


def _send_to_moto(request: AWSPreparedRequest, **_: Any) -> Any:
    url = urlsplit(request.url)
    response = Client(_moto, use_cookies=False).open(
        url.path,
        method=request.method,
        query_string=url.query,
        headers={
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        },
        data=request.body,
    )
    headers: Any = response.headers
    return AWSResponse(request.url, response.status_code, headers, _Body(response.data))


class _Body(io.BytesIO):
    """The body of a response, with the method that botocore calls to read it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """Yield the whole body."""
        yield self.read()
