"""The contract's table of bad inputs, cell by cell: the cases of each, or why there is none.

Names are those of the tests, without the row; `*` stands for any text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Absent:
    """A cell without a case."""

    why: str


_NO_GENERATION = Absent("nothing is generated yet, so no request has this field")
_ONEOF = Absent("text and words are one `oneof`: a message holds one of them, whatever was sent")

TABLE: Mapping[int, Mapping[str, Sequence[str] | Absent]] = {
    1: {"unknown adapter": ["unknown-adapter"], "unknown revision": ["unknown-revision"]},
    2: {"LOADING": ["asked-while-loading"], "FAILED": ["asked-when-failed"], "DRAINING": ["asked-while-draining"]},
    3: {
        "empty": ["infer-empty", "load-empty", "get-empty", "unload-empty"],
        "../x": ["infer-parent", "load-parent", "get-parent", "delete-parent", "alias-target-parent", "embed-parent"],
        "upper case": ["infer-upper-case", "load-upper-case"],
        "64+ characters": ["infer-65-characters", "load-65-characters"],
        "NUL": ["infer-nul", "load-nul"],
        "look-alikes": ["infer-look-alike", "load-look-alike"],
        "base": ["infer-reserved", "load-reserved"],
    },
    4: {
        "no inputs": ["none"],
        "empty text": ["empty-text", "empty-question", "empty-context"],
        "10,000 inputs": ["10000"],
        "too long text": ["too-long", "million-and-one-characters"],
        "both text and words": _ONEOF,
        "words empty": ["no-words", "empty-word"],
    },
    5: {
        "control characters": ["tokens-of-control-characters", "tags-of-control-characters"],
        "1 MB of one emoji": ["tokens-of-one-emoji", "tags-of-one-emoji"],
        "RTL": ["tokens-of-right-to-left", "tags-of-right-to-left"],
        "zero-width": ["tokens-of-zero-width", "tags-of-zero-width", "words-without-tokens"],
    },
    6: {
        "top_k -1": ["top-k", "alternatives"],
        "unknown enum value": ["problem-type", "view", "pooling", "state"],
        "NaN": ["weight-nan"],
        "NaN temperature": _NO_GENERATION,
        "max_tokens 0 or 2^31": _NO_GENERATION,
    },
    7: {"message over the limit": ["over-the-size-limit", "over-the-size-limit-elsewhere"]},
    8: {
        "queue full": ["queue-full", "more-rows-than-any-queue-takes"],
        "one adapter's share": ["share-of-an-adapter-full"],
    },
    9: {"1 ms": ["deadline-of-a-millisecond"], "in the queue": ["deadline-passes-in-the-queue"]},
    10: {
        "queued": ["cancelled-in-the-queue"],
        "computing": ["cancelled-while-computing"],
        "streaming": ["cancelled-stream"],
    },
    11: {
        "malformed protobuf": ["malformed-message", "malformed-message-in-a-stream"],
        "wrong method": ["unknown-method"],
        "HTTP/1.1": ["http-1.1-data", "http-1.1-admin"],
        "random bytes": ["random-bytes-data", "random-bytes-admin", "preface-then-noise-*", "nul-*"],
        "TLS to plain": ["tls-to-plain"],
    },
    12: {
        "slow reader": ["slow-reader"],
        "1,000 idle connections": ["idle-connections"],
        "vanishes mid-upload": ["client-vanishes-in-an-upload", "client-vanishes-in-the-queue"],
    },
    13: {"shape": ["smaller-base", "deeper-base"], "name": ["another-family"]},
    14: {
        "missing": ["tensor-missing"],
        "too many": ["tensor-too-many"],
        "rank": ["rank-of-the-tensors-differs", "rank-of-the-config-differs"],
    },
    15: {
        "NaN/Inf in weights": ["nan", "infinity"],
        "alpha": ["huge-alpha", "alpha-nan", "alpha-infinite"],
        "rank": ["rank-0", "rank-negative", "rank-million", "rank-boolean"],
    },
    16: {
        "truncated": ["truncated", "empty"],
        "header length 2^63": ["header-of-2-to-the-63"],
        "95 MB header": ["header-claims-95-mb", "header-of-95-mb"],
        "overlapping": ["overlapping", "hole"],
        "duplicate keys": ["key-twice"],
    },
    17: {
        "pickle": ["pickle-adapter_model.bin", "pickle-extra.pkl", "pickle-as-weights"],
        "archives": ["archive", "tar"],
        ".py": ["code"],
        "symlinks": ["symlink", "symlink-out-of-the-root"],
        "`..`": ["parent-in-the-path", "parent-in-the-uri", "upload-of-a-name"],
    },
    18: {
        "not JSON": ["no-json", "no-object", "nested-deep"],
        "10 MB": ["10-mb"],
        "unknown peft_type": ["unknown-method", "method-of-another-kind"],
        "unknown fields": ["unknown-field"],
        "bias all": ["bias-all"],
        "pissa": ["pissa", "olora"],
        "layer_replication": ["layer-replication"],
        "auto_mapping": ["auto-mapping"],
        "evil regex": ["evil-pattern", "evil-pattern-of-the-table", "backtracking-pattern-as-a-key", "look-around"],
    },
    19: {
        "config without weights": ["no-weights", "no-config"],
        "empty directory": ["empty-folder", "no-such-folder"],
        "outside": ["outside-the-roots", "relative", "nul"],
        "file:// to /etc": ["etc"],
        "http": ["http", "model-hub", "no-network-call"],
    },
    20: {"head not saved": ["head-not-saved"]},
    21: {
        "same id twice": ["loaded-twice-at-once"],
        "load during unload": ["loaded-while-unloading"],
        "unload during load": ["unloaded-while-loading"],
        "aliased one": ["aliased-one-deleted"],
    },
    22: {
        "disk full": ["disk-full", "store-that-fails"],
        "read-only store": ["store-that-fails"],
        "file changed under us": ["source-changed-after-the-load"],
        "sha mismatch": ["upload-of-another-content", "revision-that-is-not-there"],
    },
    23: {"all pinned": ["all-pinned"], "evictable": ["evictable"]},
    24: {
        "admin RPC on the data listener": ["on-the-other-listener", "admin-rpc-on-the-data-listener"],
        "no token": ["no-token", "no-token-for-admin"],
        "wrong role": ["wrong-role"],
        "expired certificate": ["certificates-that-do-not-count"],
    },
    25: {"a forward that raises": ["forward-that-raises", "forward-that-breaks-midway"]},
}
