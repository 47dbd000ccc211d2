"""OHIF beside the page: who may see what in it, and on which side of the patient it shows our segmentations."""

import contextlib
import io
import os
import re
import shutil
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image as Picture
from starlette.datastructures import URL
from starlette.testclient import TestClient

from dicom_fakes import as_file, classic_source, source_grid
from node_fakes import orthanc
from spondyl.app.catalog import StudyState
from spondyl.app.serve import OhifServer
from spondyl.app.serve_settings import ServeSettings
from spondyl.app.web import create_app
from spondyl.app.web.accounts import Role
from spondyl.app.web.ohif import create_ohif
from spondyl.core import Case, Image, LabelMap, Lesion, Sequence, SettingsError, Source
from spondyl.io.reference import reference_series
from spondyl.io.seg import lesion_segmentation
from spondyl.io.store import save
from web_site import BROWSER_FLAGS, CHEAP, PASSWORD

OHIF = Path(os.environ.get("SPONDYL_OHIF", Path.home() / ".cache" / "spondyl" / "ohif-3.13.2"))
"""Where tools/install_ohif.sh puts it."""

ARCHIVE = "http://archive.example/pacs"
STUDY, OTHER = "1.2.826.0.1.3680043.8.498.61", "1.2.826.0.1.3680043.8.498.62"


@pytest.fixture
def folder(tmp_path):
    """Files as OHIF's are laid out."""
    made = tmp_path / "ohif"
    (made / "assets").mkdir(parents=True)
    for name in ("index.html", "app-config.js", "app.bundle.0123456789abcdef.js", "assets/logo.svg"):
        (made / name).write_text(name)
    (tmp_path / "secret.txt").write_text("not of OHIF")
    return made


class Beside:
    """A page with one study, OHIF beside it, and an archive that notes what it is asked."""

    def __init__(self, data: Path, folder: Path) -> None:
        settings = ServeSettings(data=data, ohif={"folder": folder, "archive": ARCHIVE, "username": "u"})
        self.page = create_app(settings, hasher=CHEAP)
        self.services = self.page.state.services
        self.services.accounts.add("rad", PASSWORD, Role.READER)
        self.key = self.services.studies.folder.study_key(STUDY)
        self.services.studies.catalog.receive(self.key)
        app = create_ohif(self.services, settings)
        self.asked: list[httpx.Request] = []
        app.state.viewer.client = httpx.Client(transport=httpx.MockTransport(self._answer))
        self.client = TestClient(app, base_url="http://testserver:8081", follow_redirects=False)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path.endswith("/studies"):
            found = [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in (STUDY, OTHER)]
            return httpx.Response(200, json=found, headers={"Set-Cookie": "x=1", "Server": "told"})
        bulk = [{"7FE00010": {"vr": "OW", "BulkDataURI": f"{ARCHIVE}/studies/{STUDY}/bulk/1"}}]
        return httpx.Response(200, json=bulk)

    def log_in(self) -> None:
        """Log in at the page; a browser sends the cookie to every port of the host."""
        login = TestClient(self.page, follow_redirects=False).post("/login", data={"name": "rad", "password": PASSWORD})
        self.client.cookies.set("spondyl_session", login.cookies["spondyl_session"])


@pytest.fixture
def beside(tmp_path, folder):
    return Beside(tmp_path / "data", folder)


@pytest.mark.parametrize(
    "path", ["/", "/viewer", "/app-config.js", "/dicom-web/studies", f"/dicom-web/studies/{STUDY}"]
)
def test_nothing_answers_without_a_login(beside, path):
    assert beside.client.get(path).status_code == 401
    led = beside.client.get(path, headers={"Accept": "text/html"})
    assert (led.status_code, led.headers["location"]) == (303, "http://testserver:8080/login")
    assert beside.asked == []


