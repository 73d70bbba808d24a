"""Which actions an IAM policy must allow for a request to S3 or STS."""

from __future__ import annotations

import re
from functools import cache
from io import BytesIO
from typing import NamedTuple
from urllib.parse import parse_qs

from botocore.loaders import Loader
from botocore.model import ServiceModel
from moto.s3.responses import S3ResponseInstance
from werkzeug.wrappers import Request

__all__ = ["iam_actions_of"]

#: The actions of the operations of S3 that pipelines use:
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_S3_ACTIONS = {
    "AbortMultipartUpload": ("AbortMultipartUpload",),
    "CompleteMultipartUpload": ("PutObject",),
    "CopyObject": ("GetObject", "PutObject"),
    "CreateBucket": ("CreateBucket",),
    "CreateMultipartUpload": ("PutObject",),
    "DeleteBucket": ("DeleteBucket",),
    "DeleteBucketTagging": ("PutBucketTagging",),
    "DeleteObject": ("DeleteObject",),
    "DeleteObjectTagging": ("DeleteObjectTagging",),
    "DeleteObjects": ("DeleteObject",),
    "GetBucketLocation": ("GetBucketLocation",),
    "GetBucketTagging": ("GetBucketTagging",),
    "GetBucketVersioning": ("GetBucketVersioning",),
    "GetObject": ("GetObject",),
    "GetObjectAcl": ("GetObjectAcl",),
    "GetObjectTagging": ("GetObjectTagging",),
    "HeadBucket": ("ListBucket",),
    "HeadObject": ("GetObject",),
    "ListBuckets": ("ListAllMyBuckets",),
    "ListMultipartUploads": ("ListBucketMultipartUploads",),
    "ListObjectVersions": ("ListBucketVersions",),
    "ListObjects": ("ListBucket",),
    "ListObjectsV2": ("ListBucket",),
    "ListParts": ("ListMultipartUploadParts",),
    "PutBucketTagging": ("PutBucketTagging",),
    "PutBucketVersioning": ("PutBucketVersioning",),
    "PutObject": ("PutObject",),
    "PutObjectAcl": ("PutObjectAcl",),
    "PutObjectTagging": ("PutObjectTagging",),
    "UploadPart": ("PutObject",),
    "UploadPartCopy": ("GetObject", "PutObject"),
}

#: What everybody may do: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html and
#: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
_FREE = ("sts:GetCallerIdentity", "sts:GetSessionToken")


def iam_actions_of(request: Request) -> tuple[str, ...]:
    """
    Tell which actions an IAM policy must allow for a request that is moto's to answer.

    There are none for what moto tells about itself, and none for a presigned URL, which acts for the one who signed
    it. A request that is not signed is taken for one to STS if it is a form with an action, else for one to S3.

    The limits: an action that is not known here reads ``s3: unknown (GetBucketCors)``. An operation of S3 Control,
    or of S3 if it is newer than the installed botocore, passes for another. What some parts of a request need besides
    is not told: an access control list, tags or a lock that comes with an object or a bucket, an encryption key, and
    versions that ``DeleteObjects`` or the source of a copy names.

    :param request: the request; its body can still be read from the WSGI environment.
    :return: the actions, such as ``s3:GetObject``.
    """
    of_moto = request.path.startswith(("/moto-api", "/favicon.ico"))
    if of_moto or "X-Amz-Signature" in request.args or "Signature" in request.args:
        return ()
    scope = re.search(r"/([^/,\s]+)/aws4_request", request.headers.get("Authorization", ""))
    operation = _form_action(request)
    service = scope[1] if scope else "s3" if operation is None else "sts"
    if service == "s3":
        return _s3_actions(request)
    if operation is None:
        return (_unknown(service, f"{request.method} {request.path}"),)
    action = f"{service}:{operation}"
    return () if action in _FREE else (action,)


def _unknown(service: str, what: str) -> str:
    return f"{service}: unknown ({what})"


def _form_action(request: Request) -> str | None:
    if request.mimetype != "application/x-www-form-urlencoded":
        return None
    body = request.get_data()
    request.environ["wsgi.input"] = BytesIO(body)  # for moto, which reads it too
    return parse_qs(body.decode(errors="replace")).get("Action", [None])[0]


def _s3_actions(request: Request) -> tuple[str, ...]:
    bucket, _, key = request.path.removeprefix("/").partition("/")
    if S3ResponseInstance.subdomain_based_buckets(request):
        bucket, key = "in the host's name", request.path.removeprefix("/")
    path = "/{Bucket}/{Key+}" if key else "/{Bucket}" if bucket else "/"
    given = {*request.args, *(name.lower() for name, _ in request.headers)}
    fitting = [each for each in _s3_operations() if (each.method, each.path) == (request.method, path)]
    operation = max((each for each in fitting if each.marks <= given), key=lambda each: len(each.marks), default=None)
    if operation is None:
        return (_unknown("s3", f"{request.method} {request.path}"),)
    if operation.name not in _S3_ACTIONS:
        return (_unknown("s3", operation.name),)
    of_version = "ObjectVersion" if "versionId" in request.args else "Object"
    return tuple(f"s3:{action.replace('Object', of_version)}" for action in _S3_ACTIONS[operation.name])


class _S3Operation(NamedTuple):
    name: str
    method: str
    path: str
    #: The names in the query, and of headers in small letters, that every request for it has.
    marks: frozenset[str]


@cache
def _s3_operations() -> list[_S3Operation]:
    """Read the operations from botocore's model; moto's ``ACTION_MAP`` names the actions of some only."""
    model = ServiceModel(Loader().load_service_model("s3", "service-2"), "s3")
    operations = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        marks = {part.partition("=")[0] for part in query.split("&") if part}
        if operation.input_shape is not None:
            required = (operation.input_shape.members[each] for each in operation.input_shape.required_members)
            marks |= {
                each.serialization["name"]
                for each in required
                if each.serialization.get("location") in ("querystring", "header")
            }
        operations.append(_S3Operation(name, operation.http["method"], path, frozenset(marks)))
    return operations
