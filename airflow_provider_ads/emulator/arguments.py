"""Checks of what the emulator is told to do."""

from __future__ import annotations

from threading import TIMEOUT_MAX

__all__ = ["is_number"]


def is_number(value: object) -> bool:
    """
    Tell whether a value is a number, finite and, if it means seconds, not too many to wait for.

    :param value: the value; a bool is no number.
    :return: whether it is.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= TIMEOUT_MAX
