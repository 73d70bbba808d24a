"""Record what Airflow stores for this version's waits, so that tests of later versions can resume them."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Record every wait on the installed version of Airflow; this takes two minutes."""
    import tests.conftest  # noqa: F401 - gives Airflow a temporary home before Airflow is imported
    from airflow_provider_ads.emulator import AdsEmulator
    from tests.support.recorded_waits import WAITS, environment_of, record, write_recording

    waits = {}
    for name, wait in WAITS.items():
        with AdsEmulator(import_seconds=3_600, delete_seconds=3_600, export_seconds=3_600) as ads:
            os.environ.update(environment_of(ads))
            waits[name] = record(wait, ads)
        print(f"{name}: {waits[name]['next_kwargs']['event']['status']}")
    print(f"Recorded in {write_recording(waits)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
