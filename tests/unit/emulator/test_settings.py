from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import describe, start_import, wait_for_import


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        *product(
            ("import_seconds", "delete_seconds", "export_seconds", "role_seconds", "token_seconds"),
            (-1, math.nan, math.inf, 10**400, True, "1"),
        ),
        ("import_seconds", None),
    ],
)
def test_invalid_seconds_are_refused(name: str, seconds: Any) -> None:
    accepted = "None or a finite number" if name == "token_seconds" else "a finite number"
    with pytest.raises(ValueError, match=f"^{name} must be {accepted} of 0 or more, not"):
        AdsEmulator(**{name: seconds})
    emulator = AdsEmulator()
    before = getattr(emulator, name)
    with pytest.raises(ValueError, match=f"^{name} must be {accepted} of 0 or more, not"):
        setattr(emulator, name, seconds)
    assert getattr(emulator, name) == before


def test_a_change_applies_to_the_running_import(ads: AdsEmulator, discovery: Any) -> None:
    assert (ads.home_region, ads.import_seconds) == ("us-west-2", 0)
    ads.import_seconds = 3600
    import_task_id = start_import(discovery)
    assert describe(discovery, import_task_id)["status"] == "IMPORT_IN_PROGRESS"
    ads.import_seconds = 0.01
    assert wait_for_import(discovery, import_task_id)["status"] == "IMPORT_FAILED"


def test_descriptions_state_the_actual_defaults() -> None:
    emulator = AdsEmulator()
    names = ("import_seconds", "delete_seconds", "export_seconds", "token_seconds", "role_seconds")
    assert [getattr(AdsEmulator, name).default for name in names] == [1.0, 1.0, 1.0, None, 3600.0]
    assert [getattr(emulator, name) for name in names] == [1.0, 1.0, 1.0, None, 3600.0]


def test_each_emulator_has_its_own_settings() -> None:
    first, second = AdsEmulator(import_seconds=2), AdsEmulator(import_seconds=3)
    assert (first.import_seconds, second.import_seconds) == (2, 3)
