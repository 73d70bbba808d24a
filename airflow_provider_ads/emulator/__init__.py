"""
A local emulator of AWS Application Discovery Service, for tests and for trying pipelines without AWS.

Install it with ``pip install 'airflow-provider-ads[emulator]'``. It starts, describes and deletes imports, and exports
what they contain. It checks credentials if you ask for it. Unlike AWS, it checks no permissions, and it has only one
account.
"""

from __future__ import annotations

try:
    from airflow_provider_ads.emulator.server import AdsEmulator
except ImportError as error:
    raise ImportError(
        f"The emulator needs moto, Flask and openpyxl ({error}): pip install 'airflow-provider-ads[emulator]'"
    ) from error

__all__ = ["AdsEmulator"]
