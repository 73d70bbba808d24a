"""Base class for records of the service's tasks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple, NoReturn, Self

__all__ = ["TaskRecord"]


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """
    Base class for one task as the service describes it; fields that the service did not send are None.

    Fields have the service's names in snake case. The id is the only required field. Fields without a ``repr`` are
    secrets. Airflow cannot store a record as an XCom: store its :meth:`summary`.
    """

    #: The kind of task, for messages.
    noun: ClassVar[str]

    #: The secrets of the record, for messages.
    secrets: ClassVar[str]

    @property
    def id(self) -> str:
        """The task's id."""
        raise NotImplementedError

    @property
    def status(self) -> str | None:
        """The task's status."""
        raise NotImplementedError

    @classmethod
    def from_id(cls, task_id: str) -> Self:
        """Return the record of a task of which only the id is known."""
        return cls(**{cls._layout().id_name: task_id})

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> Self:
        """
        Return the record for one task of a boto3 response, or for a :meth:`summary`; unknown fields are ignored.

        :param response: a task with the service's field names; times as ``datetime`` or ISO 8601 strings.
        :raises KeyError: the id is missing.
        """
        layout = cls._layout()
        fields = {name: response.get(service_name) for name, service_name in layout.service_names.items()}
        fields[layout.id_name] = response[layout.service_names[layout.id_name]]
        for name in layout.times:
            time = fields[name]
            if time is not None:
                fields[name] = (datetime.fromisoformat(time) if isinstance(time, str) else time).astimezone(UTC)
        return cls(**fields)

    def summary(self) -> dict[str, Any]:
        """
        Return the task as JSON-safe values without its secrets, for events, XComs and logs.

        :return: every field that is not a secret under the service's name; None for a field that the service did not
            send; times as ISO 8601 strings in UTC.
        """
        layout = self._layout()
        values = {
            service_name: getattr(self, name)
            for name, service_name in layout.service_names.items()
            if name not in layout.secrets
        }
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}

    def serialize(self) -> NoReturn:
        """
        Refuse to be stored as an XCom; Airflow calls this method.

        :raises TypeError: always.
        """
        raise TypeError(
            f"Return the summary() of {self.noun} {self.id} instead of the {type(self).__name__}: an XCom would store "
            f"{self.secrets} in clear text."
        )

    def __reduce__(self) -> NoReturn:
        # Airflow 2 can pickle XComs.
        self.serialize()

    @property
    def is_listed(self) -> bool:
        """True if the service lists the task, False if only its id is known."""
        return self != self.from_id(self.id)

    @classmethod
    def _layout(cls) -> _Layout:
        return _layout_of(cls)  # type: ignore[arg-type]  # mypy considers the class unhashable


class _Layout(NamedTuple):
    """The service's name of each field, and the names of the field with the id, of times and of secrets."""

    service_names: dict[str, str]
    id_name: str
    times: list[str]
    secrets: list[str]


@functools.cache
def _layout_of(record: type[TaskRecord]) -> _Layout:
    fields = dataclasses.fields(record)
    return _Layout(
        {field.name: _service_name(field.name) for field in fields},
        fields[0].name,
        [field.name for field in fields if field.name.endswith("_time")],
        [field.name for field in fields if not field.repr],
    )


def _service_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
