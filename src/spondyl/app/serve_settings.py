"""Settings of the DICOM node, its workers and the review page: one record, from a TOML file and the environment.

Cautious unless told otherwise: nothing listens beyond this machine, nobody but this machine may send, and no result
leaves before a destination is named.
"""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from spondyl.core import SettingsError

ENV_PREFIX = "SPONDYL_"
"""Environment variables are named after the settings, such as ``SPONDYL_DATABASE_URL``."""

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[!-\[\]-~](?:[ -\[\]-~]*[!-\[\]-~])?$")]
"""One to 16 printable ASCII characters without a backslash (PS3.5 section 6.2, AE)."""

Port = Annotated[int, Field(ge=0, le=65535)]

LOOPBACK = ("127.0.0.0/8", "::1/128")
"""This machine (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3)."""


class _Part(BaseModel):
    """A part of the settings; a key nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Peer(_Part):
    """Who may send studies and ask for an echo.

    Parameters
    ----------
    ae_title : str
        Its AE title; ``"*"`` for any.
    addresses : tuple of str
        Addresses or networks it may come from, such as ``"10.1.2.0/24"``.
    """

    ae_title: AeTitle
    addresses: tuple[str, ...] = LOOPBACK

    @field_validator("addresses")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            ipaddress.ip_network(address, strict=False)
        return value


class Tls(_Part):
    """Certificates in PEM files.

    Parameters
    ----------
    certificate, key : Path
        Of this side.
    authority : Path, optional
        What the other side's certificate must be signed by. A server given one refuses clients without.
    """

    certificate: Path
    key: Path
    authority: Path | None = None


class DicomDestination(_Part):
    """A PACS that takes results by C-STORE.

    Parameters
    ----------
    name : str
        How messages and metrics call it.
    kind : str
        ``"dicom"``.
    ae_title, host, port
        Its address.
    tls : Tls, optional
        Talk TLS, with these certificates.
    objects : tuple of str
        Which results it gets, by file name without suffix; empty for all.
    associations : int
        At most so many at once carry a result; an archive that takes fewer gets all over those.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")
    kind: Literal["dicom"] = "dicom"
    ae_title: AeTitle
    host: str
    port: Port
    tls: Tls | None = None
    objects: tuple[str, ...] = ()
    associations: int = Field(default=2, ge=1, le=8)


