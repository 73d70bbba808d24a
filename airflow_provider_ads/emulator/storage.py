"""The emulator's own access to S3: the files to import and the error archives."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, partial
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import botocore.session
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ParamValidationError
from werkzeug.test import Client

__all__ = ["Storage", "UnreadableFileError", "parse_import_url"]

WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: The bucket of the error archives. Where AWS keeps them is documented nowhere.
_ARCHIVE_BUCKET = "application-discovery-service-import-errors"

_REGION = "us-east-1"
_CREDENTIALS = Credentials("emulator", "emulator")

#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
_S3_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")


def parse_import_url(import_url: str) -> tuple[str, str]:
    """
    Find the object that an import URL means.

    ``s3://bucket/key`` is documented for the API, the object's https URL for the console, at
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html.

    :param import_url: the import URL.
    :return: bucket and key.
    :raises ValueError: if the URL is neither.
    """
    if import_url.startswith("s3://"):
        bucket, _, key = import_url.removeprefix("s3://").partition("/")
        return bucket, key
    url = urlsplit(import_url)
    host = _S3_HOST.fullmatch(url.hostname or "")
    if url.scheme != "https" or host is None:
        raise ValueError(f"{import_url}: not the URL of an S3 object")
    path = unquote_plus(url.path.removeprefix("/"))  # S3 takes a plus sign for a space, as the console writes it
    if host["bucket"]:
        return host["bucket"], path
    bucket, _, key = path.partition("/")
    return bucket, key


class UnreadableFileError(Exception):
    """The file to import cannot be had; the message tells why."""


class Storage:
    """
    S3 as the service uses it.

    :param s3: the application that is S3.
    :param public_url: the host of the links to error archives.
    :param link_seconds: seconds that such a link is good for.
    :param on_read: called for each import file that is read.
    """

    def __init__(self, s3: WsgiApplication, public_url: str, link_seconds: int, on_read: Callable[[], None]) -> None:
        self._client = _s3_client(s3)
        self._public_url = public_url
        self._link_seconds = link_seconds
        self._on_read = on_read

    def read(self, import_url: str, max_bytes: int) -> bytes:
        """
        Read the file to import.

        :param import_url: the import URL.
        :param max_bytes: how large the file may be.
        :return: the file.
        :raises UnreadableFileError: if there is none or it is larger.
        """
        try:
            bucket, key = parse_import_url(import_url)
            self._on_read()
            answer = self._client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise UnreadableFileError(f"s3://{bucket}/{key}: {error.response['Error']['Code']}") from error
        except ParamValidationError as error:
            raise UnreadableFileError(f"s3://{bucket}/{key}: no bucket and key can have these names") from error
        except ValueError as error:
            raise UnreadableFileError(str(error)) from error
        with answer["Body"] as body:
            if answer["ContentLength"] > max_bytes:
                raise UnreadableFileError(f"larger than {max_bytes:,} bytes")
            return bytes(body.read())

    def write(self, import_url: str, content: bytes) -> None:
        """
        Keep a file to import, in a bucket that is made in us-east-1 if there is none of its name.

        :param import_url: where to.
        :param content: the file.
        :raises ValueError: if no object can have that URL.
        """
        bucket, key = parse_import_url(import_url)
        if not bucket or not key:
            raise ValueError(f"{import_url}: not the URL of an S3 object")
        try:
            with suppress(self._client.exceptions.BucketAlreadyOwnedByYou):
                self._client.create_bucket(Bucket=bucket)
            self._client.put_object(Bucket=bucket, Key=key, Body=content)
        except (ClientError, ParamValidationError) as error:
            raise ValueError(f"{import_url}: not the URL of an S3 object: {error}") from error

    def write_archive(self, import_task_id: str, archive: bytes) -> None:
        """
        Keep the error archive of a task.

        :param import_task_id: the task's id.
        :param archive: the archive.
        """
        self._client.create_bucket(Bucket=_ARCHIVE_BUCKET)
        self._client.put_object(Bucket=_ARCHIVE_BUCKET, Key=f"{import_task_id}.zip", Body=archive)

    def delete_archive(self, import_task_id: str) -> None:
        """
        Delete the error archive of a task.

        :param import_task_id: the task's id.
        """
        self._client.delete_object(Bucket=_ARCHIVE_BUCKET, Key=f"{import_task_id}.zip")

    def archive_url(self, import_task_id: str) -> str:
        """
        Make a new link to the error archive of a task.

        :param import_task_id: the task's id.
        :return: a presigned URL.
        """
        # Signed here, because a client for each emulator would take most of the time that the emulator takes to start.
        request = AWSRequest("GET", f"{self._public_url}/{_ARCHIVE_BUCKET}/{import_task_id}.zip")
        S3SigV4QueryAuth(_CREDENTIALS, "s3", _REGION, expires=self._link_seconds).add_auth(request)
        return str(request.prepare().url)


@cache
def _s3_client(s3: WsgiApplication) -> Any:
    """
    Make the client of all emulators, which takes nothing from the user's profiles.

    :param s3: the application, which it calls without a connection: faults are for the emulator's users.
    """
    nowhere = (None, None, os.devnull, None)
    session = botocore.session.Session(
        {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    )
    client: Any = session.create_client(
        "s3",
        region_name=_REGION,
        endpoint_url="http://127.0.0.1",
        aws_access_key_id=_CREDENTIALS.access_key,
        aws_secret_access_key=_CREDENTIALS.secret_key,
        config=Config(
            proxies={},
            s3={"addressing_style": "path"},
            signature_version="s3v4",
        ),
    )
    client.meta.events.register("before-send.s3", partial(_answer, s3))
    return client


def _answer(s3: WsgiApplication, request: AWSPreparedRequest, **_: Any) -> Any:
    """Have the application answer a request of the client."""
    url = urlsplit(request.url)
    answer = Client(s3, use_cookies=False).open(
        url.path,
        method=request.method,
        query_string=url.query,
        headers={
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        },
        data=request.body,
    )
    headers: Any = answer.headers
    return AWSResponse(request.url, answer.status_code, headers, _Body(answer.data))


class _Body(io.BytesIO):
    """The body of an answer, as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """Yield all of it."""
        yield self.read()
