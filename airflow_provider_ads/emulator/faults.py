"""Faults that the emulator was told to show."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event, Lock
from typing import cast

from botocore.model import StringShape

from airflow_provider_ads.emulator.arguments import is_number
from airflow_provider_ads.emulator.errors import HTTP_STATUS, ServiceError
from airflow_provider_ads.emulator.protocol import SERVICES

__all__ = ["Effect", "Fault", "Faults"]

_OPERATIONS = frozenset(name for service in SERVICES.values() for name in service.operation_names)

#: The error codes of single import tasks in the answer of BatchDeleteImportData.
_DELETION_ERRORS = frozenset(
    cast(StringShape, SERVICES["AWSPoseidonService_V2015_11_01"].shape_for("BatchDeleteImportDataErrorCode")).enum
)


@dataclass(kw_only=True)
class Fault:
    """
    A fault, with the parameters of :meth:`airflow_provider_ads.emulator.AdsEmulator.inject`.

    :raises ValueError: if a parameter is of the wrong type, or they do not go together.
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
    def of_import_task(self) -> bool:
        """Whether it strikes single import tasks of a call rather than the call."""
        return self.kind in _DELETION_ERRORS

    @property
    def description(self) -> str:
        """What callers are told about the error."""
        return self.message or f"{self.kind}, injected into the emulator."

    def __post_init__(self) -> None:
        self._check_types()
        if self.kind == "refuse":
            others = (self.operation, self.calls, self.share, self.delay, self.status, self.message)
            if self.seconds is None or others != (None,) * 6:
                raise ValueError("'refuse' concerns the port: it needs seconds and takes nothing else.")
        if self.operation is not None and self.operation not in _OPERATIONS:
            raise ValueError(f"operation: neither service has an operation {self.operation!r}.")
        if self.calls is not None and self.seconds is not None:
            raise ValueError("A fault lasts for calls or for seconds: give one of them.")
        if self.calls is not None and self.calls < 1:
            raise ValueError(f"calls is 1 or more, not {self.calls}.")
        if self.share is not None and not 0 < self.share <= 1:
            raise ValueError(f"share is more than 0 and at most 1, not {self.share}.")
        if self.seconds is not None and self.seconds <= 0:
            raise ValueError(f"seconds is more than 0, not {self.seconds}.")
        if (self.delay is not None) != (self.kind == "latency"):
            raise ValueError("'latency' needs a delay in seconds, and nothing else takes one.")
        if self.delay is not None and self.delay <= 0:
            raise ValueError(f"delay is more than 0, not {self.delay}.")
        self._check_error()

    def _check_types(self) -> None:
        if not isinstance(self.kind, str):
            raise ValueError(f"The kind of a fault is a string, not {self.kind!r}.")
        for names, fits, what in (
            (("operation", "message", "import_task_id"), _is_string, "a string"),
            (("calls", "status"), _is_integer, "an integer"),
            (("share", "seconds", "delay"), is_number, "a finite number"),
        ):
            for name in names:
                value = getattr(self, name)
                if value is not None and not fits(value):
                    raise ValueError(f"{name} is {what}, not {value!r}.")

    def _check_error(self) -> None:
        if self.of_import_task:
            if self.status is not None or self.operation not in (None, "BatchDeleteImportData"):
                raise ValueError(
                    f"{self.kind!r} is an error of an import task in the answer of BatchDeleteImportData: it takes no "
                    "status and no other operation."
                )
        elif self.import_task_id is not None:
            raise ValueError(f"import_task_id belongs to {', '.join(sorted(_DELETION_ERRORS))}, not to {self.kind!r}.")
        elif self.kind in ("drop", "hold", "latency", "lose", "refuse"):
            if self.status is not None or self.message is not None:
                raise ValueError(f"status and message belong to an error code, not to {self.kind!r}.")
        elif self.status is None:
            if self.kind not in HTTP_STATUS:
                raise ValueError(
                    f"{self.kind!r} is not 'drop', 'hold', 'latency', 'lose' or 'refuse', and an error code needs "
                    f"its HTTP status, except {', '.join(sorted(HTTP_STATUS.keys() | _DELETION_ERRORS))}."
                )
        elif not 400 <= self.status <= 599:
            raise ValueError(f"The status of an error is 400 to 599, not {self.status}.")


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass
class Effect:
    """
    What is to be done to one call.

    :param delay: seconds to wait first.
    :param drop: whether to close the connection instead of doing the call.
    :param error: the error to answer with instead of doing the call.
    :param lose: whether to close the connection instead of answering.
    :param release: set when the answer may be sent; None: it is not held back.
    """

    delay: float = 0.0
    drop: bool = False
    error: ServiceError | None = None
    lose: bool = False
    release: Event | None = None


