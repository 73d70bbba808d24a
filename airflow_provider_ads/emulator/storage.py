"""The emulator's own access to S3: the files to import and the error archives."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

__all__ = ["Storage", "UnreadableFileError", "parse_import_url"]

#: The bucket of the error archives. Where AWS keeps them is documented nowhere.
_ARCHIVE_BUCKET = "application-discovery-service-import-errors"

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

    :param endpoint_url: where S3 answers.
    :param public_url: the host of the links to error archives.
    :param link_seconds: seconds that such a link is good for.
    :param on_read: called for each import file that is read.
    """

    def __init__(self, endpoint_url: str, public_url: str, link_seconds: int, on_read: Callable[[], None]) -> None:
        session = _session()
        self._client = _s3_client(session, endpoint_url)
        self._public_client = _s3_client(session, public_url)
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
        return str(
            self._public_client.generate_presigned_url(
                "get_object",
                Params={"Bucket": _ARCHIVE_BUCKET, "Key": f"{import_task_id}.zip"},
                ExpiresIn=self._link_seconds,
            )
        )


@cache
def _session() -> botocore.session.Session:
    """Make the session of all emulators, which takes nothing from the user's profiles."""
    nowhere = (None, None, os.devnull, None)
    return botocore.session.Session(
        {"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    )


def _s3_client(session: botocore.session.Session, endpoint_url: str) -> Any:
    return session.create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint_url,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",  # noqa: S106 - it is none
        config=Config(
            proxies={},
            s3={"addressing_style": "path"},
            signature_version="s3v4",
        ),
    )
