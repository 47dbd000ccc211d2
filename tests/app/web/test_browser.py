"""The page in a real browser: what a radiologist does, and what a hostile name must not do."""

import shutil
import threading
import time

import pytest
import uvicorn

from web_site import BROWSER_FLAGS, PASSWORD, make_site

pytestmark = pytest.mark.slow

PATIENCE_MS = 200_000
"""How long a busy machine may take for anything; only what never happens takes so long."""

SCRIPT = "<script>window.hit=1</script>^<img src=x onerror=window.hit=2>"


@pytest.fixture(scope="module")
def browser():
    if shutil.which("chromium") is None:
        pytest.skip("chromium not found: install the Debian package chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright not found: pip install playwright")
    with api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = make_site(tmp_path_factory.mktemp("site"))
    site.key = site.add_study("1.2.826.0.1.3680043.8.498.51", name=SCRIPT)
    site.prior = site.add_study("1.2.826.0.1.3680043.8.498.52", date="20240301")
    server = uvicorn.Server(uvicorn.Config(site.app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    site.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield site
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(browser, site):
    """A page of somebody who is logged in; what went wrong in it fails the test, and so does a call elsewhere."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda r: None if r.url.startswith((site.address, "data:", "blob:")) else wrong.append(r.url))
    page.goto(f"{site.address}/login")
    page.fill("[name=name]", "rad")
    page.fill("[name=password]", PASSWORD)
    page.click("button")
    page.wait_for_selector("#worklist tbody tr")
    yield page
    context.close()
    assert wrong == []


PANES = "[...document.querySelectorAll('.pane')]"


def _open(page, site, key=None):
    page.goto(f"{site.address}/studies/{key or site.key}")
    page.wait_for_selector("#work[data-ready]")
    # The page is ready with its first image; a busy machine draws the others a moment later.
    page.wait_for_function(f"() => {PANES}.every((p) => p.dataset.slice)")


def _slices(page):
    return [int(box.get_attribute("data-slice")) for box in page.query_selector_all(".pane")]


def _lit(page, number):
    """Colors of a pane, as the share of pixels that are not gray."""
    return page.evaluate(
        """(n) => { const c = document.querySelectorAll(".pane canvas")[n];
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let lit = 0;
        for (let i = 0; i < d.length; i += 4) if (Math.abs(d[i] - d[i + 2]) > 40) lit++;
        return lit / (d.length / 4); }""",
        number,
    )


def _until(page, ask, enough):
    """What is asked for, as soon as it is enough, or after minutes as it is."""
    for _ in range(PATIENCE_MS // 100):
        if enough(answer := ask()):
            break
        page.wait_for_timeout(100)
    return answer


def test_a_script_in_a_name_does_nothing(page, site):
    assert "<script>" in page.inner_text("#worklist")
    _open(page, site)
    assert "<script>" in page.inner_text(".patient")
    assert page.evaluate("window.hit") is None


def test_all_sequences_scroll_together(page, site):
    _open(page, site)
    assert [n.inner_text() for n in page.query_selector_all(".pane .name")] == ["T1", "T2", "STIR"]
    before = _slices(page)
    assert len(set(before)) == 1
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"(k) => {PANES}.every((p) => Number(p.dataset.slice) === k)", arg=before[0] + 1)
    assert _slices(page) == [before[0] + 1] * 3
    page.mouse.move(300, 400)
    page.mouse.wheel(0, -120)
    page.wait_for_function(f"(k) => {PANES}.every((p) => Number(p.dataset.slice) < k)", arg=before[0] + 1)
    assert len(set(_slices(page))) == 1


def test_keys_switch_overlays(page, site):
    _open(page, site)
    full = _until(page, lambda: _lit(page, 0), lambda share: share > 0.002)
    page.wait_for_timeout(300)
    full = max(full, _lit(page, 0))
    for key in ("v", "l"):
        page.keyboard.press(key)
    assert _until(page, lambda: _lit(page, 0), lambda share: share < full / 4) < full / 4
    assert page.get_attribute("[data-overlay=structures]", "aria-pressed") == "false"


def test_a_finding_is_gone_to_judged_and_rated(page, site):
    _open(page, site)
    for _ in range(4):
        page.keyboard.press("ArrowUp")
    page.click("tr[data-finding=lesion-1]")
    page.wait_for_selector("#detail:not([hidden])")
    page.wait_for_function("() => [4, 5].includes(Number(document.querySelector('.pane').dataset.slice))")
    text = page.inner_text("#detail")
    assert "malignant 0.82" in text
    assert "shown after your verdict" in text
    page.keyboard.press("a")
    page.wait_for_selector("tr[data-finding=lesion-1] .verdict.accept")
    page.click("#detail .rate .row:nth-of-type(1) label:nth-of-type(4)")
    page.click("#detail .rate button")
    page.wait_for_function("() => document.getElementById('toast').textContent === 'Kept.'")
    (row,) = [r for r in site.services.opinions.all_reviews() if r["study_key"] == site.key]
    assert (row["user_name"], row["verdict"]) == ("rad", "accept")
    # The word that is waited for above may still be that of the verdict.
    (rating,) = _until(page, site.services.opinions.all_feedback, bool)
    assert (rating["agreement"], rating["interpretability"]) == (4, None)


def test_the_prior_stands_beside(page, site):
    _open(page, site)
    page.keyboard.press("p")
    page.wait_for_selector(".pane.prior")
    page.wait_for_function("() => [...document.querySelectorAll('.pane')].every((p) => p.dataset.slice)")
    assert len(page.query_selector_all(".pane.prior")) == len(page.query_selector_all(".pane")) / 2
    assert len(set(_slices(page))) == 1


def test_other_planes_are_shown_by_niivue_without_the_internet(page, site):
    _open(page, site)
    page.keyboard.press("m")
    page.wait_for_selector("#mpr[data-ready]")


def test_a_blinded_case_is_read_and_timed(page, site):
    truth = {site.key: True, site.prior: False}
    said = {"name": "blinded", "truth": truth, "readers": ["onc"], "sequential": True}
    assert site.client("ada").post("/api/reader-studies", json=said).status_code == 201
    page.click("text=Log out")
    page.wait_for_selector("[name=name]")
    page.fill("[name=name]", "onc")
    page.fill("[name=password]", PASSWORD)
    page.click("button")
    page.goto(f"{site.address}/readings")
    began = time.monotonic()
    page.click("a.button")
    page.wait_for_selector("#work[data-ready]")
    assert "script" not in page.inner_text("body")
    assert page.is_disabled("#finish")
    assert page.is_hidden("[data-overlay=lesions]")
    page.keyboard.press("k")
    page.fill("#score", "70")
    page.click("#finish")
    page.wait_for_url("**/readings")
    (row,) = site.services.reader_studies.done(1)
    assert (row["score"], row["modality"], len(row["marks"])) == (70.0, "unaided", 1)
    assert 0 < row["seconds"] < time.monotonic() - began
    site.services.reader_studies.close(1)


def test_the_prior_is_placed_by_matched_vertebrae_where_names_of_levels_disagree(page, site):
    _open(page, site)
    moved = page.evaluate("""async () => {
      const { shiftByVertebrae } = await import("/static/viewer.js");
      const vertebra = ([level, z], n) => ({ instance: n + 1, level, centroid_lps_mm: [0, 0, z] });
      const now = [["L1", 0], ["L2", -30], ["L3", -60]].map(vertebra);
      const then = [["T12", 5], ["L1", -25], ["L2", -55]].map(vertebra);
      const matches = [1, 2, 3].map((n) => ({ instance: n, prior_instance: n }));
      const place = (how) => shiftByVertebrae(now, then, how)([0, 0, -30])[2];
      const ways = [{ sameFrame: false, matches }, { sameFrame: false, matches: null }, { sameFrame: true, matches }];
      return ways.map(place);
    }""")
    assert moved[0] == pytest.approx(-25, abs=0.1)
    assert moved[1] == pytest.approx(-55, abs=0.1)  # all that names alone can do
    assert moved[2] == -30
