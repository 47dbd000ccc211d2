"""Stations of a study: one image a sequence from head to foot, the same whatever the order, and no part lost unsaid."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from spondyl.core import Acquisition, Grid, Image, Sequence, Source
from spondyl.io.acquisition import HeaderFacts
from spondyl.io.choose import primaries
from spondyl.io.stations import join_stations, unseen_flags
from spondyl.io.study import case_of_images, read_study
from spondyl.io.volumes import Reading
from spondyl.io.words import found

from .dicom_factory import save, series, signal_at

SIZE, ROW_MM, SHARED = (80, 40), 0.9, 24
"""Rows and columns of a station, the height of a row, and the rows that neighbors share."""

TOP_MM, STEP_MM = 60.0, (SIZE[0] - SHARED) * ROW_MM


def stations(protocol="T1", count=3, *, first=1, level=0, **tags):
    """Series of one protocol below each other, from the head down."""
    return [
        series(
            protocol,
            size=SIZE,
            origin=(-13.0, -40.0, TOP_MM - (level + n) * STEP_MM),
            SeriesInstanceUID=f"1.2.3.{first + n}",
            SeriesNumber=first + n,
            **tags,
        )
        for n in range(count)
    ]


def flat(many):
    return [dataset for one in many for dataset in one]


def flags(case):
    return {(f.code, f.where) for f in case.quality}


def in_place(image):
    """Say that every voxel holds the signal of its place."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in image.grid.shape), indexing="ij")
    truth = signal_at(image.grid.ijk_to_lps(np.stack([i, j, k], axis=-1)))
    np.testing.assert_allclose(image.array, truth, atol=1.0)


def test_stations_of_each_sequence_are_read_as_one_image(tmp_path, rng):
    save(flat(stations("T1") + stations("T2", first=11)), tmp_path, rng)
    study = read_study(tmp_path)
    assert list(study.case.images) == [Sequence.T1, Sequence.T2]
    assert study.case.others == ()
    for image in study.case.images.values():
        assert image.grid.shape == (7, 80 + 2 * (80 - SHARED), 40)
        in_place(image)
    assert flags(study.case) == {("stations_joined", "T1"), ("stations_joined", "T2")}
    source = study.case.images[Sequence.T2].source
    assert [s.series_number for s in source.stations] == [11, 12, 13]
    assert source.series_uid not in study.sources
    assert all(len(study.sources[s.series_uid].datasets) == 7 for s in source.stations)
    assert source.evidence[-1] == "joined from 3 stations (series 11, 12, 13)"


def test_the_order_of_files_does_not_matter(tmp_path, rng):
    many = flat(stations("T1") + stations("T2", first=11))
    images = []
    for name in ("one", "other"):
        save(many, tmp_path / name, rng)
        images.append(read_study(tmp_path / name).case.images[Sequence.T1])
    assert images[0].grid.same_space(images[1].grid)
    np.testing.assert_array_equal(images[0].array, images[1].array)
    assert [s.series_uid for s in images[0].source.stations] == [s.series_uid for s in images[1].source.stations]


def test_stacks_of_one_series_are_stations_too(tmp_path, rng):
    many = [series("T1", size=SIZE, n=7, origin=(x, -40.0, TOP_MM - n * STEP_MM)) for n, x in enumerate((-13.0, -12.0))]
    for number, dataset in enumerate(flat(many), 1):
        dataset.InstanceNumber = number
    save(flat(many), tmp_path, rng)
    study = read_study(tmp_path)
    (image,) = study.case.images.values()
    assert image.grid.shape[1] == 2 * 80 - SHARED
    names = [s.series_uid for s in image.source.stations]
    assert names == ["1.2.3.1", "1.2.3.1#2"]
    tops = [study.sources[name].datasets[0].ImagePositionPatient[2] for name in names]
    assert tops == sorted(tops, reverse=True)


def test_steps_of_brightness_are_gone(tmp_path, rng):
    many = stations("T1")
    for dataset in many[1]:
        dataset.PixelData = (dataset.pixel_array * 0.4).astype(np.uint16).tobytes()
    save(flat(many), tmp_path, rng)
    image = read_study(tmp_path).case.images[Sequence.T1]
    truth = signal_at(image.grid.ijk_to_lps([3, 0, 20]) + np.outer(np.arange(image.grid.shape[1]) * ROW_MM, (0, 0, -1)))
    np.testing.assert_allclose(image.array[3, :, 20] / truth, 0.4, rtol=0.01)


