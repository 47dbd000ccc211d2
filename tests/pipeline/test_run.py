"""The road: order, timing, history, and what a failing step does."""

import pytest

from fake_case import analyzed_case
from spondyl.core import Case, InputError, ModelError, NoSpineError, QualityFlag, StepRecord
from spondyl.pipeline.methods import methods_paragraph
from spondyl.pipeline.run import run, run_table
from spondyl.pipeline.settings import Settings
from spondyl.pipeline.steps import STEPS, Ahead, StepEntry


class Kept(str):
    """Stands for a network, and counts how often memory was asked back."""

    released = 0

    def release(self):
        self.released += 1


def _marked(case, settings, **_):
    return case.flagged(QualityFlag("seen", "Seen."))


def _recorded(case, settings, **_):
    return case.with_(history=(*case.history, StepRecord("own", "7", methods="It was done")))


def _failing(error):
    def step(case, settings, **_):
        raise error

    return step


def test_a_step_that_keeps_no_record_gets_one_with_its_time():
    case = analyzed_case()
    after = run(case, Settings(), {}, steps=[StepEntry("first", _marked)])
    assert [r.name for r in after.history] == ["localize", "first"]
    assert after.history[-1].seconds > 0
    assert len(case.history) == 1


def test_a_record_of_the_step_itself_is_kept_and_timed():
    after = run(analyzed_case(), Settings(), {}, steps=[StepEntry("first", _recorded)])
    assert (after.history[-1].name, after.history[-1].version) == ("own", "7")
    assert after.history[-1].seconds > 0


def test_a_missing_record_is_filled_with_the_resolved_settings():
    after = run(analyzed_case(), Settings(), {}, steps=[StepEntry("lesions", _marked)])
    assert after.history[-1].settings


def test_an_optional_step_that_fails_becomes_a_flag():
    steps = [StepEntry("lesions", _failing(ModelError("weights are damaged.")), optional=True), StepEntry("b", _marked)]
    after = run(analyzed_case(), Settings(), {}, steps=steps)
    assert [flag.code for flag in after.quality[-2:]] == ["lesions_failed", "seen"]
    assert after.quality[-2].message == "The step lesions gave no result: weights are damaged."


@pytest.mark.parametrize("error", [NoSpineError("no spine"), ZeroDivisionError()])
def test_no_spine_and_defects_end_the_run_even_in_an_optional_step(error):
    with pytest.raises(type(error)):
        run(analyzed_case(), Settings(), {}, steps=[StepEntry("lesions", _failing(error), optional=True)])


def test_a_needed_step_that_fails_ends_the_run():
    with pytest.raises(ModelError, match="damaged"):
        run(analyzed_case(), Settings(), {}, steps=[StepEntry("localize", _failing(ModelError("damaged")))])


def test_a_missing_network_is_said_before_anything_runs():
    steps = [StepEntry("a", _failing(ZeroDivisionError())), StepEntry("b", _marked, {"network": "spine"})]
    with pytest.raises(ModelError, match="step b needs a network for 'spine', got none"):
        run(analyzed_case(), Settings(), {}, steps=steps)


def test_a_case_without_images_is_refused():
    with pytest.raises(InputError, match="at least one image"):
        run(Case("case-0", {}), Settings(), {}, steps=[])


def test_progress_is_told_before_each_step():
    told = []
    steps = [StepEntry("a", _marked), StepEntry("b", _marked)]
    run(analyzed_case(), Settings(), {}, lambda *what: told.append(what), steps=steps)
    assert told == [("a", 1, 2), ("b", 2, 2)]


def _begun(case, settings, **networks):
    return len(case.quality), sorted(networks)


def _goes_on(case, settings, *, network, ahead=None):
    return case.flagged(QualityFlag("ahead", f"{ahead} {network}"))


@pytest.mark.parametrize("threads", [1, 2])
def test_what_begins_ahead_sees_the_record_after_its_step_and_goes_to_its_own(threads):
    steps = [
        StepEntry("a", _marked),
        StepEntry("b", _marked),
        StepEntry("c", _goes_on, {"network": "spine"}, ahead=(Ahead("a", _begun),)),
    ]
    before = len(analyzed_case().quality)
    after = run(analyzed_case(), Settings(threads=threads), {"spine": Kept("net")}, steps=steps)
    assert after.quality[-1].message == f"({before + 1}, ['network']) net"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_ahead_counts_as_one_of_its_step(threads):
    steps = [
        StepEntry("a", _marked),
        StepEntry("b", _goes_on, {"network": "n"}, optional=True, ahead=(Ahead("a", _failing(ModelError("damaged"))),)),
    ]
    after = run(analyzed_case(), Settings(threads=threads), {"n": Kept("net")}, steps=steps)
    assert [flag.code for flag in after.quality[-2:]] == ["seen", "b_failed"]