class WebDestination(_Part):
    """A PACS that takes results by STOW-RS.

    Parameters
    ----------
    name : str
        How messages and metrics call it.
    kind : str
        ``"dicomweb"``.
    url : str
        Its DICOMweb root, such as ``"https://pacs.example/dicom-web"``.
    username, password : str
        For HTTP Basic; empty for none.
    authority : Path, optional
        PEM file that its certificate must be signed by, if not one the system trusts.
    objects : tuple of str
        Which results it gets, by file name without suffix; empty for all.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")
    kind: Literal["dicomweb"]
    url: str = Field(pattern=r"^https?://")
    username: str = ""
    password: SecretStr = SecretStr("")
    authority: Path | None = None
    objects: tuple[str, ...] = ()


class DicomArchive(_Part):
    """A PACS in which priors are found by C-FIND, and which brings them by C-MOVE.

    Parameters
    ----------
    kind : str
        ``"dicom"``.
    ae_title, host, port
        Its address; it must also be a peer, since it sends.
    tls : Tls, optional
        Talk TLS, with these certificates.
    move_destination : str
        AE title by which it knows this node; empty for `ae_title` of the node.
    max_days : float, optional
        No prior is older than so many days; None for any age.
    wait_s : float
        How long it may be silent, in s; the analysis waits for it.
    """

    kind: Literal["dicom"] = "dicom"
    ae_title: AeTitle
    host: str
    port: Port
    tls: Tls | None = None
    move_destination: AeTitle | Literal[""] = ""
    max_days: float | None = Field(default=None, gt=0)
    wait_s: float = Field(default=60.0, gt=0, le=3600)


class WebArchive(_Part):
    """A PACS in which priors are found by QIDO-RS and fetched by WADO-RS.

    Parameters
    ----------
    kind : str
        ``"dicomweb"``.
    url : str
        Its DICOMweb root, such as ``"https://pacs.example/dicom-web"``.
    username, password : str
        For HTTP Basic; empty for none.
    authority : Path, optional
        PEM file that its certificate must be signed by, if not one the system trusts.
    max_days : float, optional
        No prior is older than so many days; None for any age.
    wait_s : float
        How long it may be silent, in s; the analysis waits for it.
    """

    kind: Literal["dicomweb"]
    url: str = Field(pattern=r"^https?://")
    username: str = ""
    password: SecretStr = SecretStr("")
    authority: Path | None = None
    max_days: float | None = Field(default=None, gt=0)
    wait_s: float = Field(default=60.0, gt=0, le=3600)


class Ohif(_Part):
    """The viewer OHIF beside the page, on a port of its own and behind the same login.

    Parameters
    ----------
    folder : Path
        OHIF's prebuilt files.
    archive : str
        DICOMweb root of the archive it shows images from, such as ``"http://127.0.0.1:8042/dicom-web"``.
    username, password : str
        For HTTP Basic; empty for none.
    authority : Path, optional
        PEM file that the archive's certificate must be signed by, if not one the system trusts.
    port : int
        Where it listens, on the host of the page.
    """

    folder: Path
    archive: str = Field(pattern=r"^https?://")
    username: str = ""
    password: SecretStr = SecretStr("")
    authority: Path | None = None
    port: Port = 8081


Destination = Annotated[DicomDestination | WebDestination, Field(discriminator="kind")]


class ServeSettings(BaseSettings):
    """How the node serves.

    Parameters
    ----------
    data : Path
        Folder of studies, results, quarantine and, unless `database_url` says otherwise, the database.
    database_url : str
        ``postgresql://...`` for workers on many machines; empty for SQLite in `data`.
    ae_title : str
        Name of this node.
    dicom_host, dicom_port
        Where it listens for DICOM.
    web_host, web_port
        Where the review page and DICOMweb listen.
    peers : tuple of Peer
        Who may send; empty for anybody on this machine and nobody else.
    dicom_tls, web_tls : Tls, optional
        Listen with TLS.
    token : str
        Secret that machines show for STOW-RS and metrics; if empty, one is made in the file ``token`` of `data`.
    quiet_s : float
        A study is complete when nothing came for so many seconds.
    destinations : tuple of Destination
        Where results go.
    priors : DicomArchive or WebArchive, optional
        Where earlier studies of the same patient are looked for; None compares with none.
    ohif : Ohif, optional
        Serve the viewer OHIF beside the page.
    webhooks : tuple of str
        URLs told of each finished study, without identifiers.
    workers : int
        Worker processes that ``spondyl serve`` starts; each loads the networks once and analyzes one study at a time.
    threads : int
        Processor threads of each worker; 0 takes all.
    analysis : Path, optional
        TOML file with the settings of the analysis.
    retries : int
        How often delivery to a destination is tried again, ever more slowly, before it becomes a dead letter.
    max_object_mib : float
        Largest DICOM object taken, in MiB.
    max_associations : int
        Associations served at once; further ones are refused for now.
    min_free_mib : float
        Senders are told to wait when the disk has less than this left, in MiB.
    retention_days : float, optional
        Finished and failed studies and quarantine older than this are deleted; None keeps them.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    data: Path = Path("spondyl-data")
    database_url: str = ""
    ae_title: AeTitle = "SPONDYL"
    dicom_host: str = "127.0.0.1"
    dicom_port: Port = 11112
    web_host: str = "127.0.0.1"
    web_port: Port = 8080
    peers: tuple[Peer, ...] = ()
    dicom_tls: Tls | None = None
    web_tls: Tls | None = None
    token: SecretStr = SecretStr("")
    quiet_s: float = Field(default=10.0, gt=0, le=3600)
    destinations: tuple[Destination, ...] = ()
    priors: Annotated[DicomArchive | WebArchive, Field(discriminator="kind")] | None = None
    ohif: Ohif | None = None
    webhooks: tuple[str, ...] = ()
    workers: int = Field(default=1, ge=0, le=256)
    threads: int = Field(default=0, ge=0)
    analysis: Path | None = None
    retries: int = Field(default=12, ge=0, le=100)
    max_object_mib: float = Field(default=1024.0, gt=0)
    max_associations: int = Field(default=64, ge=1, le=1000)
    min_free_mib: float = Field(default=1024.0, ge=0)
    retention_days: float | None = Field(default=None, gt=0)

    @field_validator("database_url")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value and not value.startswith(("postgresql://", "postgres://", "postgresql+psycopg://", "sqlite:///")):
            msg = "database_url must begin with postgresql:// or sqlite:///"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _names_differ(self) -> ServeSettings:
        names = [destination.name for destination in self.destinations]
        if len(set(names)) < len(names):
            msg = "destinations must have names of their own"
            raise ValueError(msg)
        return self

    @property
    def database(self) -> str:
        """URL of the database that is used."""
        return self.database_url or f"sqlite:///{(self.data / 'spondyl.sqlite').absolute()}"


def read_serve_settings(path: Path | None = None, **changes: Any) -> ServeSettings:
    """Read the settings of the node: a TOML file, over it the environment, over that what the caller says.

    Parameters
    ----------
    path : Path, optional
        TOML file.
    **changes : object
        Settings by name; None stands for not said.

    Returns
    -------
    ServeSettings
        Everything resolved.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a key or value does not fit. Secrets are never repeated.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            msg = f"the settings file cannot be read ({type(error).__name__}); give a TOML file with --settings"
            raise SettingsError(msg) from error
        except tomllib.TOMLDecodeError as error:
            msg = f"the settings file is not TOML: {error}"
            raise SettingsError(msg) from error
    said = {name: value for name, value in changes.items() if value is not None}
    try:
        # The environment is read by the record itself, so it is asked alone first and laid over the file.
        from_environment = ServeSettings().model_dump(exclude_unset=True)
        return ServeSettings(**(table | from_environment | said))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the settings"
        msg = f"{where}: {first['msg']}. See docs/reference/settings.md for what is allowed"
        raise SettingsError(msg) from None