@dataclass
class _Injected:
    """A fault at work: until when, and for how many more calls."""

    fault: Fault
    ends: float | None
    calls: int | None


class Faults:
    """
    The faults of calls to the service.

    :param seed: makes faults with a share strike the same calls each time.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._injected: list[_Injected] = []
        self._held = 0
        self._release = Event()
        self._lock = Lock()

    def add(self, fault: Fault) -> None:
        """
        Show a fault from now on.

        :param fault: the fault.
        """
        ends = None if fault.seconds is None else time.monotonic() + fault.seconds
        with self._lock:
            self._injected.append(_Injected(fault, ends, fault.calls))

    def clear(self) -> None:
        """Remove all faults, and let go the answers that are held back."""
        with self._lock:
            self._injected.clear()
            self._held = 0
            self._release.set()
            self._release = Event()

    def close(self) -> None:
        """Let go the answers that are held back, and hold none from now on."""
        with self._lock:
            self._held = 0
            self._release.set()

    def held(self) -> int:
        """
        Count the answers that are held back now.

        :return: their number.
        """
        with self._lock:
            return self._held

    def hold(self, release: Event) -> None:
        """
        Hold an answer back; not if the faults were cleared since the call met its fault.

        :param release: :attr:`Effect.release` of the call.
        """
        with self._lock:
            if not release.is_set():
                self._held += 1
        release.wait()

    def strike(self, operation: str) -> Effect:
        """
        Decide about one call: latencies add up, of other faults the first that applies is shown.

        :param operation: the operation that is called.
        :return: what is to be done to the call.
        """
        effect = Effect()
        with self._lock:
            for fault in self._striking(lambda each: not each.of_import_task and each.operation in (None, operation)):
                if fault.kind == "latency":
                    effect.delay += fault.delay or 0.0
                    continue
                if fault.kind == "drop":
                    effect.drop = True
                elif fault.kind == "lose":
                    effect.lose = True
                elif fault.kind == "hold":
                    effect.release = self._release
                else:
                    effect.error = ServiceError(fault.kind, fault.description, fault.status)
                break
        return effect

    def strike_import_task(self, import_task_id: str) -> Fault | None:
        """
        Decide about one import task in a call that deletes several: the first fault that applies is shown.

        :param import_task_id: the task's id.
        :return: the fault whose error the task gets.
        """
        with self._lock:
            return next(
                self._striking(lambda each: each.of_import_task and each.import_task_id in (None, import_task_id)),
                None,
            )

    def _striking(self, applies: Callable[[Fault], bool]) -> Iterator[Fault]:
        """Yield the faults that apply and strike this time, oldest first; each that is yielded has struck."""
        now = time.monotonic()
        self._injected = [
            each
            for each in self._injected
            if (each.ends is None or now < each.ends) and (each.calls is None or each.calls > 0)
        ]
        for injected in self._injected:
            if not applies(injected.fault):
                continue
            if injected.fault.share is not None and self._random.random() >= injected.fault.share:
                continue
            if injected.calls is not None:
                injected.calls -= 1
            yield injected.fault
