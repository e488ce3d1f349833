"""The sources of adapters: one door for all URIs, behind which nothing is touched that no root allows."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adaptermux_server.adapters.limits import DEFAULT_LIMITS, CheckpointLimits
from adaptermux_server.adapters.sources.fetch import Fetches, fetch
from adaptermux_server.adapters.sources.local import path_of_file_uri, resolve_source
from adaptermux_server.adapters.sources.place import Place, parse_place
from adaptermux_server.adapters.sources.schemes import check_root
from adaptermux_server.adapters.sources.uri import forbidden, scheme_of
from adaptermux_server.adapters.store.failures import storage_failures
from adaptermux_server.adapters.store.files import FOLDER_MODE, discard
from adaptermux_server.errors import InvalidRequestError

FETCH_SECONDS = 300.0
"""How long a fetch of one adapter may take, unless the operator says otherwise."""

_PREFIX = "fetch-"


class Sources:
    """Opens adapters by URI. Blocking, for worker threads; any number at once."""

    def __init__(
        self,
        roots: Sequence[str | Path],
        workspace: Path,
        limits: CheckpointLimits = DEFAULT_LIMITS,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        """Check the roots, and remove what a crash left in `workspace`, which must be this process's own.

        Args:
            roots: absolute paths and file:// URIs of local folders, and URIs as `s3://bucket/prefix`.
            workspace: where fetched adapters lie while they are open; made when first needed.
            limits: the largest files that are fetched.
            fetch_seconds: for all files of one adapter together.

        Raises:
            ValueError: a root is malformed, of a scheme that isn't supported, or needs a package that isn't here.
        """
        self._folders: list[Path] = []
        self._places: list[Place] = []
        for root in roots:
            self._add(root)
        self._workspace = workspace
        self._limits = limits
        self._fetch_seconds = fetch_seconds
        self._fetches = Fetches()
        for leftover in workspace.glob(f"{_PREFIX}*"):
            discard(leftover)

    @contextmanager
    def open(self, uri: str) -> Iterator[Path]:
        """A folder with the adapter that `uri` names: itself where it is local, else a copy that ends with the context.

        A copy has `adapter_config.json`, `adapter_model.safetensors` and, where it is there, `config.json`.

        Raises:
            InvalidRequestError: for the field `uri`, where it is no URI and no path.
            SourceForbiddenError: it lies under no root; nothing was looked up to find out.
            SourceInvalidError: no adapter is there, or one whose files are too large.
            SourceUnavailableError: the place can't be reached, or not in time; a retry may help.
            StoreFullError, StoreUnavailableError: the copy can't be written.
            ShuttingDownError: `close` was called.
        """
        scheme = scheme_of(uri)
        if scheme in (None, "file"):
            yield resolve_source(uri, self._folders, self._allowed())
            return
        place = self._allowed_place(uri, str(scheme))
        with self._fresh_folder() as folder:
            fetch(self._fetches, place, folder, self._limits, self._fetch_seconds)
            yield folder

    def close(self) -> None:
        """End the fetches under way, and fetch nothing any more."""
        self._fetches.close()

    def _add(self, root: str | Path) -> None:
        try:
            if isinstance(root, str) and scheme_of(root) not in (None, "file"):
                place = parse_place(root)
                check_root(place)
                self._places.append(place)
            else:
                self._folders.append(_local_root(root))
        except InvalidRequestError as error:
            # The root isn't repeated: it may hold a password, which is what is wrong with it.
            raise ValueError(f"a root {error.violations[0][1]}") from error

    def _allowed_place(self, uri: str, scheme: str) -> Place:
        if scheme not in {root.scheme for root in self._places}:
            raise forbidden(f"sources of the scheme {scheme!r} aren't allowed", self._allowed())
        place = parse_place(uri)
        if not any(root.holds(place) for root in self._places):
            raise forbidden(f"{str(place)!r} lies outside the allowed places", self._allowed())
        return place

    def _allowed(self) -> str:
        roots = [*map(str, self._folders), *map(str, self._places)]
        return f"absolute paths and URIs under: {', '.join(roots) or 'none (the operator must allow one first)'}"

    @contextmanager
    def _fresh_folder(self) -> Iterator[Path]:
        with storage_failures():
            self._workspace.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._workspace))
        try:
            yield folder
        finally:
            discard(folder)


def _local_root(root: str | Path) -> Path:
    text = str(root)
    path = path_of_file_uri(text) if isinstance(root, str) and scheme_of(text) == "file" else text
    if not os.path.isabs(path) or "\0" in path:
        raise ValueError(f"the root {text!r} isn't absolute: give an absolute path, or a URI as s3://bucket/prefix")
    return Path(path)