def test_only_studies_of_the_worklist_are_shown_and_nothing_can_be_changed(beside):
    beside.log_in()
    found = beside.client.get("/dicom-web/studies", params={"limit": "5"})
    assert [s["0020000D"]["Value"] for s in found.json()] == [[STUDY]]
    assert "set-cookie" not in found.headers
    assert beside.client.get(f"/dicom-web/studies/{OTHER}/metadata").status_code == 404
    for path in ("/dicom-web/series", "/dicom-web/instances", f"/dicom-web/studies/{STUDY}/../{OTHER}/metadata"):
        assert beside.client.get(path).status_code == 404, path
    for evil in (f"/dicom-web/studies/{STUDY}/%2e%2e/{OTHER}", f"/dicom-web/studies/{STUDY}%2f..%2f..%2finstances"):
        assert beside.client.get(evil).status_code == 404, evil
    assert [r.url.path for r in beside.asked] == ["/pacs/studies"]
    assert beside.client.post(f"/dicom-web/studies/{STUDY}").status_code == 405
    assert beside.client.delete(f"/dicom-web/studies/{STUDY}").status_code == 405


def test_a_case_of_a_blinded_reading_is_not_shown(beside, monkeypatch):
    beside.log_in()
    monkeypatch.setattr(beside.services.reader_studies, "hidden_from", lambda name: {beside.key})
    assert beside.client.get("/dicom-web/studies").json() == []
    assert beside.client.get(f"/dicom-web/studies/{STUDY}/metadata").status_code == 404


def test_references_lead_back_here_and_looking_is_noted_once(beside):
    beside.log_in()
    for _ in range(2):
        told = beside.client.get(f"/dicom-web/studies/{STUDY}/metadata", headers={"Accept": "application/dicom+json"})
    assert told.json()[0]["7FE00010"]["BulkDataURI"] == f"http://testserver:8081/dicom-web/studies/{STUDY}/bulk/1"
    assert beside.asked[-1].headers["accept"] == "application/dicom+json"
    assert "cookie" not in beside.asked[-1].headers
    entries = [e for e in beside.services.log.entries() if e.action == "ohif.view"]
    assert [(e.user_name, e.study_key) for e in entries] == [("rad", beside.key)]


def test_an_archive_that_does_not_answer_is_an_error_of_the_gateway(beside):
    beside.log_in()

    def refuse(request):
        raise httpx.ConnectError("no")

    beside.client.app.state.viewer.client = httpx.Client(transport=httpx.MockTransport(refuse))
    answer = beside.client.get(f"/dicom-web/studies/{STUDY}/metadata")
    assert answer.status_code == 502
    assert "archive.example" not in answer.text


def test_files_of_ohif_and_nothing_else_are_given(beside):
    beside.log_in()
    script = beside.client.get("/app.bundle.0123456789abcdef.js")
    assert (script.text, script.headers["cache-control"]) == (
        "app.bundle.0123456789abcdef.js",
        "private, max-age=604800",
    )
    assert beside.client.get("/viewer?StudyInstanceUIDs=1").text == "index.html"
    assert beside.client.get("/missing.js").status_code == 404
    for evil in ("/%2e%2e/secret.txt", "/assets/%2e%2e/%2e%2e/secret.txt"):
        assert "not of OHIF" not in beside.client.get(evil).text
    configuration = beside.client.get("/app-config.js")
    assert 'wadoRoot: "/dicom-web"' in configuration.text
    assert configuration.headers["cache-control"] == "no-store"
    assert "connect-src 'self' data: blob:" in configuration.headers["content-security-policy"]


def test_a_folder_without_ohif_is_refused(tmp_path, folder):
    (folder / "index.html").unlink()
    settings = ServeSettings(data=tmp_path / "data", ohif={"folder": folder, "archive": ARCHIVE})
    with pytest.raises(SettingsError, match="prebuilt"):
        create_ohif(create_app(settings, hasher=CHEAP).state.services, settings)


# What follows runs the real OHIF and a real archive.

PLANES = {
    # plane: rows and columns of the lesion
    "axial": (slice(24, 36), slice(64, 80)),
    "sagittal": (slice(56, 72), slice(16, 32)),
}
SHAPE = (6, 96, 112)
SLICES = slice(4, 5)
"""The fifth slice; the fake sagittal stack runs from left to right, so that it lies right of the patient's middle."""


