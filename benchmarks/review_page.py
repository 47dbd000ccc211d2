"""How soon the review page can be used, and how soon the next slice is seen.

A headless Chromium without a graphics card (WebGL in software) opens the study of a result that ``spondyl demo`` made.
Usable means: every series is loaded and painted with its outlines. A slice counts from the key to the second frame
after it, so that it has been painted. Run:

    spondyl demo --out demo
    python benchmarks/review_page.py demo
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

import uvicorn
from playwright.sync_api import sync_playwright

import spondyl
from spondyl.app.serve_settings import ServeSettings
from spondyl.app.web import create_app
from spondyl.app.web.accounts import Role
from spondyl.app.web.adopt import adopt_result

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
PASSWORD = "of a benchmark, not of a person"  # noqa: S105
N_SLICES = 60

WHILE_READING_THE_LIST_MS = 5000
"""The worklist is seen for so long before a study is opened; its volumes are made meanwhile."""

STEP = """async (n) => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  const times = [];
  for (let i = 0; i < n; i++) {
    const began = performance.now();
    document.dispatchEvent(new KeyboardEvent("keydown", { key: i % 10 < 5 ? "ArrowDown" : "ArrowUp", bubbles: true }));
    await frame();
    await frame();
    times.push(performance.now() - began);
  }
  return times;
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="what spondyl demo --out wrote")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = ServeSettings(data=Path(folder))
        app = create_app(settings)
        services = app.state.services
        services.accounts.add("bench", PASSWORD, Role.READER)
        studies = services.studies
        key = adopt_result(studies.catalog, studies.folder, given.demo / "patient" / "dicom", given.demo / "result")
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        print(f"spondyl {spondyl.__version__}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores")
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
        measure(address, key)
        server.should_exit = True
        thread.join()


def measure(address: str, key: str) -> None:
    """Open the study twice, then scroll."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        print(f"Chromium {browser.version}, headless, 1600 x 960")
        page = browser.new_page(viewport={"width": 1600, "height": 960})
        page.goto(f"{address}/login")
        page.fill("[name=name]", "bench")
        page.fill("[name=password]", PASSWORD)
        page.click("button")
        page.wait_for_selector("#worklist tbody tr")
        page.wait_for_timeout(WHILE_READING_THE_LIST_MS)
        for what in ("first opening", "second opening", "third opening"):
            page.goto(f"{address}/studies/{key}")
            page.wait_for_selector("#work[data-ready]", timeout=60_000)
            print(f"{what}: usable after {int(page.get_attribute('#work', 'data-ready') or 0) / 1000:.2f} s")
        times = sorted(page.evaluate(STEP, N_SLICES))
        late = times[int(0.95 * len(times))]
        panes = len(page.query_selector_all(".pane"))
        print(
            f"next slice, {panes} series at once: median {statistics.median(times):.0f} ms, 95th centile {late:.0f} ms"
        )
        browser.close()


if __name__ == "__main__":
    main()
