from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("names", [[], ["AirflowFailException", "AirflowSensorTimeout", "AirflowSkipException"]])
def test_an_incomplete_common_compat_is_done_without(names: list[str]) -> None:
    # The module came in 1.8 without these names, and got them one after another until 1.12.
    code = (
        "import sys, types; sdk = types.ModuleType('sdk'); "
        f"vars(sdk).update(dict.fromkeys({names!r}, Exception)); "
        "sys.modules['airflow.providers.common.compat.sdk'] = sdk; "
        "from airflow_provider_ads import version_compat as compat; "
        "print(all(hasattr(compat, name) for name in compat.__all__))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines()[-1:] == ["True"], run.stderr
