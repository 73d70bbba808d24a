"""
Exceptions of this provider, and advice for AWS's errors::

    AdsError
    ├── ImportOutcomeError           an import failed, or too many of its records did
    ├── ImportDeletionError          the data of an import could not be deleted
    ├── ExportFailedError            an export failed
    └── AdsCallError                 the outcome is unknown: AWS refused, did not answer, or gave an unusable answer
        ├── ImportTaskNotFound       AWS does not list the import
        ├── ExportTaskNotFound       AWS does not list the export
        └── ImportWaitTimeout        timed out before the import ended
            ├── ImportNotSeen        timed out before an import with that name was listed
            ├── DeletionWaitTimeout  timed out before the import's data was deleted
            └── ExportWaitTimeout    timed out before the export ended

They do not derive from Airflow's exceptions, which Airflow treats differently in a sensor that pokes and in one that
was deferred. :func:`fail_without_retry` makes a failure final.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, SSLError

from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.import_table import format_table
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.limits import SERVICE_REGIONS
from airflow_provider_ads.discovery.parameters import join_first, summarize_ids
from airflow_provider_ads.log_redaction import redact
from airflow_provider_ads.version_compat import AirflowFailException

__all__ = [
    "EXPIRED_CREDENTIALS_CODES",
    "NO_CREDENTIALS_CODES",
    "OVER_LIMIT",
    "TEMPORARY_CREDENTIALS_CODES",
    "AdsCallError",
    "AdsError",
    "DeletionWaitTimeout",
    "ExportFailedError",
    "ExportTaskNotFound",
    "ExportWaitTimeout",
    "ImportDeletionError",
    "ImportNotSeen",
    "ImportOutcomeError",
    "ImportTaskNotFound",
    "ImportWaitTimeout",
    "call_error",
    "connection_changed_error",
    "deletion_error",
    "fail_without_retry",
    "is_transient",
    "lookup_error",
]


class AdsError(Exception):
    """Base class of every exception that this provider raises about AWS Application Discovery Service."""


class ImportOutcomeError(AdsError):
    """
    One or more imports did not succeed.

    :param message: the failed imports, what happened to each of them, and what to do next.
    :param import_tasks: the summaries of all imports that the task waited for, failed or not.
    :param try_again: True if starting the failed imports again might succeed.
    """

    def __init__(self, message: str, import_tasks: Sequence[dict[str, Any]], try_again: bool) -> None:
        super().__init__(message)
        self.import_tasks = list(import_tasks)
        self.try_again = try_again

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.import_tasks, self.try_again)


class ImportDeletionError(AdsError):
    """
    The data of one or more imports could not be deleted.

    :param message: the imports, the reasons, and what to do next.
    :param errors: the service's code (``NOT_FOUND``, ``OVER_LIMIT``, ``INTERNAL_SERVER_ERROR``) or the final status of
        the deletion, by the id of the import. The data of all other imports is deleted or being deleted.
    """

    def __init__(self, message: str, errors: Mapping[str, str]) -> None:
        super().__init__(message)
        self.errors = dict(errors)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.errors)


class ExportFailedError(AdsError):
    """
    An export failed.

    :param message: what happened, what to do next, and the service's reason.
    :param export_task: the summary of the export.
    """

    def __init__(self, message: str, export_task: dict[str, Any]) -> None:
        super().__init__(message)
        self.export_task = dict(export_task)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.export_task)


class AdsCallError(AdsError):
    """
    A call failed, or the outcome of an import could not be determined.

    :param message: the call that failed, the reason, and what to do next.
    :param code: AWS's error code (``AuthorizationErrorException``), the name of the botocore error that prevented the
        call (``EndpointConnectionError``), or one of this provider's own codes: the name of a subclass,
        ``UnknownStatus``, ``UnexpectedEvent``, ``TriggerFailure``, ``ImportInProgress``, or a code of
        :class:`~airflow_provider_ads.discovery.download.ArchiveDownloadError`.
    :param import_task_id: the import concerned, if there is exactly one.
    :param transient: True if the same call might succeed later.
    """

    def __init__(self, message: str, code: str, import_task_id: str | None = None, transient: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.import_task_id = import_task_id
        self.transient = transient

    def is_outage(self, has_polled: bool) -> bool:
        """
        Return True if the next poll of a wait might succeed.

        :param has_polled: True once a poll of the wait has succeeded. From then on, missing or expired credentials
            count as an outage of their provider; before that, as a mistake.
        """
        return self.transient or (has_polled and self.code in TEMPORARY_CREDENTIALS_CODES)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.code, self.import_task_id, self.transient)


class ImportTaskNotFound(AdsCallError):
    """
    The account has no such import task in this region: the id is wrong, or the import was deleted with its history.

    :param import_task_id: the id of the missing import task.
    :param region_name: the region that was called.
    """

    def __init__(self, import_task_id: str, region_name: str | None) -> None:
        super().__init__(
            "Check that region_name is the Migration Hub home region in which the import was started, that aws_conn_id "
            "is for the same account, and that the import was not deleted with its history.\n"
            f"Import task not found in {region_name}: {import_task_id}.",
            code="ImportTaskNotFound",
            import_task_id=import_task_id,
        )
        self.region_name = region_name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.import_task_id, self.region_name)


class ExportTaskNotFound(AdsCallError):
    """
    The account has no such export task in this region.

    :param export_id: the id of the missing export task.
    :param region_name: the region that was called.
    """

    def __init__(self, export_id: str, region_name: str | None) -> None:
        super().__init__(
            "Run the task again, which starts another export. If that does not help, check that aws_conn_id and "
            f"region_name have not changed meanwhile.\nExport task not found in {region_name}: {export_id}.",
            code="ExportTaskNotFound",
        )
        self.export_id = export_id
        self.region_name = region_name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.export_id, self.region_name)


class ImportWaitTimeout(AdsCallError):
    """
    The wait timed out before the imports ended; they keep running at AWS, which cannot cancel imports.

    :param import_tasks: the last known summaries of the imports; a summary without a status if an import was never
        described.
    :param last_error: the error of the last poll, if it failed.
    """

    #: The beginning of the message: what to do, and the state of the import at AWS.
    advice = (
        "Allow more time, with a sensor's timeout or an operator's execution_timeout. The import keeps running at AWS, "
        "which processes imports one at a time and cannot cancel them; AdsImportTaskSensor can wait for it."
    )

    #: The end of "Timed out waiting for".
    awaited = "the import"

    def __init__(self, import_tasks: Sequence[dict[str, Any]], last_error: str | None) -> None:
        lines = [self.advice, f"Timed out waiting for {self.awaited}."]
        tasks = [ImportTask.from_response(task) for task in import_tasks]
        if tasks:
            first = str(tasks[0]) if tasks[0].is_listed else f"not known ({tasks[0].import_task_id})"
            lines[-1] += f" Last status: {first}." if len(tasks) == 1 else f" Last status:\n{format_table(tasks)}"
        if last_error:
            lines.append(f"The last poll failed: {last_error}")
        super().__init__("\n".join(lines), code=type(self).__name__)
        self.import_tasks = list(import_tasks)
        self.last_error = last_error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.import_tasks, self.last_error)


class ImportNotSeen(ImportWaitTimeout):
    """
    The wait timed out before an import with the expected name was listed.

    :param name: the expected name.
    :param region_name: the region that was called.
    :param last_error: the error of the last poll, if it failed; in that case such an import might exist.
    """

    def __init__(self, name: str, region_name: str | None, last_error: str | None) -> None:
        self.awaited = f"an import named {name!r} in {region_name or 'the region of the connection'}"
        self.advice = (
            "Check that name is exactly the import's name, that region_name is the Migration Hub home region in which "
            "it is started, and that aws_conn_id is for the same account: "
            + ("no such import was listed." if last_error is None else "it is not known if there is such an import.")
        )
        super().__init__([], last_error)
        self.name = name
        self.region_name = region_name

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.region_name, self.last_error)


class DeletionWaitTimeout(ImportWaitTimeout):
    """The wait timed out before the data was deleted; the deletion continues. The parameters are those of the base."""

    awaited = "the deletion"
    advice = "Allow more time; a retry of the task waits for the deletion, which continues at AWS."


class ExportWaitTimeout(ImportWaitTimeout):
    """
    The wait timed out before the export ended; it continues at AWS, which cannot cancel exports.

    :param export_tasks: the last known summary of the export; empty if its id is not known.
    :param last_error: the error of the last poll, if it failed.
    """

    def __init__(self, export_tasks: Sequence[dict[str, Any]], last_error: str | None) -> None:
        last_status = "".join(f" Last status: {ExportTask.from_response(task)}." for task in export_tasks)
        error = f"\nThe last poll failed: {last_error}" if last_error else ""
        AdsCallError.__init__(
            self,
            "Allow more time with execution_timeout: a retry starts another export, although this one continues at "
            f"AWS.\nTimed out waiting for the export.{last_status}{error}",
            code=type(self).__name__,
        )
        self.import_tasks = list(export_tasks)
        self.last_error = last_error


#: Error codes that new credentials can resolve, because the old ones have expired or were rotated.
#: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html lists the spellings.
EXPIRED_CREDENTIALS_CODES = frozenset(
    {
        "CredentialRetrievalError",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "NoCredentialsError",
        "RequestExpired",
        "UnrecognizedClientException",
    }
)

#: The subset of these codes for credentials that are unavailable rather than wrong.
TEMPORARY_CREDENTIALS_CODES = EXPIRED_CREDENTIALS_CODES - {"InvalidClientTokenId", "UnrecognizedClientException"} | {
    "ConnectionLookupFailed"
}

#: Codes of calls that have no credentials.
NO_CREDENTIALS_CODES = frozenset(
    {
        "CredentialRetrievalError",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NoCredentialsError",
    }
)

_NOT_ALLOWED = "Allow {action} in the IAM policy of the user or role behind aws_conn_id={aws_conn_id!r}"
#: Other reasons why S3 denies access to a file.
#: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
_DENIED_OR_MISSING = (
    ", and check the policies of the bucket and of its KMS key. Without s3:ListBucket, S3 gives the same answer for a "
    "file that does not exist, so check the URL too"
)
_SET_HOME_REGION = (
    "Set region_name to the account's Migration Hub home region, which the Migration Hub console and "
    "'aws migrationhub-config get-home-region' show; if the account has none yet, choose one in the console"
)
_WRONG_CREDENTIALS = "Correct the access key and the secret of aws_conn_id={aws_conn_id!r}: AWS does not recognize them"
_WRONG_SIGNATURE = (
    "Correct the secret of aws_conn_id={aws_conn_id!r}, which does not match the access key; or correct the machine's "
    "clock"
)
_UNKNOWN_CODE = (
    "See AWS's message; AWS Support can look up the request id. This version of airflow-provider-ads has no advice for "
    "this code"
)
_EXPIRED_CREDENTIALS = "Renew the credentials of aws_conn_id={aws_conn_id!r}, which have expired"
_NO_CREDENTIALS = (
    "Add an access key or a role to aws_conn_id={aws_conn_id!r}, or check that the machine's own role is available: no "
    "credentials were found"
)
_CREATE_CONNECTION = (
    "Create the connection {aws_conn_id!r} (Admin > Connections, or 'airflow connections add {aws_conn_id} --conn-type "
    "aws'), or correct aws_conn_id: Airflow found no readable connection with this id"
)
_STS_NOT_REACHED = (
    "Check the network and the proxy between this machine and AWS STS, which issues the credentials of roles and "
    "cannot be reached. The endpoint_url of aws_conn_id does not apply to STS; set service_config.sts.endpoint_url in "
    "the connection's extra to use another endpoint"
)
_WRONG_PARAMETER = "Correct the parameter that AWS's message names, and run the task again"

#: Advice by error code, with the cause. The service documents its codes on the pages of its operations, such
#: as https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html. The others are
#: common to all AWS services, https://docs.aws.amazon.com/securityhub/1.0/APIReference/CommonErrors.html, or names of
#: botocore's exceptions.
_ADVICE = {
    **dict.fromkeys(NO_CREDENTIALS_CODES, _NO_CREDENTIALS),
    # botocore uses the HTTP status as the code when the answer of S3, or of a proxy, contains none.
    "403": _NOT_ALLOWED,
    "AccessDenied": _NOT_ALLOWED,
    "AccessDeniedException": _NOT_ALLOWED,
    "AuthorizationErrorException": _NOT_ALLOWED,
    "ConnectTimeoutError": "Check the network, the proxy and the region: the endpoint did not answer",
    "EndpointConnectionError": (
        "Check the network, the proxy, the region and the endpoint_url of aws_conn_id={aws_conn_id!r}: the endpoint "
        "cannot be reached"
    ),
    "ExpiredToken": _EXPIRED_CREDENTIALS,
    "ExpiredTokenException": _EXPIRED_CREDENTIALS,
    "HTTPClientError": "Check verify, the proxy and the network: the request could not be sent",
    "HomeRegionNotSetException": _SET_HOME_REGION,
    "IncompleteSignature": _WRONG_CREDENTIALS,
    "IncompleteSignatureException": _WRONG_CREDENTIALS,
    "InvalidClientTokenId": _WRONG_CREDENTIALS,
    "InvalidInputException": _SET_HOME_REGION,
    "InvalidParameterException": _WRONG_PARAMETER,
    "InvalidParameterValueException": _WRONG_PARAMETER,
    "InvalidSignatureException": _WRONG_SIGNATURE,
    "MalformedAnswer": (
        "Check the proxy and the endpoint_url of aws_conn_id={aws_conn_id!r}; if both are right, run the task again. "
        "The answer does not come from the service, or is incomplete"
    ),
    "NoSuchBucket": "Correct the name of the bucket, or create it",
    "NoSuchKey": "Correct the key of the file, or upload it",
    "NoRegionError": _SET_HOME_REGION,
    "OperationNotPermittedException": "See AWS's message: AWS does not permit this operation now",
    "OptInRequired": (
        "Use an account that is subscribed to the service, which has been closed to new customers since 7 November 2025"
    ),
    "ParamValidationError": _WRONG_PARAMETER,
    "PartialCredentialsError": _WRONG_CREDENTIALS,
    "ProfileNotFound": "Correct profile_name in aws_conn_id={aws_conn_id!r}, or add that profile to the machine",
    "RequestExpired": (
        "Correct the machine's clock, or renew the credentials of aws_conn_id={aws_conn_id!r}: the request was too old"
    ),
    "ResourceInUseException": (
        "Use a new client_request_token for a new import: this one was used before, for an import with another name or "
        "URL"
    ),
    "SSLError": "Check verify and the proxy: the endpoint's certificate could not be verified",
    "SignatureDoesNotMatch": _WRONG_SIGNATURE,
    "UnknownRegionError": (
        "Correct region_name, in the Dag or in aws_conn_id={aws_conn_id!r}: there is no such region. The service is "
        "available in " + ", ".join(SERVICE_REGIONS)
    ),
    "UnrecognizedClientException": _WRONG_CREDENTIALS,
}

#: Advice for two messages of ``OperationNotPermittedException``, by a part of them. AWS does not document them, but
#: https://github.com/awslabs/aws-discovery-utils/blob/master/export.py looks for both.
_NOT_PERMITTED_ADVICE = {
    "limit of maximum allowed concurrent exports": (
        "Wait until the account's other exports have ended, and run the task again; retries and retry_delay do both"
    ),
    "successful export is already present": (
        "Use the export whose id AWS's message ends with, which AdsHook.get_export_task describes, or run the task "
        "again later"
    ),
}

#: IAM prefixes of the operations of other services.
#: https://docs.aws.amazon.com/migrationhub/latest/ug/migrationhub-api-permissions-ref.html
_IAM_PREFIXES = {
    "AssumeRole": "sts",
    "AssumeRoleWithSAML": "sts",
    "AssumeRoleWithWebIdentity": "sts",
    "GetCallerIdentity": "sts",
    "GetHomeRegion": "mgh",
    "GetObject": "s3",
    "PutObject": "s3",
}

#: Causes that botocore retries although a retry cannot fix a certificate or a CA bundle.
_PERMANENT_CAUSES = (ssl.SSLError, FileNotFoundError, IsADirectoryError, PermissionError)


def call_error(
    error: ClientError | BotoCoreError,
    operation: str,
    about: str,
    region_name: str | None,
    aws_conn_id: str | None,
    *,
    is_connection_missing: bool = False,
    sts_endpoint_url: str | None = None,
) -> AdsCallError:
    """
    Convert an exception of boto3 into an error with advice.

    :param error: the exception.
    :param operation: the operation, such as ``DescribeImportTasks``.
    :param about: the imports or the file of the call, for the message.
    :param region_name: the region that was called.
    :param aws_conn_id: the connection with the credentials.
    :param is_connection_missing: True if Airflow has no such connection. The Amazon provider then uses the machine's
        own credentials and region.
    :param sts_endpoint_url: the endpoint of AWS STS, if the connection sets one.
    """
    response: Any = {}
    if isinstance(error, ClientError):
        response = error.response
        # This can be another operation than the requested one: a connection with a role calls AWS STS first.
        operation = error.operation_name
    metadata = response.get("ResponseMetadata", {})
    code = response.get("Error", {}).get("Code") or type(error).__name__
    transient = is_transient(error)
    # AWS can quote the request that it calculated a signature for, with its session token.
    reason = redact(response.get("Error", {}).get("Message") or str(error))
    request_id = f" (request id {metadata['RequestId']})" if metadata.get("RequestId") else ""
    advice = _ADVICE.get(code)
    note = ""
    if _is_about_sts(error, sts_endpoint_url):
        advice = _STS_NOT_REACHED
    elif is_connection_missing and (code in NO_CREDENTIALS_CODES or code == "NoRegionError"):
        advice = _CREATE_CONNECTION
    elif advice is None:
        advice = "Try again later: this failure is usually temporary" if transient else _UNKNOWN_CODE
    elif code == "OperationNotPermittedException":
        advice = next((text for part, text in _NOT_PERMITTED_ADVICE.items() if part in reason), advice)
    elif advice is _NOT_ALLOWED and operation == "GetObject":
        advice += _DENIED_OR_MISSING
    if is_connection_missing and advice is not _CREATE_CONNECTION:
        note = ", which Airflow did not find, so with the machine's own credentials,"
    action = f"{_IAM_PREFIXES.get(operation, 'discovery')}:{operation}"
    return AdsCallError(
        f"{advice.format(action=action, aws_conn_id=aws_conn_id)}.\n"
        f"{operation} for {about} in {region_name or 'no region'} with aws_conn_id={aws_conn_id!r}{note} failed with "
        f"{code}: {reason.rstrip('.')}{request_id}.",
        code=code,
        transient=transient,
    )


def _is_about_sts(error: ClientError | BotoCoreError, sts_endpoint_url: str | None) -> bool:
    """Return True if AWS STS could not be reached, unless its certificate is the reason."""
    if isinstance(error, ClientError | SSLError):
        return False
    url = str(error.kwargs.get("endpoint_url", ""))
    is_of_connection = sts_endpoint_url is not None and url.rstrip("/") == sts_endpoint_url.rstrip("/")
    return is_of_connection or (urlsplit(url).hostname or "").startswith(("sts.", "sts-fips."))


def is_transient(error: ClientError | BotoCoreError) -> bool:
    """Return True if botocore would retry the call and a retry can succeed."""
    response: Any = error.response if isinstance(error, ClientError) else {}
    # Imported here because the triggerer imports this module on its event loop, and loading these would block it.
    from botocore.retries import standard

    context = standard.RetryContext(
        attempt_number=1,
        parsed_response=response,
        http_response=SimpleNamespace(status_code=response.get("ResponseMetadata", {}).get("HTTPStatusCode")),
        caught_exception=error,
    )
    cause = getattr(error, "kwargs", {}).get("error")
    if isinstance(error, SSLError) or isinstance(cause, _PERMANENT_CAUSES):
        return False
    if isinstance(error, IncompleteReadError):
        # botocore does not retry it: the connection broke while an S3 object was downloaded, or a proxy answered.
        return True
    checkers = [standard.TransientRetryableChecker(), standard.ThrottledRetryableChecker()]
    return any(checker.is_retryable(context) for checker in checkers)


#: The service's code for imports that it did not delete because of the account's daily limit of deleted records.
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportDataError.html
OVER_LIMIT = "OVER_LIMIT"

#: Advice for the codes with which the service refuses to delete an import.
_DELETION_ADVICE = {
    "INTERNAL_SERVER_ERROR": "Run the task again: the service itself failed",
    "NOT_FOUND": (
        "Check that region_name is the Migration Hub home region in which the import was started, and that aws_conn_id "
        "is for the same account"
    ),
    OVER_LIMIT: "Run the task again after 00:00 UTC: the account's limit of 25,000 deleted records a day is reached",
}


def lookup_error(aws_conn_id: str | None, reason: str) -> AdsCallError:
    """
    Return the error for a connection that could not be looked up.

    :param aws_conn_id: the connection.
    :param reason: the reason for the failure.
    """
    return AdsCallError(
        f"Check that Airflow can read the connection {aws_conn_id!r}; its lookup failed: {reason}",
        code="ConnectionLookupFailed",
    )


def connection_changed_error(import_task_ids: Sequence[str]) -> AdsCallError:
    """
    Return the error for imports that are not listed after the connection's credentials have changed.

    :param import_task_ids: the imports whose deletion the task waits for.
    """
    return AdsCallError(
        "Run the task again: the connection has changed while the task waited for "
        f"{summarize_ids(import_task_ids)}, so an import that is not listed has not necessarily been deleted.",
        code="ConnectionChanged",
    )


def deletion_error(refused: Mapping[str, Mapping[str, str]], region_name: str | None) -> ImportDeletionError:
    """
    Return one error with advice for all imports that the service refused to delete.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportDataError.html

    :param refused: the service's error entries by the ids of the imports.
    :param region_name: the region that was called.
    """
    codes = {import_task_id: error.get("errorCode", "no code") for import_task_id, error in refused.items()}
    named = []
    for import_task_id, code in codes.items():
        description = refused[import_task_id].get("errorDescription", "").rstrip(".")
        named.append(f"{import_task_id} ({code}{': ' if description else ''}{description})")
    advice = [_DELETION_ADVICE.get(code, "See AWS's message") for code in dict.fromkeys(codes.values())]
    return ImportDeletionError(
        f"{'. '.join(dict.fromkeys(advice))}.\nNot deleted in {region_name}: {join_first(named)}.", codes
    )


def fail_without_retry(error: Exception) -> NoReturn:
    """
    Fail the task without a retry, no matter how many ``retries`` are left.

    Airflow handles ``AirflowFailException`` in the same way in every mode of a sensor: it never retries, and it skips
    the task if ``soft_fail`` is set.

    :param error: the reason.
    :raises AirflowFailException: always, with the message of ``error``, which is its ``__context__``. It is not its
        ``__cause__``, because Airflow would show the message and a traceback twice.
    """
    failure = AirflowFailException(str(error))
    failure.__context__ = error
    raise failure from None
