from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("names", [[], ["AirflowFailException", "AirflowSensorTimeout", "AirflowSkipException"]])
def test_every_name_can_be_imported_if_common_compat_lacks_some(names: list[str]) -> None:
    # common-compat 1.8 introduced the module without these names, and releases up to 1.12 added them.
    code = (
        "import sys, types; sdk = types.ModuleType('sdk'); "
        f"vars(sdk).update(dict.fromkeys({names!r}, Exception)); "
        "sys.modules['airflow.providers.common.compat.sdk'] = sdk; "
        "from airflow_provider_ads import version_compat as compat; "
        "print(all(hasattr(compat, name) for name in compat.__all__))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines()[-1:] == ["True"], run.stderr
