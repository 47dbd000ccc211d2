"""All settings of an analysis in one frozen record, read from TOML and written back resolved.

One place, so that a result can say exactly how it was made and the same file makes it again. A key nobody knows is an
error, never silently ignored: a mistyped threshold must not look like an applied one.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from spondyl.core import SettingsError
from spondyl.harmonize.align import AlignSettings
from spondyl.harmonize.step import HarmonizeSettings
from spondyl.lesions.change import ResponseSettings
from spondyl.lesions.classify import ClassifySettings
from spondyl.lesions.explain import ExplainSettings
from spondyl.lesions.scores import ScoreSettings
from spondyl.lesions.step import LesionSettings
from spondyl.localize.step import LocalizeSettings
from spondyl.risk.step import RiskSettings
from spondyl.socce.step import SocceSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

T = TypeVar("T")

NOT_SETTINGS = ("run", "machine", "models", "timings_s")
"""Tables of a `run.toml` that say how a run went; skipped, so that a `run.toml` can be given back as settings."""


@dataclass(frozen=True)
class Settings:
    """How a study is analyzed.

    Parameters
    ----------
    seed : int
        Seed of everything random.
    threads : int
        Processor threads to use; 0 takes all there are.
    network : str
        Network that outlines the spine: its name in the package, or the path of a card with its weights beside it.
    lesion_network : str
        Network that outlines lesions, named in the same way.
    vertebra_networks : tuple of str
        Context transformer, ResNet and DenseNet that say what vertebrae and lesions are, named in the same way.
    harmonize : HarmonizeSettings
        Settings of the first step: which image carries the result, and what needs arithmetic alone.
    localize : LocalizeSettings
        Settings of the second step: vertebrae and their levels.
    lesions : LesionSettings
        Settings of the third step: lesion candidates.
    classify : ClassifySettings
        Settings of the fourth step: classes of vertebrae and lesions.
    explain : ExplainSettings
        Settings of the explanation of findings: how many.
    scores : ScoreSettings
        Settings of the clinical scores.
    socce : SocceSettings
        Settings of the place among a reference cohort, where omics are given.
    align : AlignSettings
        Settings of the alignment: one scale for every image, and lesions measured on it.
    risk : RiskSettings
        Settings of the last step: what may become of the patient.
    response : ResponseSettings
        Settings of the comparison with a prior study.

    Raises
    ------
    SettingsError
        If `threads` is negative, or `vertebra_networks` are not three.
    """

    seed: int = 0
    threads: int = 0
    network: str = "spine"
    lesion_network: str = "lesions"
    vertebra_networks: tuple[str, ...] = ("vertebrae_context", "vertebrae_resnet", "vertebrae_densenet")
    harmonize: HarmonizeSettings = field(default_factory=HarmonizeSettings)
    localize: LocalizeSettings = field(default_factory=LocalizeSettings)
    lesions: LesionSettings = field(default_factory=LesionSettings)
    classify: ClassifySettings = field(default_factory=ClassifySettings)
    explain: ExplainSettings = field(default_factory=ExplainSettings)
    scores: ScoreSettings = field(default_factory=ScoreSettings)
    socce: SocceSettings = field(default_factory=SocceSettings)
    align: AlignSettings = field(default_factory=AlignSettings)
    risk: RiskSettings = field(default_factory=RiskSettings)
    response: ResponseSettings = field(default_factory=ResponseSettings)

    def __post_init__(self) -> None:
        if self.threads < 0:
            msg = f"threads must be 0 (all) or more, got {self.threads}"
            raise SettingsError(msg)
        if len(self.vertebra_networks) != 3:
            msg = f"vertebra_networks must name a context, a ResNet and a DenseNet, got {len(self.vertebra_networks)}"
            raise SettingsError(msg)


def read_settings(path: Path) -> Settings:
    """Read settings from a TOML file; what it does not name keeps its default.

    Parameters
    ----------
    path : Path
        A settings file, or the ``run.toml`` of an earlier result.

    Returns
    -------
    Settings
        The resolved settings.

    Raises
    ------
    SettingsError
        If the file cannot be read, is not TOML, or holds a key or value that does not fit.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the settings file cannot be read ({type(error).__name__}); give a TOML file with --settings"
        raise SettingsError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"the settings file is not TOML: {error}"
        raise SettingsError(msg) from error
    return settings_from(Settings, {key: value for key, value in table.items() if key not in NOT_SETTINGS})


def settings_from(kind: type[T], table: Mapping[str, Any], *, where: str = "") -> T:
    """Build a settings record from a table, checking names and kinds of values.

    Parameters
    ----------
    kind : type
        A frozen dataclass in which every field has a default.
    table : mapping of str to object
        Values by field name; tables for fields that are dataclasses themselves.
    where : str, optional
        Name of the enclosing table, for messages.

    Returns
    -------
    object
        An instance of `kind`.

    Raises
    ------
    SettingsError
        If a key is unknown, or a value has the wrong kind or is out of range.
    """
    default = kind()
    names = [f.name for f in fields(default) if f.init]  # type: ignore[arg-type]
    prefix = f"{where}." if where else ""
    for key in table:
        if key not in names:
            msg = f"unknown setting {prefix}{key}; allowed here: {', '.join(names)}"
            raise SettingsError(msg)
    values = {key: _fitted(value, getattr(default, key), name=prefix + key) for key, value in table.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        msg = f"settings{' of ' + where if where else ''} out of range: {error}"
        raise SettingsError(msg) from error


def _fitted(value: Any, default: Any, *, name: str) -> Any:
    """Give `value` in the kind of `default`, or say that it does not fit."""
    if is_dataclass(default):
        if not isinstance(value, dict):
            msg = f"{name} must be a table [{name}], got {value!r}"
            raise SettingsError(msg)
        return settings_from(type(default), value, where=name)
    if default is None:
        return tuple(value) if isinstance(value, list) else value
    if isinstance(default, tuple):
        return _fitted_list(value, default, name=name)
    fits = type(value) is type(default) or (isinstance(default, float) and type(value) is int)
    if isinstance(default, str) and isinstance(value, str):  # an enum that is a string says itself what is allowed
        fits = True
    if not fits:
        msg = f"{name} must be of kind {type(default).__name__} (default {default!r}), got {value!r}"
        raise SettingsError(msg)
    try:
        return value if isinstance(default, dict) else type(default)(value)
    except ValueError as error:
        msg = f"{name} is out of range: {error}"
        raise SettingsError(msg) from error


def _fitted_list(value: Any, default: tuple[Any, ...], *, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        msg = f"{name} must be a list, got {value!r}"
        raise SettingsError(msg)
    return tuple(_fitted(item, default[0], name=name) for item in value) if default else tuple(value)


def settings_table(settings: Any) -> dict[str, Any]:
    """Give a settings record as a plain table that TOML can hold.

    Parameters
    ----------
    settings : dataclass instance
        `Settings` or one of its parts.

    Returns
    -------
    dict
        Every value resolved; fields that are None are left out, since TOML has no null.
    """
    table = _plain(asdict(settings))
    return dict(table)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, bool | int | float):
        return value
    return str(value)