def _study(plane, folder: Path):
    """A bright block off every axis of a dark volume, and the lesion that was outlined in it."""
    rows, columns = PLANES[plane]
    grid = source_grid(plane, SHAPE)
    source = classic_source(grid)
    array = np.full(SHAPE, 120.0, np.float32)
    array[SLICES, rows.start - 6 : rows.stop + 6, columns.start - 6 : columns.stop + 6] = 900
    labels = np.zeros(SHAPE, np.uint16)
    labels[SLICES, rows, columns] = 1
    image = Image(array, grid, Sequence.T2, source=Source(source.series_uid, 3))
    center = tuple(grid.ijk_to_lps(np.argwhere(labels).mean(axis=0)).tolist())
    found = Lesion(1, None, None, 900.0, 12.0, center, {"malignant": 0.8, "benign": 0.2, "normal": 0.0}, 0.9, 0.1, ())
    case = Case("case-1", {Sequence.T2: image}, reference=Sequence.T2, lesions=(found,)).with_(
        labels={"lesions": LabelMap(labels, grid)}
    )
    for k, header in enumerate(source.datasets):
        header.PixelData = array[k].astype(np.uint16).tobytes()
        header.BitsAllocated = header.BitsStored = 16
        header.HighBit, header.PixelRepresentation, header.SamplesPerPixel = 15, 0, 1
        header.PhotometricInterpretation, header.WindowCenter, header.WindowWidth = "MONOCHROME2", 500, 1000
        header.SeriesDescription = f"T2 {plane}"
        as_file(header).save_as(folder / "incoming" / f"{k}.dcm", enforce_file_format=True)
    segmentation = lesion_segmentation(case, reference_series(case, {source.series_uid: source}))
    save(segmentation, folder / "result" / "dicom" / "lesions.dcm")
    return source.datasets[0].StudyInstanceUID, center


@contextlib.contextmanager
def _served(app):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """Orthanc with both studies and their segmentations, the page, OHIF beside it, and a browser that is logged in."""
    if not (OHIF / "index.html").is_file():
        pytest.skip("OHIF not found: run tools/install_ohif.sh, which needs npm")
    if shutil.which("chromium") is None:
        pytest.skip("chromium not found: install the Debian package chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright not found: pip install playwright")
    base = tmp_path_factory.mktemp("stand")
    with orthanc(base / "orthanc") as (_, http_port), contextlib.ExitStack() as stack:
        ohif = {"folder": OHIF, "archive": f"http://127.0.0.1:{http_port}/dicom-web", "port": 0}
        settings = ServeSettings(data=base / "data", ohif=ohif)
        app = create_app(settings, hasher=CHEAP)
        services = app.state.services
        services.accounts.add("rad", PASSWORD, Role.READER)
        studies = {}
        for plane in PLANES:
            draft = base / plane
            (draft / "incoming").mkdir(parents=True)
            (draft / "result" / "dicom").mkdir(parents=True)
            uid, center = _study(plane, draft)
            for file in draft.rglob("*.dcm"):
                put = httpx.post(f"http://127.0.0.1:{http_port}/instances", content=file.read_bytes(), timeout=120)
                assert put.json()["Status"] == "Success"
            key = services.studies.folder.study_key(uid)
            shutil.copytree(draft, services.studies.folder.study(key))
            services.studies.catalog.receive(key)
            services.studies.catalog.set_state(key, StudyState.DONE)
            studies[plane] = (key, center)
        address = stack.enter_context(_served(app))
        beside = OhifServer(settings, app)
        beside.start()
        stack.callback(beside.stop)
        while not beside.server.started:
            time.sleep(0.02)
        port = beside.server.servers[0].sockets[0].getsockname()[1]
        object.__setattr__(settings.ohif, "port", port)
        browser = stack.enter_context(api.sync_playwright()).chromium.launch(
            executable_path=shutil.which("chromium"), args=BROWSER_FLAGS
        )
        stack.callback(browser.close)
        page = browser.new_context(viewport={"width": 1000, "height": 650}).new_page()
        page.set_default_timeout(180_000)  # a busy build machine may need so long for the first picture
        page.goto(f"{address}/login")
        page.fill("[name=name]", "rad")
        page.fill("[name=password]", PASSWORD)
        page.click("button")
        page.wait_for_selector("#worklist")
        yield page, address, studies


