"""Names that 0.1.0 documented and that have moved: old imports still work, with a DeprecationWarning."""

from __future__ import annotations

import sys
import warnings
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["add_old_modules", "find_moved_name"]

_PACKAGE = "airflow_provider_ads"

#: The new module of each name, by its old module.
_MOVED = {
    "discovery.import_file": {
        "inventory.options": ["OnInvalidRows"],
        "inventory.parts": ["Part"],
        "inventory.prepare": ["prepare_import_file"],
        "inventory.report": ["PreparedImportFile"],
        "inventory.source": ["Source"],
        "inventory.template": ["ImportFileError"],
    },
    "discovery.import_task": {
        "discovery.parameters": [
            *("check_client_request_token", "check_import_task_ids", "check_import_url"),
            *("check_max_failed_records", "check_name"),
        ],
        "discovery.statuses": [
            *("DELETION_FAILED_STATUSES", "DELETION_RUNNING_STATUSES", "DELETION_STATUSES", "IMPORT_DONE_STATUSES"),
            *("IMPORT_FAILED_STATUSES", "IMPORT_RUNNING_STATUSES", "TRY_AGAIN_STATUSES"),
        ],
        "discovery.verdicts": ["Verdict", "VerdictKind", "judge_deletion", "judge_import"],
    },
    "discovery.import_template": {
        "discovery.parameters": ["quote"],
        "inventory.template": [
            *("IDENTITY_COLUMNS", "IDENTITY_PAIR", "NUMERIC_COLUMNS", "TEMPLATE_COLUMNS", "ImportFileError"),
        ],
    },
    "discovery.record_quota": {"discovery.quotas": ["RecordQuota"]},
    "discovery.rvtools": {"inventory.rvtools": ["REQUIRED_SHEETS", "write_rvtools_part"]},
}
_RENAMED = {"TRY_AGAIN_STATUSES": "RETRYABLE_STATUSES"}


def find_moved_name(old_module: str, name: str) -> Any:
    """
    Return an object that has moved, with a warning that contains its new module.

    :param old_module: full name of the module that had the object in 0.1.0.
    :param name: the object's name in 0.1.0.
    :raises AttributeError: the module had no such object.
    """
    for module, names in _MOVED[old_module.removeprefix(f"{_PACKAGE}.")].items():
        if name in names:
            new_module, new_name = f"{_PACKAGE}.{module}", _RENAMED.get(name, name)
            warnings.warn(
                f"Import {new_name} from {new_module}, not from {old_module}", DeprecationWarning, stacklevel=2
            )
            if name == "prepare_import_file":
                return _prepare_import_file
            return getattr(import_module(new_module), new_name)
    raise AttributeError(f"module {old_module!r} has no attribute {name!r}")


def add_old_modules() -> None:
    """Add the modules that no longer exist to their package, ``discovery``."""
    for module in _MOVED.keys() - {"discovery.import_task"}:
        name = f"{_PACKAGE}.{module}"
        old = ModuleType(name, "Old imports.")
        vars(old)["__getattr__"] = partial(find_moved_name, name)
        vars(old)["__all__"] = [each for names in _MOVED[module].values() for each in names]
        old.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = old
        setattr(sys.modules[f"{_PACKAGE}.discovery"], module.removeprefix("discovery."), old)


def _prepare_import_file(source: Any, folder: Path, *arguments: Any, **keywords: Any) -> Any:
    """Prepare a file with the arguments of 0.1.0, which are the first of ``PrepareOptions``."""
    options = import_module(f"{_PACKAGE}.inventory.options").PrepareOptions(*arguments, **keywords)
    return import_module(f"{_PACKAGE}.inventory.prepare").prepare_import_file(source, folder, options)
