"""Contents come whole or not at all, are found by digest, and go (contract rows 12, 17 and 22)."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.adapters.store.stored import StoredAdapter, StoredRevision
from adaptermux_server.errors import (
    DigestMismatchError,
    RevisionNotFoundError,
    SourceInvalidError,
)
from tests.adapters.builders import write_adapter
from tests.adapters.store.builders import (
    NOW,
    announced,
    assert_nothing_came,
    chunks,
    content,
    digest,
    leftovers,
    open_store,
    places,
    upload,
    write_folder,
)

CONFIG, WEIGHTS, MODEL_CONFIG = "adapter_config.json", "adapter_model.safetensors", "config.json"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("number", [0, 1])
def test_what_is_uploaded_is_found_under_its_digest(store: Store, number: int, size: int) -> None:
    files = content(number)
    with store.content.begin(announced(files), digest(number)) as incoming:
        for chunk in chunks(files, size):
            incoming.write(chunk)
        stored = incoming.commit()

    num_bytes = sum(map(len, files.values()))
    assert (digest(number), num_bytes, False) == (stored.digest, stored.num_bytes, stored.already_stored)
    assert files == {path.name: path.read_bytes() for path in store.content.path(stored.digest).iterdir()}
    assert store.content.has(stored.digest)
    assert store.content.verify(stored.digest)
    assert (StoredRevision(stored.digest, num_bytes, NOW),) == store.database.revisions()


def test_a_folder_is_added_with_the_digest_that_its_checkpoint_has(store: Store, tmp_path: Path) -> None:
    """And can be read from the store as from the folder; what lies beside the adapter isn't taken."""
    folder = write_adapter(tmp_path / "a", model_config={"num_labels": 3})
    (folder / "README.md").write_text("a card")
    expected = read_checkpoint(folder).digest

    stored = store.content.add_folder(folder, expected)

    assert expected == stored.digest
    assert expected == read_checkpoint(store.content.path(expected)).digest
    assert {CONFIG, WEIGHTS, MODEL_CONFIG} == {path.name for path in store.content.path(expected).iterdir()}


def test_a_folder_of_more_than_one_chunk_is_added_whole(store: Store, tmp_path: Path) -> None:
    files = {CONFIG: b"{}", WEIGHTS: os.urandom((1 << 20) + 1)}

    stored = store.content.add_folder(write_folder(tmp_path / "a", files))

    assert files[WEIGHTS] == (store.content.path(stored.digest) / WEIGHTS).read_bytes()


