"""Adapters from the model hub, through its own library, with a hub of one repository on this machine."""

import importlib
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import fsspec
import pytest

from adaptermux_server.adapters.sources import Sources
from adaptermux_server.errors import SourceInvalidError
from tests.adapters.sources.conftest import CONTENT, LIMITS, content_of
from tests.adapters.sources.site import Site, send


class Hub:
    """What huggingface_hub asks of a hub to read files, for the repository `owner/name`."""

    def __init__(self) -> None:
        self.files = dict(CONTENT)
        self.sent: list[str] = []
        self.after_sending: Callable[[str], None] = lambda name: None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        match urlsplit(request.path).path.split("/")[1:]:
            case ["api", "models", "owner", "name"]:
                self._send_json(request, {"id": "owner/name"})
            case ["api", "models", "owner", "name", "tree", "main", "a"]:
                self._send_json(request, [self._entry(name) for name in self.files])
            case ["owner", "name", "resolve", "main", "a", name]:
                first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
                send(request, 206, self.files[name][int(first) : int(last) + 1])
                self.sent.append(name)
                self.after_sending(name)
            case ["api", "models", "owner", "name", *_]:
                send(request, 404, X_Error_Code="EntryNotFound")
            case _:
                send(request, 404, X_Error_Code="RepoNotFound")

    def _entry(self, name: str) -> dict[str, object]:
        content = self.files[name]
        return {"type": "file", "path": f"a/{name}", "size": len(content), "oid": content.hex()[:40]}

    @staticmethod
    def _send_json(request: BaseHTTPRequestHandler, content: object) -> None:
        send(request, 200, json.dumps(content).encode(), Content_Type="application/json")


@pytest.fixture
def hub(site: Site, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(site, "answer", hub.answer)
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": site.url})
    monkeypatch.setattr(importlib.import_module("huggingface_hub.constants"), "HF_HUB_OFFLINE", False)
    return hub


@pytest.fixture
def sources(hub: Hub, workspace: Path) -> Sources:
    return Sources(["hf://owner"], workspace, LIMITS, fetch_seconds=20)


def test_an_adapter_is_fetched_from_the_hub(hub: Hub, sources: Sources) -> None:
    hub.files["README.md"] = b"not wanted"

    with sources.open("hf://owner/name/a") as folder:
        assert content_of(folder) == CONTENT

    assert list(CONTENT) == hub.sent


def test_the_hub_serves_what_is_there_now(hub: Hub, sources: Sources) -> None:
    with sources.open("hf://owner/name/a"):
        del hub.files["config.json"]
        hub.files["adapter_config.json"] = b"[]"

    with sources.open("hf://owner/name/a") as folder:
        assert {**CONTENT, "adapter_config.json": b"[]"} == content_of(folder) | {"config.json": CONTENT["config.json"]}
        assert not (folder / "config.json").exists()


def test_a_commit_during_the_fetch_is_seen(hub: Hub, sources: Sources) -> None:
    hub.after_sending = lambda name: hub.files.update({"adapter_config.json": b"[]"})

    with pytest.raises(SourceInvalidError, match=r"adapter_config\.json changed"), sources.open("hf://owner/name/a"):
        pass


@pytest.mark.parametrize("uri", ["hf://owner/other/a", "hf://owner/name/b", "hf://owner"])
def test_the_hub_says_what_is_missing(sources: Sources, uri: str) -> None:
    with pytest.raises(SourceInvalidError, match=r"adapter_config\.json is missing"), sources.open(uri):
        pass