def _middle(mask):
    """Middle of what a mask covers, as x and y."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.min() + columns.max(), rows.min() + rows.max()]) / 2


def _shown(page):
    """Middles of what is colored and of what is bright in the picture; None while either is missing."""
    box = page.locator("[data-cy=viewport-pane]").bounding_box()
    pixels = np.asarray(Picture.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB")).astype(int)
    pixels[:60], pixels[-60:], pixels[:, :30], pixels[:, -60:] = 0, 0, 0, 0  # buttons and words
    colored = pixels[..., 0] - pixels[..., 2] > 60  # the first segment is drawn in red, OHIF itself in blue
    bright = (pixels.min(axis=2) > 180) & ~colored
    size = np.array(pixels.shape[1::-1])
    return None if min(colored.sum(), bright.sum()) < 200 else (_middle(colored), _middle(bright), size)


STILL = 4
"""Looks, a second apart, that must show the same: OHIF draws picture, overlay and letters one after the other."""

LOOKS, PATIENCE = 240, 60
"""Looks until what is seen is taken for the last word, since a busy machine may stand still before OHIF is done; and
looks at nothing until the page is opened again, since OHIF now and then never draws an overlay that came too early."""


def _settled(page, as_wanted):
    """The picture and the words around it once both have stood still as wanted, or as they are after minutes."""
    looks, seen = [], None
    for look in range(LOOKS):
        if look and not look % PATIENCE and seen is None:
            page.reload()
        page.wait_for_timeout(1000)
        shown = _shown(page) if page.locator("[data-cy=viewport-pane] canvas").count() else None
        looks = [*looks, shown][-STILL:]
        if len(looks) == STILL and all(x is not None and np.array_equal(x, shown) for x in looks):
            words = page.inner_text("[data-cy=viewport-grid]")
            if sum(w in DIRECTIONS for w in words.split()) == 2:
                seen = shown, words
                if as_wanted(*shown, words):
                    return seen
    return seen or pytest.fail("OHIF drew no overlay, or no letters at its sides")


DIRECTIONS = {
    "L": np.array([1, 0, 0]),
    "R": np.array([-1, 0, 0]),
    "P": np.array([0, 1, 0]),
    "A": np.array([0, -1, 0]),
    "H": np.array([0, 0, 1]),
    "F": np.array([0, 0, -1]),
}
"""What the letters mean in LPS; OHIF gives the one above the picture first."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("plane", list(PLANES))
def test_ohif_shows_the_lesion_over_its_series_and_on_its_side(stand, plane):
    opened, address, studies = stand
    key, center = studies[plane]
    page = opened.context.new_page()  # OHIF keeps the directions of the last study of a tab
    page.set_default_timeout(180_000)
    outside = []
    page.on(
        "request", lambda r: None if r.url.startswith(("http://127.0.0.1", "data:", "blob:")) else outside.append(r)
    )
    page.goto(f"{address}/studies/{key}/ohif")
    offset = np.subtract(center, source_grid(plane, SHAPE).ijk_to_lps((np.array(SHAPE) - 1) / 2))

    def sides(colored, size, words):
        """Where the overlay is in the picture, and where the letters above and at its left say the lesion is."""
        above, at_left = (DIRECTIONS[w] for w in words.split() if w in DIRECTIONS)
        return tuple(np.sign(colored - size / 2)), (-np.sign(offset @ at_left), -np.sign(offset @ above))

    def as_wanted(colored, bright, size, words):
        there, told = sides(colored, size, words)
        return np.abs(colored - bright).max() < 30 and there == told and f"T2 {plane}" in words

    (colored, bright, size), words = _settled(page, as_wanted)
    assert f"T2 {plane}" in words
    # The overlay lies on the bright block that was outlined, which the edge of the view may cut.
    assert np.abs(colored - bright).max() < 30, (colored, bright)
    # And that is the side where the lesion is, as the letters above and at the left of the picture say; OHIF may turn
    # the picture by a quarter, depending on what it has loaded first.
    there, told = sides(colored, size, words)
    assert there == told, words
    if plane == "sagittal":
        assert offset[0] < 0
        assert re.search(rf"I:\s*{SLICES.start + 1}\b", words)
    assert outside == []
    page.close()


def test_the_address_carries_nothing_but_uids(tmp_path):
    from spondyl.app.web.ohif import study_address
    from spondyl.core import InputError

    (tmp_path / "junk.dcm").write_bytes(b"\0" * 200)
    with pytest.raises(InputError, match="which study"):
        study_address(
            URL("http://h:1/"), ServeSettings(ohif={"folder": "f", "archive": ARCHIVE}).ohif, tmp_path, tmp_path
        )
