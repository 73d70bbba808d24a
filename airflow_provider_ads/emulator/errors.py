"""The errors that the service answers with."""

from __future__ import annotations

__all__ = ["HTTP_STATUS", "ServiceError"]

#: The HTTP status of each error code. The modelled ones are documented for
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html and
#: https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/API_GetHomeRegion.html
#: (``InvalidInputException`` also for calls outside of the home region, by
#: https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/Welcome.html). The others are
#: those of AWS's JSON services in general; that this service has them is the emulator's own choice.
HTTP_STATUS = {
    "AuthorizationErrorException": 400,
    "HomeRegionNotSetException": 400,
    "InvalidParameterException": 400,
    "InvalidParameterValueException": 400,
    "ResourceInUseException": 400,
    "ServerInternalErrorException": 500,
    "AccessDeniedException": 400,
    "InternalServerError": 500,
    "InvalidInputException": 400,
    "ServiceUnavailableException": 500,
    "ThrottlingException": 400,
    "ExpiredTokenException": 400,
    "IncompleteSignatureException": 400,
    "InternalFailure": 500,
    "InvalidSignatureException": 400,
    "MissingAuthenticationTokenException": 400,
    "RequestExpired": 400,
    "SerializationException": 400,
    "ServiceUnavailable": 503,
    "UnknownOperationException": 400,
    "UnrecognizedClientException": 400,
}


class ServiceError(Exception):
    """
    An error as the service answers it.

    :param code: the error's code, such as ``ResourceInUseException``.
    :param message: what the caller is told.
    :param status: the HTTP status; needed for codes that :data:`HTTP_STATUS` does not list.
    """

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = HTTP_STATUS[code] if status is None else status
