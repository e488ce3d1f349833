"""How the clients set up their channels: retries, keepalive, message sizes."""

import json
from typing import Any

from adaptermux_client._version import __version__

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_ADMIN_ADDRESS = "127.0.0.1:50052"

_MAX_ATTEMPTS = 4
_KEEPALIVE_SECONDS = 60

_UNARY_INFER = ("Classify", "TagTokens", "Answer", "Embed", "Analyze", "Tokenize", "GetModel")
_ADMIN_READS = ("GetAdapter", "ListAdapters", "ListAliases", "GetServerStatus")


def service_config() -> dict[str, Any]:
    """The retry policy (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).

    What reads is repeated when the connection fails; `Infer` also when the queue is full, since a refused request cost
    the server nothing. What changes something is never repeated by itself. A failed try takes one of the throttle's
    hundred tokens and a good one gives back a tenth; below half there are no retries, so they can't feed an overload.
    """
    return {
        "methodConfig": [
            _retry("adaptermux.v1.Infer", _UNARY_INFER, ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]),
            _retry("adaptermux.v1.Infer", ("StreamAnalyze",), ["UNAVAILABLE"]),
            _retry("adaptermux.v1.AdapterAdmin", _ADMIN_READS, ["UNAVAILABLE"]),
        ],
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }


def channel_options() -> list[tuple[str, Any]]:
    """The options of a channel, for `grpc` and `grpc.aio` alike; also for one that callers prepare themselves."""
    return [
        ("grpc.service_config", json.dumps(service_config())),
        ("grpc.enable_retries", 1),
        # Answers are as large as the caller asked for (1,024 embeddings are over 4 MiB); the server bounds requests.
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # Notices a dead peer during a long call. More often than the server allows would end the connection.
        ("grpc.keepalive_time_ms", _KEEPALIVE_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A server that was away for long is found again as soon as a watch asks for it (gRPC's own bound is 2 minutes).
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.primary_user_agent", f"adaptermux-python/{__version__}"),
    ]


def _retry(service: str, methods: tuple[str, ...], codes: list[str]) -> dict[str, Any]:
    return {
        "name": [{"service": service, "method": method} for method in methods],
        "retryPolicy": {
            "maxAttempts": _MAX_ATTEMPTS,
            "initialBackoff": "0.1s",
            "maxBackoff": "2s",
            "backoffMultiplier": 3,
            "retryableStatusCodes": codes,
        },
    }
