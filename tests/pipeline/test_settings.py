"""Settings from TOML and back: nothing is guessed, nothing silently ignored."""

from dataclasses import dataclass, field

import pytest
import tomli_w

from spondyl.core import SettingsError
from spondyl.pipeline.settings import Settings, read_settings, settings_from, settings_table


@dataclass(frozen=True)
class Part:
    margin_mm: float = 5.0
    order: tuple[str, ...] = ("T1", "T2")
    limit: int | None = None

    def __post_init__(self):
        if self.margin_mm < 0:
            msg = "margin_mm must be 0 or more"
            raise ValueError(msg)


@dataclass(frozen=True)
class Whole:
    seed: int = 0
    quick: bool = False
    part: Part = field(default_factory=Part)


def test_what_is_not_named_keeps_its_default():
    assert settings_from(Whole, {"part": {"margin_mm": 3}}) == Whole(part=Part(margin_mm=3.0))


def test_a_list_becomes_a_tuple_and_an_optional_number_is_taken():
    assert settings_from(Whole, {"part": {"order": ["STIR"], "limit": 4}}).part == Part(order=("STIR",), limit=4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sed": 1}, "unknown setting sed; allowed here: seed, quick, part"),
        ({"part": {"margin": 1.0}}, "unknown setting part.margin; allowed here: margin_mm, order, limit"),
        ({"seed": 1.5}, "seed must be of kind int"),
        ({"seed": True}, "seed must be of kind int"),
        ({"quick": 1}, "quick must be of kind bool"),
        ({"part": 3}, "part must be a table"),
        ({"part": {"order": "T1"}}, "part.order must be a list"),
        ({"part": {"margin_mm": -1.0}}, "settings of part out of range: margin_mm must be 0 or more"),
    ],
)
def test_what_does_not_fit_is_named_with_what_is_allowed(table, message):
    with pytest.raises(SettingsError, match=message):
        settings_from(Whole, table)


def test_a_settings_table_read_back_gives_the_same_settings():
    whole = Whole(seed=7, part=Part(margin_mm=2.0, order=("T2",)))
    assert settings_from(Whole, settings_table(whole)) == whole


def test_the_run_file_of_a_result_can_be_given_as_settings(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        tomli_w.dumps(settings_table(Settings(seed=5)) | {"run": {"spondyl": "9"}, "timings_s": {"a": 1.0}})
    )
    assert read_settings(file) == Settings(seed=5)


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("seed = = 3")
    with pytest.raises(SettingsError, match="not TOML"):
        read_settings(file)


def test_a_missing_file_is_refused_without_a_traceback_of_its_path(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(tmp_path / "PLANTED^NAME.toml")


def test_negative_threads_are_refused():
    with pytest.raises(SettingsError, match="threads"):
        Settings(threads=-1)
