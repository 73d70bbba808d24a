"""
Optional credential checks: known access keys, Signature Version 4, and the credentials of assumed roles.

The checks are on if ``access_keys`` is not None. The emulator then verifies the signature of each request, and refuses
wrong credentials with AWS's error codes. ``AssumeRole`` and ``AssumeRoleWithWebIdentity`` return new credentials for
a listed role, and ``AccessDenied`` for any other role.

The limits are:

- Known credentials have every permission and may assume every listed role. Any web identity token is accepted.
- A known access key is accepted with any session token. Only the credentials of roles need their own.
- The body of an S3 request is not compared with its signed checksum.
- A presigned URL with Signature Version 2 needs a known access key that has not expired; its signature is not verified.
- The time of a signature is not compared with the clock, except for presigned URLs.
- The credentials that other STS operations return, such as ``GetSessionToken``, are unknown.
"""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from uuid import uuid4
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.wrappers import Request, Response

from airflow_provider_ads.emulator.iam_actions import service_of
from airflow_provider_ads.emulator.protocol import ServiceError
from airflow_provider_ads.emulator.s3 import OWN_CREDENTIALS, s3_error_response
from airflow_provider_ads.emulator.settings import Settings

__all__ = ["SIGNED_HOST", "CredentialChecks", "host_of"]

#: The key of a WSGI environment that contains the header ``Host`` as the client signed it, if it was replaced.
SIGNED_HOST = "airflow_provider_ads.signed_host"


def host_of(request: Request) -> str:
    """Return the header ``Host`` as the client sent it."""
    return request.environ.get(SIGNED_HOST) or request.headers.get("Host", "")


class _Refusal(NamedTuple):
    """The error codes of JSON services, of STS and of S3, and the message. The HTTP status is that of S3."""

    json_code: str
    sts_code: str
    s3_code: str
    message: str
    status: int = 403


# The error codes and HTTP statuses of STS: https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html and
# https://github.com/aws/aws-sdk-java-v2/issues/1649 (ExpiredToken, 403).
# Those of S3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# Those of JSON services: see HTTP_STATUS in protocol.py.
_UNSIGNED = _Refusal(
    "MissingAuthenticationTokenException",
    "MissingAuthenticationToken",
    "AccessDenied",
    "The request is not signed with Signature Version 4.",
)
_UNKNOWN = _Refusal(
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "The security token included in the request is invalid.",
)
_EXPIRED = _Refusal(
    "ExpiredTokenException",
    "ExpiredToken",
    "ExpiredToken",
    "The security token included in the request is expired",
    400,
)
_NO_MATCH = _Refusal(
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method.",
)

_AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=(\w+)")


class _Session(NamedTuple):
    """The credentials of an assumed role, the caller's identity, and the time when they expire."""

    credentials: Credentials
    role: str
    identity: dict[str, str]
    expires: float


class _Signature(NamedTuple):
    """The signature of a request and its parts. The value is None for Version 2, which is not verified."""

    is_presigned: bool
    credential: str
    headers: str
    value: str | None
    timestamp: str
    token: str

    @property
    def access_key(self) -> str:
        return self.credential.partition("/")[0]


