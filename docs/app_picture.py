"""Take the picture of the page of dfd app that README.md shows: python docs/app_picture.py [PICTURE]

Needs the extra app, Chromium and playwright (./environment.sh --test), and the report of the demo, whose
calibration it shows.
"""

import io
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
#: The example that is shown, on which the two detectors differ, and how long they may take to load, in milliseconds.
EXAMPLE, PATIENCE = "spoof: festival-diphone", 300_000


def take(picture: Path) -> None:
    """Write the page with an example, assessed, as PNG."""
    command = [sys.executable, "-m", "dfdlib", "app", "--port", "7871"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as served, sync_playwright() as driver:
        try:
            address = served.stderr.readline().split()[0]
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 1500})
            page.set_default_timeout(PATIENCE)
            page.goto(address)
            page.get_by_label("Or an example").click()
            page.get_by_role("option", name=EXAMPLE).click()
            page.locator(".dfd img").last.wait_for()
            page.wait_for_timeout(3_000)  # the player draws its wave
            page.get_by_text("processing").first.wait_for(state="hidden")
            drawn = page.screenshot(clip={"x": 0, "y": 0, "width": 1280, "height": 1180})
            Image.open(io.BytesIO(drawn)).quantize(256).save(picture, optimize=True)
            browser.close()
        finally:
            served.terminate()
    print(picture)


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "reports/app.png")
