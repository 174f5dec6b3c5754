"""What the HTTP interface reads from a request: user, query, numbers, body, signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from flask import request

from sandbox.standins.drone.config import Config, User


class Refusal(Exception):
    """The request gets an error as response.

    Attributes:
        status: HTTP status of the response.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def refuse(status: int, message: str) -> NoReturn:
    """Respond to the request with an error.

    Raises:
        Refusal: always.
    """
    raise Refusal(status, message)


def current_user(config: Config) -> User:
    """Return the user that the token in the header or the query belongs to.

    Raises:
        Refusal: there is no token, or an unknown one.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token if scheme == "Bearer" else request.args.get("access_token", "")
    return config.tokens.get(token) or refuse(401, "Unauthorized")


def query() -> dict[str, str]:
    """Return the query; a repeated name has its first value."""
    return request.args.to_dict()


def query_number(key: str) -> int:
    """Return a number of the query, 0 without a valid one."""
    text = request.args.get(key, "")
    return int(text) if text.isdecimal() else 0


def path_number(text: str, go_function: str) -> int:
    """Return a number of the path.

    Args:
        text: the part of the path.
        go_function: function of Go's `strconv` that Drone's message names.

    Raises:
        Refusal: the text is not a number.
    """
    if not text.isdecimal():
        refuse(400, f'strconv.{go_function}: parsing "{text}": invalid syntax')
    return int(text)


def json_object(raw: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a body.

    Raises:
        Refusal: the body is something else.
    """
    try:
        found = json.loads(raw)
    except ValueError as error:
        refuse(400, f"the body is not valid JSON: {error}")
    return found if isinstance(found, dict) else refuse(400, "the body is not a JSON object")


def check_signature(raw: bytes, secret: str) -> None:
    """Check that a delivery has a valid signature or, as the hook that Drone creates, the secret itself.

    Args:
        raw: the body.
        secret: the shared secret; "" accepts everything.

    Raises:
        Refusal: it has neither, or one of them is wrong.
    """
    if not secret:
        return
    signed, given = request.headers.get("X-Gitea-Signature"), request.args.get("secret")
    right = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    checks = [hmac.compare_digest(right, signed)] if signed else []
    checks += [hmac.compare_digest(secret, given)] if given else []
    if not checks or not all(checks):
        refuse(400, "Invalid webhook signature")