def test_each_step_that_is_done_can_be_watched():
    seen = []
    steps = [StepEntry("a", _marked), StepEntry("b", _marked)]
    run(
        analyzed_case(),
        Settings(),
        {},
        steps=steps,
        watch=lambda name, case: seen.append((name, [f.code for f in case.quality].count("seen"))),
    )
    assert seen == [("a", 1), ("b", 2)]


def test_nothing_begins_ahead_of_a_step_that_comes_later():
    names = [s.name for s in STEPS]
    for entry in STEPS:
        begun = [names.index(ahead.after) for ahead in entry.ahead]
        assert begun == sorted(begun)
        assert all(place < names.index(entry.name) for place in begun)


def _begun_further(case, settings, *, network, ahead):
    return f"{ahead} and {len(case.quality)}"


@pytest.mark.parametrize("threads", [1, 2])
def test_what_begins_ahead_goes_to_what_begins_later_and_at_last_to_the_step(threads):
    steps = [
        StepEntry("a", _marked),
        StepEntry("b", _marked),
        StepEntry("c", _goes_on, {"network": "spine"}, ahead=(Ahead("a", _begun), Ahead("b", _begun_further))),
    ]
    n = len(analyzed_case().quality)
    after = run(analyzed_case(), Settings(threads=threads), {"spine": Kept("net")}, steps=steps)
    assert after.quality[-1].message == f"({n + 1}, ['network']) and {n + 2} net"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_far_ahead_counts_as_one_of_its_step(threads):
    ahead = (Ahead("a", _failing(ModelError("damaged"))), Ahead("b", _begun_further))
    steps = [
        StepEntry("a", _marked),
        StepEntry("b", _marked),
        StepEntry("c", _goes_on, {"network": "n"}, optional=True, ahead=ahead),
    ]
    after = run(analyzed_case(), Settings(threads=threads), {"n": Kept("net")}, steps=steps)
    assert [flag.code for flag in after.quality[-2:]] == ["seen", "c_failed"]


def test_the_road_has_two_steps_that_must_succeed_and_seven_that_may_fail():
    needed, optional = ["harmonize", "localize"], ["lesions", "classify", "explain", "scores", "align", "socce", "risk"]
    assert [(s.name, s.optional) for s in STEPS] == [*((n, False) for n in needed), *((n, True) for n in optional)]


def test_the_methods_paragraph_names_versions_models_and_sequences():
    text = methods_paragraph(analyzed_case())
    assert "T1, T2, STIR" in text
    assert "Bodies were found." in text
    assert "abababababab…" in text
    assert "research use only" in text


def test_the_run_table_holds_settings_versions_and_hashes():
    table = run_table(analyzed_case(), Settings(seed=3), timings_s={"read": 0.12345})
    assert table["seed"] == 3
    assert table["models"] == {"spine": "ab" * 32}
    assert table["timings_s"] == {"read": 0.123}
    assert table["machine"]["packages"]["numpy"]


def test_a_network_is_released_after_the_last_step_that_asks_it():
    networks, seen = {"one": Kept(), "two": Kept()}, []

    def look(case, settings, *, network):
        seen.append((networks["one"].released, networks["two"].released))
        return case

    steps = [StepEntry(f"step{n}", look, {"network": role}) for n, role in enumerate(("one", "two", "one"))]
    run(analyzed_case(), Settings(), networks, steps=steps)
    assert seen == [(0, 0), (0, 0), (0, 1)]
    assert networks["one"].released == networks["two"].released == 1


def test_freed_memory_is_given_back_after_every_step_where_the_system_takes_it(monkeypatch):
    asked = []
    steps = [StepEntry("first", _marked), StepEntry("second", _marked)]
    monkeypatch.setattr("spondyl.pipeline.run._trim", asked.append)
    run(analyzed_case(), Settings(), {}, steps=steps)
    assert asked == [0, 0]
    monkeypatch.setattr("spondyl.pipeline.run._trim", None)
    run(analyzed_case(), Settings(), {}, steps=steps)
    assert asked == [0, 0]
