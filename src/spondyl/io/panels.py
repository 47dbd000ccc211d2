"""Which pictures a report shows: the column in every sequence, each lesion where it is largest, and every slice."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from spondyl.core import Sequence, Structure
from spondyl.core.at_once import at_once
from spondyl.io.figures import ImageStore, Panel, gray, window
from spondyl.io.framing import around, column_view, largest_slice, montage_slices
from spondyl.io.seg import lesions_shown, vertebrae_shown
from spondyl.io.views import AXIAL, axial_slice, sagittal_slice, sample, sample_labels, stack_axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spondyl.core import Case, Grid, Image, LabelMap, Lesion, Vertebra
    from spondyl.io.views import View

T = TypeVar("T")

PAGE_WIDTH_PX = 1120
"""Width of the text column of a report; pictures share it."""

WIDEST_PICTURE_PX = 340
"""A picture of the column is never shown wider."""

PICTURES_IN_ROW = 6
"""More sequences than this take a second row."""

LESION_PICTURE_PX, SLICE_PICTURE_PX = 180, 104
"""Widths of the pictures of a lesion and of the slices in the montage."""

PICTURED_LESIONS = 8
"""Lesions shown in pictures, the most suspicious first; the table lists all."""

SHOWN_COVERAGE = 0.35
"""Least fraction of a picture that an image must fill to be shown. Chosen by us."""

LABEL_MARGIN_PX = 12
"""A level name nearer to the upper or lower border, in screen pixels, is left out: it would be cut."""

EVIDENCE_SHARES = (0.3, 0.5, 0.7)
"""Shares of the strongest evidence from which a place is shaded, once more for each. Chosen by us."""

EVIDENCE = "evidence_"
"""How the names of measurements begin that say what a finding rests on."""

_BODY = (Structure.BODY, Structure.CORTEX, Structure.S1)


@dataclass(frozen=True)
class LesionRow:
    """The pictures of one lesion.

    Parameters
    ----------
    lesion : Lesion
        The lesion.
    panels : tuple of Panel
        One a sequence.
    """

    lesion: Lesion
    panels: tuple[Panel, ...]


class Pictures:
    """Makes the pictures of one case, each once for all reports that show it.

    Parameters
    ----------
    case : Case
        An analyzed case.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.store = ImageStore()
        self._made: dict[tuple[str, int], tuple[Any, ...]] = {}
        self._windows = {image: window(image, case.vertebrae) for image in (*case.images.values(), *case.others)}

    def draw(self) -> Pictures:
        """Make the pictures that every report shows, and encode them.

        Returns
        -------
        Pictures
            Itself.
        """
        rows = self.lesion_rows(width_px=LESION_PICTURE_PX)
        panels = [*self.column(width_px=self.column_px), *self.montage(width_px=SLICE_PICTURE_PX)]
        for panel in (*panels, *(panel for row in rows for panel in row.panels)):
            panel.svg()
        self.store.svg()
        return self

    def of_later(self, case: Case) -> Pictures:
        """Give the pictures of a later record.

        Parameters
        ----------
        case : Case
            The same case, further on.

        Returns
        -------
        Pictures
            With the pictures that were made, unless they would show something else by now.
        """
        if pictured(case) != pictured(self.case):
            return Pictures(case)
        later = copy(self)
        later.case = case
        return later

    @property
    def grid(self) -> Grid | None:
        """Grid whose planes are shown, or None for a case without images."""
        images = self.ordered()
        return images[0].grid if images else None

    def ordered(self) -> list[Image]:
        """Give the images in the order in which they are shown.

        Returns
        -------
        list of Image
            The reference first.
        """
        images = self.case.images
        usual = list(Sequence)
        return [images[s] for s in sorted(images, key=lambda s: (s != self.case.reference, usual.index(s)))]

    @property
    def in_row(self) -> int:
        """How many pictures of the column a row of a page holds."""
        shown = max(len(self.case.images), 1)
        return -(-shown // -(-shown // PICTURES_IN_ROW))  # rows of even length: seven are four and three

    @property
    def side_by_side(self) -> bool:
        """Whether few pictures stand twice, without and with what was found."""
        return len(self.case.images) <= 2

    @property
    def column_px(self) -> int:
        """Width of a picture of the column on a page."""
        shown = 2 * max(len(self.case.images), 1) if self.side_by_side else self.in_row
        return min(PAGE_WIDTH_PX // shown - 14, WIDEST_PICTURE_PX)

    def column(self, *, width_px: int) -> tuple[Panel, ...]:
        """Show the whole column in every sequence.

        Parameters
        ----------
        width_px : int
            Width of a picture.

        Returns
        -------
        tuple of Panel
            One a sequence, all of the same place.
        """
        return self._once("column", self._column, width_px)

    def _once(self, name: str, make: Callable[[int], tuple[T, ...]], width_px: int) -> tuple[T, ...]:
        if (name, width_px) not in self._made:
            self._made[name, width_px] = make(width_px)
        return self._made[name, width_px]

    def _column(self, width_px: int) -> tuple[Panel, ...]:
        if self.grid is None:
            return ()
        view = column_view(self.grid, self.case.vertebrae)
        return self._drawn(self._across_sequences(view, width_px=width_px, scale_cm=5))

    def _across_sequences(self, view: View, *, width_px: int, scale_cm: int) -> tuple[Panel, ...]:
        # An axial stack fills a sagittal picture only with stripes: better than nothing where it is all there is.
        images = [i for i in self.ordered() if i.sequence == self.case.reference or not _is_axial_stack(i)]
        panels = []
        for image, picture in zip(images, at_once(lambda image: sample(image, view), images), strict=True):
            if np.isfinite(picture).mean() < SHOWN_COVERAGE:
                continue
            stored = self.store.add(gray(picture, self._windows[image]), view)
            name = spoken(image)
            about = f"{name}, {view.place}, anterior to the left"
            panels.append(Panel(view, stored, width_px, name, about, scale_cm))
        return tuple(panels)

    def _drawn(self, panels: tuple[Panel, ...]) -> tuple[Panel, ...]:
        """Draw what was found on panels of one sheet, where it cuts it."""
        if not panels:
            return ()
        panel = panels[0]
        found = {
            name: sample_labels(self.case.labels[name], panel.view)
            for name in ("structures", "vertebrae", "lesions")
            if name in self.case.labels
        }
        structure = found.get("structures")
        if structure is not None:
            panel.add_outline(np.isin(structure, (Structure.CANAL, Structure.CORD)), "canal")
            panel.add_outline(structure == Structure.SACRUM, "sacrum")
        if "vertebrae" in found:
            self._draw_vertebrae(panel, found["vertebrae"], structure)
        if "lesions" in found:
            for label in np.unique(found["lesions"][found["lesions"] > 0]):
                panel.add_outline(found["lesions"] == label, "lesion")
        return tuple(replace(p, overlay=panel.overlay) for p in panels)

    def _draw_vertebrae(self, panel: Panel, numbers: NDArray[np.uint16], structure: NDArray[np.uint16] | None) -> None:
        bodies = np.isin(structure, _BODY) if structure is not None else np.ones(numbers.shape, dtype=bool)
        there = set(np.flatnonzero(np.bincount(numbers.ravel())).tolist())
        for vertebra in self.case.vertebrae:
            if vertebra.instance not in there:
                continue
            mine = numbers == vertebra.instance
            body = mine & bodies
            panel.add_outline(mine & ~bodies, "posterior")
            panel.add_outline(body, "body")
            if body.any():
                _write_level(panel, vertebra, body)

    def lesion_rows(self, *, width_px: int) -> tuple[LesionRow, ...]:
        """Show each lesion where it is largest, in every sequence and in an axial series if there is one.

        Parameters
        ----------
        width_px : int
            Width of a picture.

        Returns
        -------
        tuple of LesionRow
            The most suspicious lesions.
        """
        panels = self._once("lesions", self._lesion_rows, width_px)
        rows = zip(self.case.lesions[:PICTURED_LESIONS], panels, strict=True) if panels else ()
        return tuple(LesionRow(lesion, own) for lesion, own in rows if own)

    def _lesion_rows(self, width_px: int) -> tuple[tuple[Panel, ...], ...]:
        labels = self.case.labels.get("lesions")
        if labels is None:
            return ()
        rows = []
        for lesion in self.case.lesions[:PICTURED_LESIONS]:
            mask = labels.array == lesion.label
            rows.append(self._lesion_panels(lesion, labels, mask, width_px=width_px) if mask.any() else ())
        return tuple(rows)

    def _lesion_panels(
        self, lesion: Lesion, labels: LabelMap, mask: NDArray[np.bool_], *, width_px: int
    ) -> tuple[Panel, ...]:
        view = largest_slice(labels.grid, mask)
        panels = self._drawn(self._across_sequences(around(view, labels, lesion), width_px=width_px, scale_cm=2))
        axial = self._axial(lesion)
        if axial is not None:
            image, sheet = axial
            view = around(sheet, labels, lesion)
            stored = self.store.add(gray(sample(image, view), self._windows[image]), view)
            name = f"{spoken(image)} axial"
            about = f"{name}, {view.place}, the patient's right on the left"
            panels += self._drawn((Panel(view, stored, width_px, name, about, 2),))
        return panels + self._evidence(panels, lesion)

    def _evidence(self, panels: tuple[Panel, ...], lesion: Lesion) -> tuple[Panel, ...]:
        """Shade on one more picture what a finding rests on, the stronger the darker."""
        if "evidence" not in self.case.maps or not evidence_of(lesion):
            return ()
        base = panels[0]
        shown = sample(self.case.maps["evidence"], base.view)
        panel = replace(
            base, caption="what it rests on", about=f"{base.caption}, shaded where the finding rests", overlay=[]
        )
        for share in EVIDENCE_SHARES:
            panel.add_outline(shown >= share, "evidence")
        if "lesions" in self.case.labels:
            panel.add_outline(sample_labels(self.case.labels["lesions"], base.view) == lesion.label, "lesion")
        return (panel,)

    def _axial(self, lesion: Lesion) -> tuple[Image, View] | None:
        """Give the axial series that cuts a lesion, and the sheet of its nearest slice."""
        for image in (*self.case.images.values(), *self.case.others):
            if not _is_axial_stack(image):
                continue
            laid = image.grid.reoriented(AXIAL)
            index = laid.lps_to_ijk(lesion.centroid_lps_mm)
            if (index > -0.5).all() and (index < np.asarray(laid.shape) - 0.5).all():
                return image, axial_slice(image.grid, round(float(index[0])))
        return None

    def montage(self, *, width_px: int) -> tuple[Panel, ...]:
        """Show the slices of the reference series from right to left.

        Parameters
        ----------
        width_px : int
            Width of a picture.

        Returns
        -------
        tuple of Panel
            All slices, or evenly chosen ones of a volume with many.
        """
        return self._once("montage", self._montage, width_px)

    def _montage(self, width_px: int) -> tuple[Panel, ...]:
        if self.grid is None:
            return ()
        image, grid = self.ordered()[0], self.grid
        panels = []
        views = [(index, sagittal_slice(grid, index)) for index in montage_slices(grid, self.case.vertebrae)]
        pictures = at_once(lambda shown: gray(sample(image, shown[1]), self._windows[image]), views)
        for (index, view), picture in zip(views, pictures, strict=True):
            stored = self.store.add(picture, view, width_px=2 * width_px)
            panel = Panel(view, stored, width_px, str(index + 1), f"{spoken(image)}, {view.place}", 0)
            if "lesions" in self.case.labels:
                panel.add_outline(sample_labels(self.case.labels["lesions"], view) > 0, "lesion")
            panels.append(panel)
        return tuple(panels)


def pictured(case: Case) -> tuple[Any, ...]:
    """Say what pictures show of a case; two cases that give the same look the same.

    Parameters
    ----------
    case : Case
        Any case.

    Returns
    -------
    tuple
        To be compared.
    """
    volumes = (dict(case.images), case.others, case.maps.get("evidence"))
    rests = tuple(evidence_of(lesion) for lesion in case.lesions)
    return (*vertebrae_shown(case), *lesions_shown(case), *volumes, rests)


def _write_level(panel: Panel, vertebra: Vertebra, body: NDArray[np.bool_]) -> None:
    """Write the level before the body, where the picture has room for it."""
    rows, columns = np.nonzero(body)
    pixel, unit = panel.view.pixel_mm, panel.unit_mm
    x = max(float(columns.min()) * pixel - 6 * unit, 34 * unit)
    y = (float(rows.mean()) + 0.5) * pixel
    if LABEL_MARGIN_PX * unit < y < panel.view.height_mm - LABEL_MARGIN_PX * unit:
        panel.add_text(level_text(vertebra), (x, y))


def level_text(vertebra: Vertebra) -> str:
    """Give the name of a vertebra as pictures and tables show it.

    Parameters
    ----------
    vertebra : Vertebra
        The vertebra.

    Returns
    -------
    str
        The level with ``?`` if it must be checked; the number in the column, such as ``#3?``, if it is not known.
    """
    if vertebra.level is None:
        return f"#{vertebra.instance}?"
    return f"{vertebra.level}?" if vertebra.level_uncertain else vertebra.level


def evidence_of(lesion: Lesion) -> dict[str, float]:
    """Give what a finding rests on, where it was explained.

    Parameters
    ----------
    lesion : Lesion
        A finding.

    Returns
    -------
    dict of str to float
        By series, the fall of the log-odds of a lesion without it; as ``"inside"`` the percentage that lies inside the
        outline. Empty where it was not explained.
    """
    told = {m.name: m.value for m in lesion.measurements if m.value is not None}
    return {name.removeprefix(EVIDENCE): value for name, value in told.items() if name.startswith(EVIDENCE)}


def spoken(image: Image) -> str:
    """Name the sequence of an image as one says it.

    Parameters
    ----------
    image : Image
        The image.

    Returns
    -------
    str
        Such as ``"T1 post-contrast"``.
    """
    b_value = image.acquisition.b_value_s_mm2
    name = str(image.sequence).replace("_", " ").replace("DIXON", "Dixon").replace("T1CE", "T1 post-contrast")
    return f"{name} b{b_value:.0f}" if b_value and image.sequence.value == "DWI" else name


def _is_axial_stack(image: Image) -> bool:
    return image.grid.plane == "axial" and stack_axis(image.grid) is not None
