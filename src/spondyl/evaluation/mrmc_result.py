"""Results of reader studies: records that print as tables and turn into JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from spondyl.evaluation.records import Difference, Estimate, Record, Table, flag_notes, plain

if TYPE_CHECKING:
    from spondyl.evaluation.mrmc_components import Components
    from spondyl.evaluation.mrmc_models import GlobalTest

_SMALLEST_P = 1e-4


@dataclass(frozen=True)
class MeanMerit(Estimate):
    """Mean figure of merit of a modality over readers.

    Parameters
    ----------
    value, low, high, standard_error, confidence, method, flags : float, str and tuple of str
        As in `spondyl.evaluation.records.Estimate`.
    modality : str
        The modality.
    df : float
        Degrees of freedom of the interval.
    n_readers : int
        Readers averaged over.
    """

    modality: str = ""
    df: float = math.inf
    n_readers: int = 0


@dataclass(frozen=True)
class ReaderMerit(Estimate):
    """Figure of merit of one reader in one modality; the interval is for other cases.

    Parameters
    ----------
    value, low, high, standard_error, confidence, method, flags : float, str and tuple of str
        As in `spondyl.evaluation.records.Estimate`.
    reader, modality : str
        Who and where.
    n_positive, n_negative : int
        Cases read.
    """

    reader: str = ""
    modality: str = ""
    n_positive: int = 0
    n_negative: int = 0


@dataclass(frozen=True)
class MeritDifference(Difference):
    """Difference of two modalities, over readers or of one reader.

    Parameters
    ----------
    first, second, value, low, high, standard_error, statistic, p_value, confidence, method, flags : float, str, tuple
        As in `spondyl.evaluation.records.Difference`.
    df : float
        Degrees of freedom; infinite for a normal test.
    p_adjusted : float
        P value after Holm's adjustment for the number of pairs.
    p_non_inferior : float
        One-sided p value against inferiority by the margin.
    margin : float
        That margin.
    reader : str
        The reader; empty for all.
    """

    df: float = math.inf
    p_adjusted: float = math.nan
    p_non_inferior: float = math.nan
    margin: float = 0.0
    reader: str = ""


@dataclass(frozen=True, eq=False)
class MrmcResult(Record):
    """Result of a reader study.

    Parameters
    ----------
    metric, method, covariance, generalizes, design : str
        What was analyzed and how.
    n_readers, n_positive, n_negative : int
        Sizes of what was analyzed.
    means : tuple of MeanMerit
        One per modality.
    overall : GlobalTest, optional
        Test of all modalities together.
    differences : tuple of MeritDifference
        Every pair of modalities.
    readers : tuple of ReaderMerit
        Every reader in every modality.
    reader_differences : tuple of MeritDifference
        Every pair of modalities by reader, for other cases.
    components : Components, optional
        Of the Obuchowski-Rockette model: the input of `spondyl.evaluation.mrmc_sizing`.
    flags : tuple of str
        What limits the result.
    """

    metric: str
    method: str
    covariance: str
    generalizes: str
    design: str
    n_readers: int
    n_positive: int
    n_negative: int
    means: tuple[MeanMerit, ...]
    overall: GlobalTest | None
    differences: tuple[MeritDifference, ...]
    readers: tuple[ReaderMerit, ...]
    reader_differences: tuple[MeritDifference, ...] = ()
    components: Components | None = None
    flags: tuple[str, ...] = ()

    def tables(self) -> tuple[Table, ...]:
        """Arrange the result.

        Returns
        -------
        tuple of Table
            Means, differences, readers, and the components of variance.
        """
        return (self.table(), self.difference_table(), self.reader_table(), self.component_table())

    def table(self) -> Table:
        """Show the means over readers.

        Returns
        -------
        Table
            One row per modality, and the global test as a note.
        """
        head = ("modality", self.metric, f"{100 * self.means[0].confidence:g} % interval", "standard error", "df")
        rows = [(m.modality, m.value, _interval(m), m.standard_error, _df(m.df)) for m in self.means]
        o = self.overall
        note = () if o is None else (f"global test: F({o.df1:g}, {_df(o.df2)}) = {o.f:.3f}, p {_equals(o.p_value)}",)
        return Table.of(
            f"Mean {self.metric} over {self.n_readers} readers", head, rows, (*note, *flag_notes(self.flags))
        )

    def difference_table(self) -> Table:
        """Show the differences of modalities.

        Returns
        -------
        Table
            One row per pair.
        """
        head = ["difference", self.metric, "interval", "standard error", "df", "p"]
        rows = [
            [f"{d.first} − {d.second}", d.value, _interval(d), d.standard_error, _df(d.df)] for d in self.differences
        ]
        columns = [("", "p_value")]
        if len(self.differences) > 1:
            columns.append(("p (Holm)", "p_adjusted"))
        if any(d.margin for d in self.differences):
            columns.append((f"p, not inferior by {self.differences[0].margin:g}", "p_non_inferior"))
        for row, d in zip(rows, self.differences, strict=True):
            row.extend(_p(getattr(d, name)) for _, name in columns)
        return Table.of(f"Differences, {self.generalizes}", [*head, *(title for title, _ in columns[1:])], rows)

    def reader_table(self) -> Table:
        """Show the readers.

        Returns
        -------
        Table
            One row per reader, one column per modality.
        """
        names = tuple(dict.fromkeys(r.reader for r in self.readers))
        cell = {(r.reader, r.modality): str(r) for r in self.readers}
        modalities = [m.modality for m in self.means]
        rows = [(name, *(cell.get((name, m), "not read") for m in modalities)) for name in names]
        return Table.of(f"{self.metric} by reader (interval for other cases)", ("reader", *modalities), rows)

    def component_table(self) -> Table:
        """Show the components of variance.

        Returns
        -------
        Table
            Variances and covariances of the Obuchowski-Rockette model, if it was used.
        """
        c = self.components
        head = ("component", "estimate", "correlation")
        if c is None:
            return Table.of("Components of variance", head, (), ("not part of this analysis",))
        error = float(c.variance)
        rows: list[tuple[str, str, str]] = [
            ("reader", f"{c.var_reader:.3g}", ""),
            ("modality × reader", f"{c.var_interaction:.3g}", ""),
            ("error", f"{error:.3g}", ""),
        ]
        for name in ("cov1", "cov2", "cov3"):
            value = float(getattr(c, name))
            rows.append((name, f"{value:.3g}", f"{value / error:.2f}" if error > 0 else ""))
        return Table.of("Components of variance (Obuchowski-Rockette)", head, rows)

    def to_dict(self) -> dict[str, Any]:
        """Give the result as what JSON can hold.

        Returns
        -------
        dict
            Fields by name, with the derived variances of readers among the components.
        """
        result = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        if self.components is not None:
            derived = {"var_reader": self.components.var_reader, "var_interaction": self.components.var_interaction}
            result["components"] |= plain(derived)
        return result

    def __str__(self) -> str:
        return "\n\n".join(str(t) for t in self.tables())


def _interval(e: Estimate | Difference) -> str:
    return "" if math.isnan(e.low) else f"{e.low:.3f} to {e.high:.3f}"


def _df(df: float) -> str:
    return "∞" if math.isinf(df) else f"{df:.1f}"


def _equals(p: float) -> str:
    return f"= {_p(p)}" if p >= _SMALLEST_P else _p(p)


def _p(p: float) -> str:
    return "" if math.isnan(p) else f"{p:.4f}" if p >= _SMALLEST_P else "< 0.0001"
