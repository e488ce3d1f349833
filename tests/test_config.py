"""Settings: what wins over what, where each came from, and that nothing that is wrong passes silently."""

import os

import pytest
from pydantic import SecretStr

from adaptermux_server.config import ConfigurationError, Origin, OriginKind, ServerSettings, load, settings_of

DEFAULT = Origin(OriginKind.DEFAULT)


class Guarded(ServerSettings):
    """As the server's, and a secret."""

    token: SecretStr | None = None
    """What callers must know."""


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Sets variables; none of ours is there before."""
    for name in os.environ:
        if name.startswith("ADAPTERMUX_"):
            monkeypatch.delenv(name)
    return monkeypatch.setenv


@pytest.fixture
def file(tmp_path):
    """Makes a settings file."""

    def write(text, name="server.toml"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


def problems(flags, file=None):
    with pytest.raises(ConfigurationError) as caught:
        load(flags, file)
    return list(caught.value.problems)


def test_an_option_wins_over_the_environment_and_that_over_the_file(environment, file):
    path = file('model = "m"\nmax_batch_rows = 1\nmax_queued_rows = 1\nnum_text_workers = 1\n')
    environment("ADAPTERMUX_MAX_BATCH_ROWS", "2")
    environment("ADAPTERMUX_MAX_QUEUED_ROWS", "2")

    found = load({"max_batch_rows": "3"}, path)

    shown = {
        name: (getattr(found.settings, name), found.origins[name])
        for name in ("max_batch_rows", "max_queued_rows", "num_text_workers", "max_batch_tokens")
    }
    assert shown == {
        "max_batch_rows": (3, Origin(OriginKind.FLAG, "--max-batch-rows")),
        "max_queued_rows": (2, Origin(OriginKind.ENVIRONMENT, "ADAPTERMUX_MAX_QUEUED_ROWS")),
        "num_text_workers": (1, Origin(OriginKind.FILE, str(path))),
        "max_batch_tokens": (4096, DEFAULT),
    }


def test_without_anything_given_every_setting_but_the_model_is_a_default():
    found = load({"model": "m"})

    assert found.settings == ServerSettings(model="m")
    assert [name for name, origin in found.origins.items() if origin != DEFAULT] == ["model"]
    assert list(found.origins) == list(ServerSettings.model_fields)


def test_a_map_comes_as_a_whole_from_one_place(environment, file):
    environment("ADAPTERMUX_ADAPTERS", '{"b": "environment"}')
    path = file('model = "m"\n[adapters]\na = "file"\nb = "file"\n')

    assert load({}, path).settings.adapters == {"b": "environment"}
    assert load({"adapters": {"c": "flag"}}, path).settings.adapters == {"c": "flag"}


def test_the_constructor_looks_at_nothing_but_what_it_is_given(environment):
    environment("ADAPTERMUX_MAX_BATCH_ROWS", "2")

    assert ServerSettings(model="m").max_batch_rows == 32


def test_the_environment_can_name_the_file_and_an_option_another(environment, file):
    environment("ADAPTERMUX_CONFIG", str(file("model: of the environment", "a.yaml")))

    assert load({}).settings.model == "of the environment"
    assert load({}, file("model: of the option", "b.yaml")).settings.model == "of the option"


def test_an_empty_variable_counts_as_not_set(environment):
    for name in ("STORE", "MAX_DEVICE_ADAPTERS", "CONFIG"):
        environment(f"ADAPTERMUX_{name}", "")

    found = load({"model": "m"})

    assert (found.settings.store, found.origins["store"]) == (None, DEFAULT)


def test_folders_that_loads_may_read_are_absolute_wherever_they_come_from(environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment("ADAPTERMUX_ADAPTER_ROOTS", '["adapters", "s3://bucket/a"]')

    assert load({"model": "m"}).settings.adapter_roots == (str(tmp_path / "adapters"), "s3://bucket/a")


@pytest.mark.parametrize(
    ("variable", "suggestion"),
    [
        ("ADAPTERMUX_MAX_BATCH_ROW", "did you mean ADAPTERMUX_MAX_BATCH_ROWS?"),
        ("adaptermux_modle", "did you mean ADAPTERMUX_MODEL?"),
        ("ADAPTERMUX_CONFG", "did you mean ADAPTERMUX_CONFIG?"),
        ("ADAPTERMUX_QQQ", ""),
        ("ADAPTERMUX_PORT", ""),
    ],
)
def test_a_variable_that_nothing_knows_is_an_error(environment, variable, suggestion):
    environment(variable, "50051")

    (problem,) = problems({"model": "m"})

    assert problem.startswith(f"{variable}: ")
    assert suggestion in problem
    assert suggestion or "did you mean" not in problem


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ADAPTERMUX_TESTING", "1"),
        ("ADAPTERMUX_CONFORMANCE", "table.json"),
        ("ADAPTERMUX_SERVICE_HOST", "10.0.0.1"),
        ("ADAPTERMUX_SERVICE_PORT", "50051"),
        ("ADAPTERMUX_ADMIN_SERVICE_PORT_GRPC", "50052"),
        ("ADAPTERMUX_PORT", "tcp://10.0.0.1:50051"),
        ("ADAPTERMUX_PORT_50051_TCP", "tcp://10.0.0.1:50051"),
        ("ADAPTERMUX_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("XADAPTERMUX_MODLE", "1"),
    ],
)
def test_variables_of_others_are_let_be(environment, variable, value):
    environment(variable, value)

    assert load({"model": "m"}).settings == ServerSettings(model="m")


def test_unknown_names_in_the_file_are_errors_that_suggest_near_ones(file):
    path = file('model = "m"\nmax-batch-rows = 3\nnothing_of_ours = 1\n')

    assert problems({}, path) == [
        f"max-batch-rows (file {path}): no such setting; did you mean max_batch_rows?",
        f"nothing_of_ours (file {path}): no such setting",
    ]


def test_all_that_is_wrong_is_told_at_once_with_its_place(environment, file):
    path = file("dtype: int3\nadapters: {a: [1]}\nnothing_of_ours: 1\n", "server.yml")
    environment("ADAPTERMUX_MAX_BATCH_ROWS", "0")
    environment("ADAPTERMUX_ADAPTER_ROOTS", "/srv")

    found = problems({"num_threads": "two"}, path)

    assert [problem.split(": ")[0] for problem in found] == [
        f"nothing_of_ours (file {path})",
        "adapter_roots (environment ADAPTERMUX_ADAPTER_ROOTS)",
        "model",
        f"adapters.a (file {path})",
        f"dtype (file {path})",
        "num_threads (flag --num-threads)",
        "max_batch_rows (environment ADAPTERMUX_MAX_BATCH_ROWS)",
    ]
    assert found[-1].endswith("): Input should be greater than or equal to 1")
    assert "give --model, set ADAPTERMUX_MODEL, or write model into the file" in found[2]


def test_listeners_of_one_address_are_refused_together():
    assert problems({"model": "m", "admin_address": "127.0.0.1:50051"}) == [
        "address and admin_address must differ, both are 127.0.0.1:50051"
    ]


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_times_are_numbers_that_end(value):
    (problem,) = problems({"model": "m", "keep_unused_seconds": value})

    assert problem.startswith("keep_unused_seconds (flag --keep-unused-seconds): ")


def test_a_secret_comes_from_the_environment_or_a_file_and_has_no_option(environment):
    environment("ADAPTERMUX_TOKEN", "hush")

    found = load({"model": "m"}, cls=Guarded)

    assert found.settings.token.get_secret_value() == "hush"
    assert [(setting.name, setting.flag) for setting in settings_of(Guarded) if setting.is_secret] == [("token", "")]


def test_a_wrong_secret_is_not_repeated(file):
    with pytest.raises(ConfigurationError) as caught:
        load({"model": "m"}, file("token: [hush]", "server.yaml"), cls=Guarded)

    assert "token (file " in str(caught.value)
    assert "hush" not in str(caught.value)


def test_every_setting_has_a_meaning_a_section_and_names_of_its_own():
    settings = list(settings_of())

    assert [setting.name for setting in settings if not setting.meaning or not setting.section] == []
    assert [setting.name for setting in settings if "[" in setting.meaning] == [], "rich takes brackets for markup"
    assert len({setting.flag for setting in settings}) == len(settings) == len(ServerSettings.model_fields)


def test_sections_begin_at_settings():
    from adaptermux_server.config.settings import SECTIONS

    assert [setting.section for setting in settings_of() if setting.name in SECTIONS] == list(SECTIONS.values())
