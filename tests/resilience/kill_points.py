"""Kill points: what is killed, and when."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["HALT_FOLDER", "KillPoint", "Moment", "Victim"]

#: The environment variable with the folder in which a halting task announces its process.
HALT_FOLDER = "RESILIENCE_HALT_FOLDER"


class Victim(StrEnum):
    """The victim of a kill, which is always a SIGKILL."""

    #: The process that executes a task; its supervisor survives.
    TASK = "task"
    TRIGGERER = "triggerer"
    SCHEDULER = "scheduler"
    #: A Celery worker with its tasks.
    WORKER = "worker"
    BROKER = "broker"
    #: Every process of Airflow, as when the machine fails.
    EVERYTHING = "everything"
    #: A task, the triggerer or the scheduler, chosen at random.
    ANY = "task, triggerer or scheduler"
    NOTHING = "nothing"


class Moment(StrEnum):
    """The moment of a kill."""

    BEFORE_CALL = "before the call"
    BETWEEN = "between the call's arrival and its answer"
    AFTER_ANSWER = "after the answer"
    #: On a worker or in the triggerer; a deferred task that is itself killed has just resumed.
    WAITING = "while waiting"
    BUSY = "while tasks are queued or running"
    RANDOM = "at a random moment"
    NEVER = ""


class KillPoint(NamedTuple):
    """A victim and the moment at which it is killed."""

    victim: Victim
    moment: Moment

    def __str__(self) -> str:
        return f"{self.victim} {self.moment}".strip()
