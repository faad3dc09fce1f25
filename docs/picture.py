"""Take the picture of the report that README.md shows: python docs/picture.py [RUN_FOLDER] [PICTURE]

Needs Chromium or Chrome. Only a complete run is taken, and what was taken is written into the picture.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import bs4
from PIL import Image
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZE = (1280, 1150)


def run_of(folder: Path) -> dict:
    """Return what is written into a picture of a run; end with a line where the run is not complete."""
    try:
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
        page = (folder / "index.html").read_text("utf-8")
    except OSError as error:
        sys.exit(f"{folder}: holds no finished report ({error.strerror}); run ./run_all.sh first")
    notices = [" ".join(found.text.split()) for found in bs4.BeautifulSoup(page, "html.parser")(class_="notice")]
    late = [f"{name} is {status}" for name, status in summary["status"].items() if status != "done"]
    if late or notices or not summary["status"]:
        sys.exit(f"{folder}: is not complete ({'; '.join(late + notices)}); run ./run_all.sh first")
    made = {name: summary["provenance"][name] for name in ("commit", "generated")}
    return {"profile": summary["profile"], "status": summary["status"], "notices": len(notices)} | made


def take(folder: Path, picture: Path) -> None:
    """Write the top of a run's page as PNG, in the page's light colours."""
    run = run_of(folder)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("no Chromium found; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as home:
        shot = Path(home) / "shot.png"
        options = ["--headless", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
        options += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has none
        options += [f"--user-data-dir={home}/profile", f"--screenshot={shot}", "--window-size={},{}".format(*SIZE)]
        page = (folder / "index.html").absolute().as_uri()
        done = subprocess.run([browser, *options, page], capture_output=True, text=True, timeout=120)
        if not shot.is_file():
            sys.exit(f"{browser}: took no picture\n{done.stderr[-500:]}")
        image = Image.open(shot).convert("RGB")
    said = PngInfo()
    said.add_text("run", json.dumps(run))
    image.save(picture, optimize=True, pnginfo=said)
    print(f"{picture}: {folder}, generated {run['generated']}")


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    take(*given, *[ROOT / "reports/demo", ROOT / "reports/report.png"][len(given) :])
