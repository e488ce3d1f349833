"""The schemes that places may have, and how fsspec reaches each. Credentials come from the operator's environment.

A scheme is listed here only where a URI says itself what is fetched: stores of plain names, with no symlinks, no
archives and no chains of filesystems, so that a comparison of names decides what lies under a root.
"""

import importlib
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import fsspec

from adaptermux_server.adapters.sources.guards import gcs_options, http_options, s3_options
from adaptermux_server.adapters.sources.place import Place


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the places of one scheme are reached."""

    extra: str = "server"
    """What to install: an extra of this package."""
    options: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    """Options of the filesystem, from those that the operator configured."""
    transfer: Mapping[str, Any] = field(default_factory=dict)
    """Options of each file's transfer."""
    lock: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held during each blocking call."""


# Files are fetched in one stream, which can be cut off at a limit; the parallel ways don't report each piece.
SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "s3": Scheme("s3", s3_options, {"max_concurrency": 1}),
        "gs": Scheme("gcs", gcs_options, {"concurrency": 1}),
        "gcs": Scheme("gcs", gcs_options, {"concurrency": 1}),
        "hf": Scheme(),
        "http": Scheme("http", http_options),
        "https": Scheme("http", http_options),
        "memory": Scheme(lock=threading.Lock()),  # all readers of a file there share one position in it
    }
)


def check_root(place: Place) -> None:
    """Raise ValueError, with a text for the operator, where no adapter could ever be fetched from under `place`."""
    if place.scheme not in SCHEMES:
        raise ValueError(f"{place}: the scheme {place.scheme!r} isn't supported; these are: {', '.join(SCHEMES)}")
    try:
        fsspec.get_filesystem_class(place.scheme)
    except ImportError as error:
        extra = SCHEMES[place.scheme].extra
        raise ValueError(f"{place} needs a package that isn't here: pip install 'adaptermux[{extra}]'") from error
    if place.scheme == "hf" and importlib.import_module("huggingface_hub").is_offline_mode():
        raise ValueError(f"{place} needs the model hub, and HF_HUB_OFFLINE keeps it off: start with HF_HUB_OFFLINE=0")


def connect(scheme: str) -> Any:
    """A fresh fsspec filesystem: neither its connections nor its listings are shared with anything before it.

    Blocks: some libraries look for credentials in the network.
    """
    # What is given here replaces what the operator configured for fsspec, so that goes in first.
    kind = fsspec.get_filesystem_class(scheme)
    options = SCHEMES[scheme].options(fsspec.config.apply_config(kind, {}))
    if kind.async_impl:
        # Else its connections would be closed whenever it is collected, on whatever event loop runs then.
        options["asynchronous"] = True
    return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False, **options)


async def open_session(files: Any) -> Any:
    """The connections of a filesystem, to be closed by `await session.close()`; None: it has none to close."""
    open_it = getattr(files, "set_session", None) or getattr(files, "_set_session", None)
    return await open_it() if files.async_impl and open_it else None