def test_a_study_of_one_station_stays_as_it_is(tmp_path, rng):
    save(flat(stations("T1", 1) + stations("T2", 1, first=11)), tmp_path, rng)
    case = read_study(tmp_path).case
    for image in case.images.values():
        assert image.source.stations == ()
        assert image.grid.shape == (7, *SIZE)
        np.testing.assert_array_equal(image.array, np.round(image.array))
    assert case.quality == ()


def test_a_station_that_one_sequence_lacks_does_not_part_the_others(tmp_path, rng):
    save(flat(stations("T1", 2) + stations("T2", 3, first=11)), tmp_path, rng)
    case = read_study(tmp_path).case
    assert [len(i.source.stations) for i in case.images.values()] == [2, 3]
    assert {code for code, _ in flags(case)} == {"stations_joined"}


def test_a_missing_middle_station_is_told(tmp_path, rng):
    many = stations("T1", 3)
    save(flat([many[0], many[2]]), tmp_path, rng)
    case = read_study(tmp_path).case
    (flag,) = case.quality
    assert (flag.code, flag.severity, flag.where) == ("part_not_looked_at", "warning", "T1")
    assert "71 mm of height above the image used (series 1)" in flag.message
    assert "gap" in flag.message


def test_another_frame_of_reference_is_never_joined(tmp_path, rng):
    one, other = stations("T1", 2)
    for dataset in other:
        dataset.FrameOfReferenceUID = "1.2.3.99"
    save([*one, *other], tmp_path, rng)
    case = read_study(tmp_path).case
    assert [i.source.stations for i in (*case.images.values(), *case.others)] == [(), ()]
    assert flags(case) == {("part_not_looked_at", "T1")}


def test_a_repeated_station_gives_way_to_the_later_one(tmp_path, rng):
    save(flat(stations("T1", 3) + stations("T1", 1, first=7, level=1)), tmp_path, rng)
    study = read_study(tmp_path)
    assert [s.series_number for s in study.case.images[Sequence.T1].source.stations] == [1, 7, 3]
    assert [i.source.series_number for i in study.case.others] == [2]
    assert flags(study.case) == {("stations_joined", "T1")}


def composed(protocol, number):
    return series(
        protocol,
        size=(80 + 2 * (80 - SHARED), 40),
        origin=(-13.0, -40.0, TOP_MM),
        SeriesInstanceUID=f"1.2.3.{number}",
        SeriesNumber=number,
        SeriesDescription=f"{protocol} COMPOSED",
    )


def test_stations_come_before_their_composed_image(tmp_path, rng):
    save([*flat(stations("T1")), *composed("T1", 9)], tmp_path, rng)
    case = read_study(tmp_path).case
    assert len(case.images[Sequence.T1].source.stations) == 3
    assert [i.source.series_number for i in case.others] == [9]


def test_one_sequence_in_stations_and_one_composed_are_both_from_end_to_end(tmp_path, rng):
    lowest = stations("T2", 1, first=11, level=2)
    save([*flat(stations("T1") + lowest), *composed("T2", 21)], tmp_path, rng)
    case = read_study(tmp_path).case
    heights = [i.grid.shape[1] for i in case.images.values()]
    assert heights == [192, 192]
    assert case.images[Sequence.T2].source.series_number == 21
    assert flags(case) == {("stations_joined", "T1")}


def test_a_composed_image_takes_the_place_of_stations_that_do_not_line_up(tmp_path, rng):
    many = stations("T1", 2)
    for dataset in many[1]:
        dataset.ImagePositionPatient[0] += 2.2
    save([*flat(many), *composed("T1", 9)], tmp_path, rng)
    case = read_study(tmp_path).case
    assert case.images[Sequence.T1].source.series_number == 9
    assert flags(case) == set()


def test_a_long_scout_does_not_displace_finer_images(tmp_path, rng):
    scout = series(
        "T2", n=7, size=(192, 40), origin=(-13.0, -40.0, TOP_MM), SeriesNumber=9, SeriesInstanceUID="1.2.3.9"
    )
    for dataset in scout:
        dataset.PixelSpacing = [1.4, 1.4]
    low = {"level": 1}
    save(flat([scout, *stations("T1", 1, **low), *stations("T2", 1, first=11, **low)]), tmp_path, rng)
    assert read_study(tmp_path).case.images[Sequence.T2].source.series_number == 11


