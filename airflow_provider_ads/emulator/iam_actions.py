"""The actions that an IAM policy must allow for a request to S3 or STS."""

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

__all__ = ["iam_actions_of", "service_of"]

#: The actions of the S3 operations that pipelines use:
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

#: The actions that need no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
#: and https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
_WITHOUT_PERMISSION = ("sts:GetCallerIdentity", "sts:GetSessionToken")


def iam_actions_of(request: Request) -> tuple[str, ...]:
    """
    Return the actions that an IAM policy must allow for a request that moto answers.

    Requests about moto itself need none, and neither do presigned URLs, which act for the user who signed them.

    The limits are:

    - An action that this module does not list is reported as ``s3: unknown (GetBucketCors)``.
    - An S3 Control operation, or an S3 operation that is newer than the installed botocore, is reported as another one.
    - Some parts of a request need further actions, which are not reported: access control lists, tags or locks of a new
      object or bucket, encryption keys, and the versions that ``DeleteObjects`` or the source of a copy names.

    :param request: the request. Its body can still be read from the WSGI environment afterwards.
    :return: the actions, such as ``s3:GetObject``.
    """
    about_moto = request.path.startswith(("/moto-api", "/favicon.ico"))
    if about_moto or "X-Amz-Signature" in request.args or "Signature" in request.args:
        return ()
    service, operation = service_of(request)
    if service == "s3":
        return _s3_actions(request)
    if operation is None:
        return (_unknown(service, f"{request.method} {request.path}"),)
    action = f"{service}:{operation}"
    return () if action in _WITHOUT_PERMISSION else (action,)


def service_of(request: Request) -> tuple[str, str | None]:
    """
    Return the service that a request is for, such as ``sts``, and the action that its body names if it is a form.

    An unsigned request is treated as one to STS if it is a form with an action, otherwise as one to S3.
    """
    scope = re.search(r"/([^/,\s]+)/aws4_request", request.headers.get("Authorization", ""))
    action = _form_action(request)
    return scope[1] if scope else "s3" if action is None else "sts", action


def _unknown(service: str, operation: str) -> str:
    return f"{service}: unknown ({operation})"


def _form_action(request: Request) -> str | None:
    if request.mimetype != "application/x-www-form-urlencoded":
        return None
    body = request.get_data()
    request.environ["wsgi.input"] = BytesIO(body)  # moto reads the body again
    return parse_qs(body.decode(errors="replace")).get("Action", [None])[0]


def _s3_actions(request: Request) -> tuple[str, ...]:
    bucket, _, key = request.path.removeprefix("/").partition("/")
    if S3ResponseInstance.subdomain_based_buckets(request):
        bucket, key = "in the host name", request.path.removeprefix("/")
    path = "/{Bucket}/{Key+}" if key else "/{Bucket}" if bucket else "/"
    present = {*request.args, *(name.lower() for name, _ in request.headers)}
    candidates = [each for each in _s3_operations() if (each.method, each.path) == (request.method, path)]
    operation = max(
        (each for each in candidates if each.required <= present), key=lambda each: len(each.required), default=None
    )
    if operation is None:
        return (_unknown("s3", f"{request.method} {request.path}"),)
    if operation.name not in _S3_ACTIONS:
        return (_unknown("s3", operation.name),)
    resource = "ObjectVersion" if "versionId" in request.args else "Object"
    return tuple(f"s3:{action.replace('Object', resource)}" for action in _S3_ACTIONS[operation.name])


class _S3Operation(NamedTuple):
    name: str
    method: str
    path: str
    #: The query parameters and lower-case headers that every request for it has.
    required: frozenset[str]


@cache
def _s3_operations() -> list[_S3Operation]:
    """Read the operations from botocore's model, because moto's ``ACTION_MAP`` covers only some of them."""
    model = ServiceModel(Loader().load_service_model("s3", "service-2"), "s3")
    operations = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        required = {part.partition("=")[0] for part in query.split("&") if part}
        if operation.input_shape is not None:
            members = (operation.input_shape.members[each] for each in operation.input_shape.required_members)
            required |= {
                each.serialization["name"]
                for each in members
                if each.serialization.get("location") in ("querystring", "header")
            }
        operations.append(_S3Operation(name, operation.http["method"], path, frozenset(required)))
    return operations
