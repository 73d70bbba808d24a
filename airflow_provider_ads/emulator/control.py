"""The emulator's control interface over HTTP, for an emulator in another process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from airflow_provider_ads.emulator.protocol import to_json

if TYPE_CHECKING:
    from airflow_provider_ads.emulator.server import AdsEmulator

__all__ = ["answer_control_request"]


def answer_control_request(emulator: AdsEmulator, request: Request) -> Response:
    """
    Answer ``GET /_ads/calls``, ``GET /_ads/import-tasks``, ``POST /_ads/faults`` or ``DELETE /_ads/faults``.

    :param emulator: the emulator.
    :param request: the request; faults are posted as a JSON object of the arguments of ``inject``.
    :return: the answer: JSON, or nothing for faults.
    """
    match request.method, request.path:
        case "GET", "/_ads/calls":
            return Response(to_json(emulator.calls()), content_type="application/json")
        case "GET", "/_ads/import-tasks":
            return Response(to_json(emulator.import_tasks()), content_type="application/json")
        case "POST", "/_ads/faults":
            try:
                emulator.inject(**json.loads(request.get_data()))
            except (TypeError, ValueError) as error:
                return Response(to_json({"message": str(error)}), 400, content_type="application/json")
            return Response(status=204)
        case "DELETE", "/_ads/faults":
            emulator.clear_faults()
            return Response(status=204)
        case method, path:
            message = f"The emulator does not know {method} {path}."
            return Response(to_json({"message": message}), 404, content_type="application/json")