def image(array, level, sequence, number, *, b=None, frame="1.2.9"):
    affine = np.array([[4.0, 0, 0, -20], [0, 0, 1, -60], [0, -1, 0, 90 - 60.0 * level], [0, 0, 0, 1]])
    source = Source(f"1.2.{number}", number)
    return Image(array, Grid(array.shape, affine, frame), sequence, 0.9, Acquisition(b_value_s_mm2=b), source)


@pytest.fixture
def tissue(rng):
    """Two stations of one random body."""
    body = rng.normal(200, 40, (8, 150, 60)).astype(np.float32)
    return [body[:, :90], body[:, 60:]]


def test_adc_is_never_scaled_and_b_values_are_scaled_alike(tissue):
    (above, below), gain = tissue, np.float32(0.5)
    images = [
        image(a * g * share, level, sequence, number, b=b)
        for sequence, share, b, number in (
            (Sequence.DWI, np.float32(1), 0.0, 1),
            (Sequence.DWI, np.float32(0.3), 800.0, 2),
            (Sequence.ADC, np.float32(5), None, 3),
        )
        for level, (a, g) in enumerate(((above, np.float32(1)), (below, gain if b is not None else np.float32(1.3))))
    ]
    case = case_of_images("case-0", images)
    low, high = case.others[0], case.images[Sequence.DWI]
    assert (low.acquisition.b_value_s_mm2, high.acquisition.b_value_s_mm2) == (0.0, 800.0)
    np.testing.assert_allclose(high.array / low.array, 0.3, rtol=1e-4)
    adc = case.images[Sequence.ADC].array
    np.testing.assert_array_equal(adc[:, :60], above[:, :60] * np.float32(5))
    np.testing.assert_array_equal(adc[:, 90:], below[:, 30:] * np.float32(1.3) * np.float32(5))


def test_parts_of_a_dixon_image_are_scaled_alike(tissue):
    kinds = (Sequence.DIXON_FAT, Sequence.DIXON_WATER, Sequence.DIXON_IN)
    images = [
        image(a * g, level, kind, number)
        for number, kind in enumerate(kinds)
        for level, (a, g) in enumerate(zip(tissue, (1.0, 0.5 + 0.1 * number), strict=True))
    ]
    case = case_of_images("case-0", images)
    fat, water = (case.images[s].array for s in kinds[:2])
    np.testing.assert_allclose(water[:, 100:] / fat[:, 100:], 0.6 / 0.5, rtol=1e-4)


def test_stations_that_show_other_tissue_where_they_overlap_are_flagged(tissue, rng):
    other = rng.normal(200, 40, tissue[1].shape).astype(np.float32)
    images = [image(a, n, Sequence.T1, n) for n, a in enumerate((tissue[0], other))]
    assert ("stations_disagree", "T1") in flags(case_of_images("case-0", images))


def test_nifti_is_joined_only_where_both_show_the_same(tissue, rng):
    other = rng.normal(200, 40, tissue[1].shape).astype(np.float32)
    alike, unlike = (
        case_of_images("case-0", [image(a, n, Sequence.T1, n, frame="") for n, a in enumerate((tissue[0], below))])
        for below in (tissue[1], other)
    )
    assert alike.images[Sequence.T1].grid.shape[1] == 150
    assert unlike.images[Sequence.T1].grid.shape[1] == 90
    assert flags(unlike) == {("part_not_looked_at", "T1")}


def test_a_folder_of_nifti_stations_is_joined_unless_the_files_are_named(tissue, tmp_path):
    for n, array in enumerate(tissue):
        one = image(array, n, Sequence.T1, n)
        ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ one.grid.affine
        nib.save(nib.Nifti1Image(array, ras), tmp_path / f"sub-1_part-{n}_T1w.nii.gz")
    assert read_study(tmp_path).case.images[Sequence.T1].grid.shape[1] == 150
    named = {Sequence.T1: tmp_path / "sub-1_part-0_T1w.nii.gz"}
    assert read_study(tmp_path, sequence_files=named).case.images[Sequence.T1].grid.shape[1] == 90


def test_joining_leaves_all_else_in_its_order(tissue):
    whole = [Reading(image(a, n, Sequence.T1, n), HeaderFacts()) for n, a in enumerate(tissue)]
    axial = Reading(image(tissue[0], 0, Sequence.T2, 8), HeaderFacts(said=found("T2 composed")))
    other = replace(axial, image=image(tissue[0], 0, Sequence.UNKNOWN, 9))
    readings, refused = join_stations([axial, *whole, other])
    assert readings[:2] == [axial, other]
    assert len(readings) == 3
    assert refused == []
    assert unseen_flags(readings, primaries(readings), refused) == []
