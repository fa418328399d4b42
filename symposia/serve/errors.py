"""Failures in the form that OpenAI's clients read: `{"error": {message, type, param, code}}` with the status that fits."""

from collections.abc import Mapping
from typing import Any

from symposia.state.errors import BadInput

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_STATUSES = {  # what ended a run, as the status of the request that asked for it
    "BadInput": 400,
    "UnknownName": 400,
    "RequestRejected": 400,
    "ModelNotFound": 404,
    "RateLimited": 429,
    "MissingKey": 502,
    "MalformedReply": 502,
    "EndpointDown": 503,
    "EngineFailed": 503,
    "Stopped": 503,
}
NEVER_AGAIN = {"x-should-retry": "false"}
"""Tells clients that retry by themselves not to buy a run a second time."""


class Refused(Exception):
    """A request that is not served, or whose run failed."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        run: Mapping[str, Any] | None = None,
    ) -> None:
        """`run` is what the run came to, told beside the error."""
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})
        self.body: dict[str, Any] = {"error": {"message": message, "type": type_of(status), "param": param, "code": code}}
        if run is not None:
            self.body["symposia"] = dict(run)


def type_of(status: int) -> str:
    """OpenAI's name for the kind of an error."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def refused(error: BadInput, param: str | None = None) -> Refused:
    """A request that asks for something that cannot be."""
    return Refused(400, str(error), code=type(error).__name__, param=param)


def failed(run: Mapping[str, Any]) -> Refused:
    """The failure of a run, from the object that `symposia run --json` prints."""
    error = run["error"] or {"name": "Stopped", "message": f"the run ended {run['status']}", "place": None, "remedy": None}
    where = f" (at {error['place']})" if error["place"] else ""
    remedy = f". {error['remedy']}" if error["remedy"] else ""
    status = _STATUSES.get(error["name"], 500)
    return Refused(status, f"run {run['run_id']}: {error['message']}{where}{remedy}", code=error["name"], headers=NEVER_AGAIN, run=run)