def test_row_22_a_folder_that_changed_since_it_was_read_is_refused(store: Store, root: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", content(1))

    with pytest.raises(DigestMismatchError):
        store.content.add_folder(folder, digest(2))

    assert_nothing_came(store, root)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_folder_that_lacks_a_file_is_refused(store: Store, root: Path, tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "a", content(0))
    (folder / name).unlink()

    with pytest.raises(SourceInvalidError, match="is missing") as caught:
        store.content.add_folder(folder)

    assert name == caught.value.metadata["file"]
    assert_nothing_came(store, root)


def test_row_17_symlinks_in_a_folder_are_refused(store: Store, root: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", content(0))
    (folder / WEIGHTS).rename(tmp_path / "weights")
    (folder / WEIGHTS).symlink_to(tmp_path / "weights")

    with pytest.raises(SourceInvalidError, match="symlink"):
        store.content.add_folder(folder)

    assert_nothing_came(store, root)


def test_what_is_there_is_not_written_again_but_its_age_begins_anew(root: Path) -> None:
    now = iter(range(100))
    with Store(root, clock=lambda: float(next(now))) as store:
        upload(store.content, content(0))
        (before,) = store.database.revisions()
        inode = store.content.path(digest(0)).stat().st_ino

        again = upload(store.content, content(0))

        assert again.already_stored
        assert inode == store.content.path(digest(0)).stat().st_ino
        assert before.added_at < store.database.revisions()[0].added_at
        assert [] == leftovers(root)


def test_of_many_who_add_the_same_at_once_one_wins_and_all_succeed(store: Store, root: Path) -> None:
    barrier = threading.Barrier(8)
    stored = []

    def add() -> None:
        with store.content.begin(announced(content(0)), digest(0)) as incoming:
            for chunk in chunks(content(0)):
                incoming.write(chunk)
            barrier.wait(timeout=30)
            stored.append(incoming.commit())

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert {digest(0)} == {found.digest for found in stored}
    assert [False] + [True] * 7 == sorted(found.already_stored for found in stored)
    assert ([digest(0)], []) == (places(root), leftovers(root))


def test_only_the_owner_may_read_what_is_stored(store: Store, root: Path) -> None:
    umask = os.umask(0)
    try:
        upload(store.content, content(1))
        with open_store(root.with_name("other")):
            pass
    finally:
        os.umask(umask)

    for path in [root, *root.rglob("*"), *root.with_name("other").rglob("*")]:
        assert (0o700 if path.is_dir() else 0o600) == stat.S_IMODE(path.stat().st_mode), path


def test_contents_are_listed_and_counted(store: Store) -> None:
    for number in range(4):
        upload(store.content, content(number))

    assert sorted(map(digest, range(4))) == store.content.list()
    assert sum(len(part) for number in range(4) for part in content(number).values()) == store.content.num_bytes


@pytest.mark.parametrize("name", ["0f" * 32, "", "..", "../incoming"])
def test_what_is_not_there_has_no_path(store: Store, name: str) -> None:
    assert not store.content.has(name)
    with pytest.raises(RevisionNotFoundError):
        store.content.path(name)


def test_a_content_that_nothing_uses_can_be_removed_and_added_again(store: Store, root: Path) -> None:
    upload(store.content, content(0))

    assert store.content.remove(digest(0))
    assert store.content.remove(digest(0))
    assert_nothing_came(store, root)
    assert not upload(store.content, content(0)).already_stored


def test_a_content_that_an_adapter_has_or_had_is_kept(store: Store) -> None:
    for number in range(2):
        upload(store.content, content(number))
        store.database.put_adapter(StoredAdapter("a", digest(number)))

    assert (False, False) == (store.content.remove(digest(0)), store.content.remove(digest(1)))
    assert sorted([digest(0), digest(1)]) == store.content.list()


def test_contents_are_there_after_a_restart(store: Store, root: Path) -> None:
    upload(store.content, content(0))
    store.close()

    with open_store(root) as again:
        assert ([digest(0)], {}) == (again.content.list(), again.content.corrupt)
        assert again.content.verify(digest(0))


def test_the_store_knows_neither_torch_nor_grpc() -> None:
    """So that it can be opened, and crash-tested, in a moment."""
    code = (
        "import sys, adaptermux_server.adapters.store.store\n"
        "print(sorted({'torch', 'grpc', 'transformers', 'peft'} & sys.modules.keys()))"
    )

    assert "[]" == subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).strip()


def test_what_is_no_content_is_left_alone(store: Store, root: Path) -> None:
    """Folders and files that aren't contents, such as lost+found, are neither read nor deleted."""
    store.close()
    strange = [root / "content" / "lost+found", root / "content" / "aa" / "x", root / "content" / "bb" / digest(0)]
    for path in strange:
        path.mkdir(parents=True)

    with open_store(root) as again:
        assert ([], {}) == (again.content.list(), again.content.corrupt)
    assert all(path.is_dir() for path in strange)


def test_renewing_a_content_begins_its_age_anew(tmp_path: Path) -> None:
    now = [100.0]
    with Store(tmp_path / "store", clock=lambda: now[0]) as store:
        upload(store.content, content(1))
        now[0] = 500.0

        renewed = store.content.renew(digest(1))

        assert (digest(1), True) == (renewed and renewed.digest, renewed and renewed.already_stored)
        assert [500.0] == [revision.added_at for revision in store.database.revisions()]
        assert store.content.renew(digest(2)) is None
