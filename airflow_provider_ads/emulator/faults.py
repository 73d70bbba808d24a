"""Faults that tests inject into calls to the service."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from threading import Event, Lock
from typing import cast

from botocore.model import StringShape

from airflow_provider_ads.emulator.protocol import DISCOVERY, HTTP_STATUS, SERVICES, ServiceError
from airflow_provider_ads.emulator.settings import is_finite_number

__all__ = ["DELETION_ERRORS", "EXPORT_OUTCOMES", "KINDS", "ActiveFault", "Effect", "Fault", "Faults"]

_OPERATIONS = frozenset(name for service in SERVICES.values() for name in service.operation_names)

#: The error codes of single import tasks in the response of BatchDeleteImportData.
DELETION_ERRORS = frozenset(cast(StringShape, DISCOVERY.shape_for("BatchDeleteImportDataErrorCode")).enum)

#: The faults that are not error codes, and their effects.
KINDS = {
    "drop": "close the connection without performing the call",
    "hold": "perform the call, and hold its response until the faults are cleared",
    "latency": "delay the response",
    "lose": "perform the call, and close the connection without a response",
    "malformed": "answer with an HTML page, as a proxy does",
    "refuse": "close the port for some seconds",
}

#: The outcomes of the exports that StartExportTask starts, and the fields that these then have.
EXPORT_OUTCOMES: dict[str, dict[str, object]] = {
    "EXPORT_FAILED": {"exportStatus": "FAILED"},
    "EXPORT_TRUNCATED": {"exportStatus": "SUCCEEDED", "isTruncated": True},
}

#: The body of a malformed response without a message of its own, as a captive portal might send it.
_PROXY_PAGE = "<!DOCTYPE html><title>Sign in</title>"


@dataclass(kw_only=True)
class Fault:
    """
    A fault, with the parameters of :meth:`airflow_provider_ads.emulator.AdsEmulator.inject`.

    :raises ValueError: if a parameter has the wrong type or does not fit the others.
    """

    kind: str
    operation: str | None = None
    calls: int | None = None
    share: float | None = None
    seconds: float | None = None
    delay: float | None = None
    status: int | None = None
    message: str | None = None
    import_task_id: str | None = None

    @property
    def concerns_import_tasks(self) -> bool:
        """True if it affects single import tasks of a call instead of the whole call."""
        return self.kind in DELETION_ERRORS

    @property
    def concerns_exports(self) -> bool:
        """True if it affects the outcome of the export that a call starts instead of the call."""
        return self.kind in EXPORT_OUTCOMES

    @property
    def description(self) -> str:
        """The message of the error."""
        return self.message or f"{self.kind}, injected into the emulator."

    def __post_init__(self) -> None:
        self._check_types()
        if self.kind == "refuse":
            others = (self.operation, self.calls, self.share, self.delay, self.status, self.message)
            if self.seconds is None or others != (None,) * 6:
                raise ValueError("'refuse' closes the port: it needs seconds and accepts nothing else.")
        if self.operation is not None and self.operation not in _OPERATIONS:
            raise ValueError(f"Neither service has an operation {self.operation!r}.")
        if self.calls is not None and self.seconds is not None:
            raise ValueError("A fault lasts for a number of calls or of seconds: set only one of them.")
        if self.calls is not None and self.calls < 1:
            raise ValueError(f"calls must be 1 or more, not {self.calls}.")
        if self.share is not None and not 0 < self.share <= 1:
            raise ValueError(f"share must be more than 0 and at most 1, not {self.share}.")
        if self.seconds is not None and self.seconds <= 0:
            raise ValueError(f"seconds must be more than 0, not {self.seconds}.")
        if (self.delay is not None) != (self.kind == "latency"):
            raise ValueError("'latency' needs a delay in seconds, and no other fault accepts one.")
        if self.delay is not None and self.delay <= 0:
            raise ValueError(f"delay must be more than 0, not {self.delay}.")
        self._check_error()

    def _check_types(self) -> None:
        if not isinstance(self.kind, str):
            raise ValueError(f"fault must be a string, not {self.kind!r}.")
        for names, is_valid, expected in (
            (("operation", "message", "import_task_id"), lambda each: isinstance(each, str), "a string"),
            (("calls", "status"), lambda each: isinstance(each, int) and not isinstance(each, bool), "an integer"),
            (("share", "seconds", "delay"), is_finite_number, "a finite number"),
        ):
            for name in names:
                value = getattr(self, name)
                if value is not None and not is_valid(value):
                    raise ValueError(f"{name} must be {expected}, not {value!r}.")

    def _check_error(self) -> None:
        if self.concerns_import_tasks:
            if self.status is not None or self.operation not in (None, "BatchDeleteImportData"):
                raise ValueError(
                    f"{self.kind!r} is an error of an import task in the response of BatchDeleteImportData: it accepts "
                    "no status and no other operation."
                )
        elif self.concerns_exports:
            if (self.status, self.import_task_id) != (None, None) or self.operation not in (None, "StartExportTask"):
                raise ValueError(
                    f"{self.kind!r} is the outcome of an export that StartExportTask starts: it accepts neither a "
                    "status nor an import task, and no other operation."
                )
        elif self.import_task_id is not None:
            raise ValueError(f"import_task_id requires {', '.join(sorted(DELETION_ERRORS))}, not {self.kind!r}.")
        elif self.kind in KINDS:
            if self.status is not None or (self.message is not None and self.kind != "malformed"):
                raise ValueError(f"status and message require an error code, not {self.kind!r}.")
        elif self.status is None:
            if self.kind not in HTTP_STATUS:
                known = HTTP_STATUS.keys() | DELETION_ERRORS | EXPORT_OUTCOMES.keys()
                raise ValueError(
                    f"{self.kind!r} is neither {', '.join(map(repr, KINDS))} nor a known error code. Any other error "
                    f"code needs its HTTP status. Known are {', '.join(sorted(known))}."
                )
        elif not 400 <= self.status <= 599:
            raise ValueError(f"The status of an error must be 400 to 599, not {self.status}.")


@dataclass
class Effect:
    """
    The effect of the faults on one call.

    :param delay: the number of seconds to wait first.
    :param drop: True to close the connection instead of performing the call.
    :param body: the body of a successful response to return instead of performing the call.
    :param error: the error to return instead of performing the call.
    :param lose: True to close the connection instead of sending the response.
    :param release: an event to wait for before sending the response; None: send it immediately.
    """

    delay: float = 0.0
    drop: bool = False
    body: str | None = None
    error: ServiceError | None = None
    lose: bool = False
    release: Event | None = None


@dataclass
class ActiveFault:
    """
    A fault that still affects calls.

    :param fault: the fault.
    :param ends: when it ends, by the monotonic clock; None: when it is cleared.
    :param calls: the number of calls that it still affects; None: any number.
    """

    fault: Fault
    ends: float | None
    calls: int | None


class Faults:
    """
    The faults that affect calls to the service.

    :param seed: the seed that decides which calls a fault with a share affects.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._active: list[ActiveFault] = []
        self._held = 0
        self._release = Event()
        self._lock = Lock()

    def add(self, fault: Fault) -> None:
        """Activate a fault."""
        ends = None if fault.seconds is None else time.monotonic() + fault.seconds
        with self._lock:
            self._active.append(ActiveFault(fault, ends, fault.calls))

    def clear(self) -> None:
        """Remove all faults and send the held responses."""
        with self._lock:
            self._active.clear()
            self._held = 0
            self._release.set()
            self._release = Event()

    def close(self) -> None:
        """Release the held responses, and hold no more."""
        with self._lock:
            self._held = 0
            self._release.set()

    def active(self) -> list[ActiveFault]:
        """List the faults that still affect calls, oldest first."""
        with self._lock:
            self._remove_ended()
            return [replace(each) for each in self._active]

    def held(self) -> int:
        """Count the responses that are being held."""
        with self._lock:
            return self._held

    def hold(self, release: Event) -> None:
        """Hold a response until its :attr:`Effect.release`, which is already set if the faults have been cleared."""
        with self._lock:
            if not release.is_set():
                self._held += 1
        release.wait()

    def apply_to_call(self, operation: str) -> Effect:
        """Return the effect on one call: the sum of all latencies, and the first other fault that applies."""
        effect = Effect()
        with self._lock:
            for fault in self._apply(
                lambda each: (
                    not each.concerns_import_tasks and not each.concerns_exports and each.operation in (None, operation)
                )
            ):
                if fault.kind == "latency":
                    effect.delay += fault.delay or 0.0
                    continue
                if fault.kind == "drop":
                    effect.drop = True
                elif fault.kind == "lose":
                    effect.lose = True
                elif fault.kind == "malformed":
                    effect.body = _PROXY_PAGE if fault.message is None else fault.message
                elif fault.kind == "hold":
                    effect.release = self._release
                else:
                    effect.error = ServiceError(fault.kind, fault.description, fault.status)
                break
        return effect

    def apply_to_import_task(self, import_task_id: str) -> Fault | None:
        """Return the first fault that applies to one import task in a call that deletes several, or None."""
        with self._lock:
            return next(
                self._apply(lambda each: each.concerns_import_tasks and each.import_task_id in (None, import_task_id)),
                None,
            )

    def apply_to_export(self) -> dict[str, object]:
        """Return the fields that the first fault sets when an export ends; empty without a fault."""
        with self._lock:
            fault = next(self._apply(lambda each: each.concerns_exports), None)
        if fault is None:
            return {}
        message = {} if fault.message is None else {"statusMessage": fault.message}
        return {**EXPORT_OUTCOMES[fault.kind], **message}

    def _apply(self, matches: Callable[[Fault], bool]) -> Iterator[Fault]:
        """Yield the matching faults that affect this call, oldest first. Each one counts the call."""
        self._remove_ended()
        for active in self._active:
            if not matches(active.fault):
                continue
            if active.fault.share is not None and self._random.random() >= active.fault.share:
                continue
            if active.calls is not None:
                active.calls -= 1
            yield active.fault

    def _remove_ended(self) -> None:
        now = time.monotonic()
        self._active = [
            each
            for each in self._active
            if (each.ends is None or now < each.ends) and (each.calls is None or each.calls > 0)
        ]