class CredentialChecks:
    """
    Checks the credentials of requests, and issues those of assumed roles.

    :param settings: the known access keys, the roles, and the seconds for which their credentials last.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sessions: dict[str, _Session] = {}

    def role_of(self, access_key: str) -> str | None:
        """Return the ARN of the role for which an access key was issued; None for any other key."""
        session = self._sessions.get(access_key)
        return None if session is None else session.role

    def expire_role_credentials(self) -> None:
        """Expire all credentials that were issued for roles."""
        for access_key, session in list(self._sessions.items()):
            self._sessions[access_key] = session._replace(expires=0.0)

    def check_call(self, request: Request) -> None:
        """
        Check the credentials of a call to a JSON service.

        :raises ServiceError: if they are refused.
        """
        if self._settings.access_keys is not None:
            refusal = self._refusal(request, self._settings.access_keys, SigV4Auth)
            if refusal is not None:
                raise ServiceError(refusal.json_code, refusal.message)

    def answer(self, request: Request) -> Response | None:
        """
        Return the answer to a request to STS, S3 or moto's other services that depends on credentials.

        :return: the refusal, or the response of STS for a role; None if moto can answer the request.
        """
        if self._settings.access_keys is None or request.path.startswith(("/moto-api", "/favicon.ico")):
            return None
        service, action = service_of(request)
        is_s3 = service == "s3"
        # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html needs no signature.
        if action != "AssumeRoleWithWebIdentity":
            refusal = self._refusal(request, self._settings.access_keys, S3SigV4Auth if is_s3 else SigV4Auth)
            if refusal is not None and is_s3:
                return s3_error_response(refusal.status, refusal.s3_code, refusal.message)
            if refusal is not None:
                return _sts_error_response(refusal.sts_code, refusal.message)
        if action in ("AssumeRole", "AssumeRoleWithWebIdentity"):
            return self._assume_role(action, dict(parse_qsl(request.get_data(as_text=True))))
        signature = _signature_of(request)
        session = None if signature is None else self._sessions.get(signature.access_key)
        if session is not None and action == "GetCallerIdentity":
            return _sts_response(action, session.identity)
        return None

    def _refusal(self, request: Request, access_keys: dict[str, str], signer_class: type[SigV4Auth]) -> _Refusal | None:
        signature = _signature_of(request)
        if signature is None:
            return _UNSIGNED
        session = self._sessions.get(signature.access_key)
        if session is not None:
            credentials = session.credentials
            if signature.token != credentials.token:
                return _UNKNOWN
            if time.time() >= session.expires:
                return _EXPIRED
        elif (secret := access_keys.get(signature.access_key)) is not None:
            credentials = Credentials(signature.access_key, secret)
        elif signature.is_presigned and signature.access_key == OWN_CREDENTIALS.access_key:
            credentials = OWN_CREDENTIALS
        else:
            return _UNKNOWN
        return None if _matches(request, signature, credentials, signer_class) else _NO_MATCH

    def _assume_role(self, action: str, parameters: dict[str, str]) -> Response:
        """
        Issue the credentials of a role.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
        """
        role = parameters.get("RoleArn", "")
        if role not in self._settings.roles:
            return _sts_error_response("AccessDenied", f"Not authorized to perform sts:{action} on resource: {role}")
        unique = secrets.token_hex(8).upper()
        credentials = Credentials(f"ASIA{unique}", secrets.token_hex(20), secrets.token_urlsafe(64))
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
        name = f"{role.rpartition('/')[2]}/{parameters.get('RoleSessionName')}"
        _, partition, _, _, account, _ = role.split(":", 5)
        identity = {
            "Arn": f"arn:{partition}:sts::{account}:assumed-role/{name}",
            "UserId": f"AROA{unique}:{parameters.get('RoleSessionName')}",
            "Account": account,
        }
        expires = time.time() + self._settings.role_seconds
        self._sessions[credentials.access_key] = _Session(credentials, role, identity, expires)
        result = {
            "Credentials": {
                "AccessKeyId": credentials.access_key,
                "SecretAccessKey": credentials.secret_key,
                "SessionToken": credentials.token,
                "Expiration": f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%dT%H:%M:%SZ}",
            },
            "AssumedRoleUser": {"Arn": identity["Arn"], "AssumedRoleId": identity["UserId"]},
        }
        return _sts_response(action, result)


def _signature_of(request: Request) -> _Signature | None:
    """
    Read the signature from the header or, for a presigned URL, from the query.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    query, headers = request.args, request.headers
    if found := _AUTHORIZATION.match(headers.get("Authorization", "")):
        timestamp, token = headers.get("X-Amz-Date", ""), headers.get("X-Amz-Security-Token", "")
        return _Signature(False, found[1], found[2], found[3], timestamp, token)
    if "X-Amz-Signature" in query:
        names = ("Credential", "SignedHeaders", "Signature", "Date", "Security-Token")
        return _Signature(True, *(query.get(f"X-Amz-{name}", "") for name in names))
    if "Signature" in query:
        return _Signature(True, query.get("AWSAccessKeyId", ""), "", None, "", query.get("x-amz-security-token", ""))
    return None


def _matches(request: Request, signature: _Signature, credentials: Credentials, signer_class: type[SigV4Auth]) -> bool:
    """Return True if the signature is the one that botocore calculates with these credentials."""
    if signature.value is None:
        return True
    _, date, region, service, *_ = [*signature.credential.split("/"), "", "", ""]
    if not date or not signature.timestamp.startswith(date):
        return False
    signer = (S3SigV4QueryAuth if signature.is_presigned else signer_class)(credentials, service, region)
    body = b""
    if signer_class is SigV4Auth:
        body = request.get_data()
        request.environ["wsgi.input"] = BytesIO(body)  # moto reads the body again
    headers = {name: request.headers.get(name, "") for name in signature.headers.split(";")}
    headers["host"] = host_of(request)
    uri = re.sub(r"[?&]X-Amz-Signature=\w+", "", request.environ["REQUEST_URI"])
    signed = AWSRequest(request.method, f"http://{headers['host']}{uri}", headers, body)
    signed.context["timestamp"] = signature.timestamp
    return signature.value == signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)


def _sts_response(action: str, result: dict[str, Any]) -> Response:
    metadata = {"RequestId": str(uuid4())}
    return _sts_document(f"{action}Response", {f"{action}Result": result, "ResponseMetadata": metadata}, 200)


def _sts_error_response(code: str, message: str) -> Response:
    error = {"Type": "Sender", "Code": code, "Message": message}
    return _sts_document("ErrorResponse", {"Error": error, "RequestId": str(uuid4())}, 403)


def _sts_document(name: str, content: dict[str, Any], status: int) -> Response:
    document = f'<{name} xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{_to_xml(content)}</{name}>'
    return Response(document, status, content_type="text/xml")


def _to_xml(content: dict[str, Any]) -> str:
    return "".join(
        f"<{name}>{_to_xml(value) if isinstance(value, dict) else escape(value)}</{name}>"
        for name, value in content.items()
    )
