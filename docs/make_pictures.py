"""Make the pictures of the documentation from a synthetic patient.

The report is drawn by a browser, so its picture is taken by one: Chromium or Chrome without a window must be installed.
Run ``python docs/make_pictures.py`` after a change that shows, look at the result, and commit it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).resolve().parent / "images"

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

SEED = 1_000_003
"""The patient of `make demo`."""

WINDOW_PX = (1280, 960)
"""Wide enough for the layout of a desktop, high enough for summary and pictures of the column."""

COLORS = 256
"""Colors of the stored picture; keeps it small."""

TIME_LIMIT_S = 120


def photograph(page: Path, picture: Path) -> None:
    """Take a picture of the top of an HTML page.

    Parameters
    ----------
    page : Path
        The page.
    picture : Path
        The PNG file to write.

    Raises
    ------
    SystemExit
        If no browser is found.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        msg = f"a picture of the report needs one of {', '.join(BROWSERS)} (Debian: apt-get install chromium)"
        raise SystemExit(msg)
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", f"--window-size={WINDOW_PX[0]},{WINDOW_PX[1]}"]
        command += [f"--screenshot={picture}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=TIME_LIMIT_S)
    with Image.open(picture) as full:
        small = full.convert("RGB").quantize(COLORS)
    small.save(picture, optimize=True)


def main() -> None:
    """Simulate, analyze, photograph."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--report", type=Path, help="take this report instead of making one")
    report = parser.parse_args().report
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if report is None:
            spondyl = [sys.executable, "-m", "spondyl.app.cli"]
            patient, result = f"{folder}/patient", f"{folder}/result"
            simulate = ["simulate", "patient", "--out", patient, "--seed", str(SEED), "--lesions", "malignant"]
            subprocess.run([*spondyl, *simulate], check=True)
            subprocess.run([*spondyl, "analyze", f"{patient}/dicom", "--out", result], check=True)
            report = Path(result) / "report.html"
        photograph(report, IMAGES / "report.png")


if __name__ == "__main__":
    main()
