"""The settings that can be changed while the emulator runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from threading import TIMEOUT_MAX, Condition
from typing import Generic, TypeVar, overload

__all__ = ["Settings", "is_finite_number"]

T = TypeVar("T", float, float | None)


def is_finite_number(value: object) -> bool:
    """Return True if a value is a finite number, and not too large to wait for that many seconds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= TIMEOUT_MAX


class _Seconds(Generic[T]):
    """
    A number of seconds, 0 or more.

    :param description: the meaning of the number, as the command line's help prints it.
    :param default: the default of :class:`~airflow_provider_ads.emulator.AdsEmulator` and of the command line.
    :param or_none: True if None is accepted too.
    """

    def __init__(self, description: str, default: T, *, or_none: bool = False) -> None:
        self.description = description
        self.default: T = default
        self._or_none = or_none

    def __set_name__(self, owner: type[Settings], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, settings: None, owner: type[Settings]) -> _Seconds[T]: ...
    @overload
    def __get__(self, settings: Settings, owner: type[Settings]) -> T: ...
    def __get__(self, settings: Settings | None, owner: type[Settings]) -> T | _Seconds[T]:
        return self if settings is None else settings.__dict__[self._name]

    def __set__(self, settings: Settings, seconds: T) -> None:
        is_valid = self._or_none if seconds is None else is_finite_number(seconds) and seconds >= 0
        if not is_valid:
            accepted = "None or a finite number" if self._or_none else "a finite number"
            raise ValueError(f"{self._name} must be {accepted} of 0 or more, not {seconds!r}.")
        with settings.changed:
            settings.__dict__[self._name] = seconds
            settings.changed.notify_all()


class Settings:
    """
    The settings that can be changed while the emulator runs.

    :ivar changed: notified after each change of a number of seconds. It also guards the import tasks, whose threads
        wait for these seconds to pass.
    :raises ValueError: if a number of seconds is not a finite number of 0 or more, or if a role is not an ARN.
    """

    #: Seconds that each import takes. A change also applies to the import that is running.
    import_seconds = _Seconds[float]("seconds that each import takes", 1.0)

    #: Seconds that each deletion takes. A change also applies to deletions that are running.
    delete_seconds = _Seconds[float]("seconds that each deletion takes", 1.0)

    #: Seconds that each export takes. Exports do not wait for each other. A change also applies to running exports.
    export_seconds = _Seconds[float]("seconds that each export takes", 1.0)

    #: Seconds for which a client request token is remembered, from the start of its import; None: forever. Sending the
    #: token again does not extend this time. After it, the token starts another import, and the first task keeps its
    #: token too. A change also applies to earlier tokens. A token is forgotten when its task is deleted with its
    #: history.
    token_seconds = _Seconds[float | None]("seconds for which a client request token is remembered", None, or_none=True)

    #: The Migration Hub home region; None: not set. Import tasks stay in the region that they were created in.
    home_region: str | None

    #: The secrets of the known access keys; None: credentials are not checked. Add or remove a key at any time.
    access_keys: dict[str, str] | None

    #: The ARNs of the roles that callers may assume, if credentials are checked.
    roles: set[str]

    #: Seconds for which the credentials of an assumed role last. A change applies to credentials that are issued later.
    role_seconds = _Seconds[float]("seconds for which the credentials of an assumed role last", 3600.0)

    def __init__(
        self,
        *,
        home_region: str | None,
        import_seconds: float,
        delete_seconds: float,
        export_seconds: float,
        token_seconds: float | None,
        access_keys: Mapping[str, str] | None,
        roles: Collection[str],
        role_seconds: float,
    ) -> None:
        self.changed = Condition()
        self.access_keys = None if access_keys is None else dict(access_keys)
        self.roles = set(roles)
        for role in self.roles:
            if not re.fullmatch(r"arn:[\w-]+:iam::\d{12}:role/.+", role):
                raise ValueError(f"roles must contain ARNs such as arn:aws:iam::123456789012:role/name, not {role!r}.")
        self.role_seconds = role_seconds
        self.home_region = home_region
        self.import_seconds = import_seconds
        self.delete_seconds = delete_seconds
        self.export_seconds = export_seconds
        self.token_seconds = token_seconds
