"""Stripe's error bodies as recorded: with and without code and param (Stripe facts, "Error classification")."""

from __future__ import annotations

from typing import Any

from refund_adapters.memory.replies import ErrorReply


class ApiError(Exception):
    """An answer that is an error. `kept`: execution had begun, so it is replayed for its key."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        kept: bool = False,
    ) -> None:
        super().__init__(status, message)
        self.status, self.kept = status, kept
        self.error: dict[str, Any] = {"message": message, "type": type}
        if code is not None:
            self.error |= {
                "code": code,
                "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
            }
        if param is not None:
            self.error["param"] = param


def of_reply(reply: ErrorReply) -> ApiError:
    """The bank's refusal on the wire; the bank had begun to execute."""
    return ApiError(
        reply.http_status, reply.message, type=reply.type, code=reply.code, param=reply.param, kept=True
    )


def missing(kind: str, name: str, *, param: str = "id", kept: bool = False) -> ApiError:
    """404: this account holds no such object. On a create the parameter is `id` as well, as seen live."""
    return ApiError(404, f"No such {kind}: '{name}'", code="resource_missing", param=param, kept=kept)


def unknown_parameter(name: str) -> ApiError:
    """400: Stripe knows no such parameter here."""
    return ApiError(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def no_key() -> ApiError:
    """401: no key came along. There is no code."""
    return ApiError(401, "You did not provide an API key.")


def wrong_key(key: str) -> ApiError:
    """401: a key nobody knows; its end is all that is repeated. There is no code."""
    return ApiError(401, f"Invalid API Key provided: {key[:8]}{'*' * 8}{key[-4:]}")


def foreign_account(account: str) -> ApiError:
    """403: the key has no access to this account."""
    message = f"The provided key does not have access to account '{account}' (or that account does not exist)."
    return ApiError(403, message, code="account_invalid")


def other_parameters(key: str) -> ApiError:
    """400: the key was used for something else."""
    return ApiError(
        400,
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request.",
        type="idempotency_error",
    )


def key_in_use(key: str) -> ApiError:
    """409: the first request with this key is still being executed."""
    return ApiError(
        409,
        "There is currently another in-progress request using this Idempotent Key "
        f"(that probably means you submitted twice, and the other request is still going through): {key}.",
        type="idempotency_error",
        code="idempotency_key_in_use",
    )
