"""The page in the system's browser; skipped, with the reason, where there is none."""

import numpy as np
import pandas as pd
import pytest
from makers import tone

from dfdlib.app.basis import Basis, Known
from dfdlib.data import audio

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pages = pytest.importorskip("dfdlib.app.page", reason="the extra app is not installed: ./environment.sh --app")

pytestmark = pytest.mark.slow

#: What a person waits for at most, in milliseconds; machines that test much at a time are slow.
PATIENCE = 120_000
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def browser(chromium):
    with playwright.sync_playwright() as running:
        # The microphone is one that beeps.
        devices = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--mute-audio", *devices])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def clips_of(tmp_path_factory):
    """Sound files: a tone that passes for bona fide, a long one with a loud passage, and what is no sound."""
    folder = tmp_path_factory.mktemp("clips")
    audio.write_wav(folder / "real.wav", tone(4.0, level=0.004), rate=16_000)
    audio.write_wav(folder / "fake.wav", tone(4.0, level=0.06), rate=16_000)
    wave = np.concatenate([tone(8.0, level=0.004), tone(5.0, level=0.06), tone(10.0, level=0.004)])
    audio.write_wav(folder / "long.wav", wave, rate=16_000)
    (folder / "<img src=x onerror=alert(1)>.wav").write_text("no sound")
    return folder


@pytest.fixture(scope="module")
def served(basis, clips_of):
    bare = Basis("bare", basis.scorer, basis.preprocessing, demonstration=True)
    examples = {"bona fide": str(clips_of / "real.wav"), "tts": str(clips_of / "fake.wav")}
    with pages.served(lambda: Known([basis, bare], examples)) as running:
        yield running.local_url


@pytest.fixture
def page(browser, served, request):
    """The page, in a window of its own, and all that it asked for and said."""
    options = {"viewport": {"width": 1280, "height": 900}} | getattr(request, "param", {})
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.asked, page.faults = [], []
    page.on("request", lambda one: page.asked.append(one.url))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("dialog", lambda dialog: page.faults.append(dialog.message))
    page.goto(served)
    page.get_by_text("Real or synthetic speech?").wait_for()
    yield page
    context.close()


def give(page, path):
    page.locator("input[type=file]").first.set_input_files(path)


def test_a_clip_is_answered_and_nothing_is_fetched_from_elsewhere(page, served, clips_of):
    give(page, clips_of / "real.wav")
    page.locator(".outcome").first.wait_for()
    assert page.locator(".outcome").all_inner_texts() == ["Bona fide", "Cannot tell"]
    assert page.get_by_text("The clip is one window").is_visible()
    elsewhere = [url for url in page.asked if not url.startswith((served, "data:", "blob:"))]
    assert elsewhere == []
    assert page.faults == []


def test_the_channel_and_the_share_change_the_answer(page, clips_of):
    give(page, clips_of / "real.wav")
    page.locator(".outcome").first.wait_for()
    assert page.get_by_text("Choose the share above").is_visible()
    page.get_by_label("telephone, 8 kHz").check()
    page.get_by_text("No calibration was measured for this detector on phone clips").first.wait_for()
    page.get_by_label("as recorded").check()
    page.get_by_text("Bona fide", exact=True).wait_for()
    slider = page.locator("input[type=range]")
    slider.focus()
    slider.press("End")
    page.get_by_text("of clips are spoofed").wait_for()
    assert page.get_by_text("not known without a calibration").is_visible()


def test_the_marked_passage_is_played(page, clips_of):
    give(page, clips_of / "long.wav")
    marked = page.locator(".plot button.marked")
    marked.wait_for()
    start = float(marked.get_attribute("aria-label").split()[1])
    assert 7 < start < 11
    marked.click()
    now = "document.querySelector('.dfd audio').currentTime"
    page.wait_for_function(f"{now} >= {start} && {now} < {start + 5}")
    page.locator(".plot button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"{now} < 5")


def test_the_parts_that_the_score_rests_on(page, clips_of):
    give(page, clips_of / "fake.wav")
    page.locator(".outcome").first.wait_for()
    page.get_by_role("button", name="Which parts does the score rest on?").click()
    page.get_by_text("the parts that seem to matter costs the decision").first.wait_for()
    assert page.faults == []


def test_many_files(page, clips_of):
    page.get_by_role("tab", name="Many files").click()
    page.locator("input[type=file][multiple]:not([webkitdirectory])").set_input_files(sorted(clips_of.iterdir()))
    page.get_by_text("cannot be decoded as audio").wait_for()
    for name in ("real.wav", "fake.wav", "long.wav"):
        page.locator(f"span:text('{name}'):visible").first.wait_for()
    with page.expect_download() as saved:
        page.locator("a[download='scores.csv']:visible").first.click()
    assert len(pd.read_csv(saved.value.path())) == 3
    assert page.faults == []


def test_a_folder_by_another_channel_and_sorted(page, clips_of):
    page.get_by_role("tab", name="Many files").click()
    heading = page.locator("th:visible", has_text="score, loudness")
    assert heading.count() == 0
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(clips_of)
    cells = page.locator("[role=gridcell]:visible")
    names = cells.filter(has_text=".wav")
    names.nth(2).wait_for()
    assert [name.strip() for name in names.all_inner_texts()] == ["fake.wav", "long.wav", "real.wav"]
    heading.hover()
    heading.get_by_label("Open cell menu").click()
    page.get_by_role("menuitem", name="Sort descending").click()
    names.first.filter(has_text="real.wav").wait_for()
    unsure = cells.filter(has_text="cannot tell")
    assert unsure.count() < 6
    page.locator("[role=tabpanel]:visible").get_by_label("telephone, 8 kHz").check()
    unsure.nth(5).wait_for()


def test_what_a_microphone_hears(page):
    page.get_by_label("Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop", exact=True).first.click()
    page.locator(".outcome").first.wait_for()
    assert page.locator(".dfd h2").first.inner_text() == "audio.wav"
    assert page.faults == []


def test_who_closes_the_page_in_the_middle_takes_nobody_along(page, browser, served, clips_of):
    gone = browser.new_page()
    gone.goto(served)
    with gone.expect_request(lambda asked: "/queue/join" in asked.url and "long.wav" in (asked.post_data or "")):
        give(gone, clips_of / "long.wav")
    gone.close()
    give(page, clips_of / "real.wav")
    page.get_by_role("heading", name="real.wav").wait_for()
    assert page.locator(".outcome").first.inner_text() == "Bona fide"


def test_an_example_by_keyboard(page):
    box = page.get_by_label("Or an example")
    box.focus()
    box.press("ArrowDown")
    page.get_by_role("option", name="tts").wait_for()
    box.press("ArrowDown")
    box.press("Enter")
    page.locator(".outcome").first.wait_for()
    assert "fake.wav" in page.locator(".dfd h2").first.inner_text() or "real.wav" in page.inner_text("body")


def test_a_hostile_name_is_text(page, clips_of):
    give(page, clips_of / "<img src=x onerror=alert(1)>.wav")
    page.locator("[role=alert]").wait_for()
    assert "cannot be decoded as audio" in page.locator("[role=alert]").inner_text()
    assert page.faults == []


VIEWS = {
    "wide": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
    "phone, dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


@pytest.mark.parametrize("page", VIEWS.values(), ids=VIEWS, indirect=True)
def test_no_violation_of_levels_a_and_aa_of_our_making(page, axe, clips_of):
    give(page, clips_of / "long.wav")
    page.locator(".outcome").first.wait_for()
    page.locator(".dfd summary").click()
    page.evaluate(axe)
    assert len(violations(page)["passes"]) > 10
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("tab", name="Many files").click()
    page.locator("input[type=file][webkitdirectory]").set_input_files(clips_of)
    page.get_by_role("heading", name="Left out").wait_for()
    violations(page)
    page.get_by_role("tab", name="What is this?").click()
    page.get_by_role("heading", name="Limits").wait_for()
    violations(page)


def violations(page):
    """Return what axe finds, if that is nothing against us: what Gradio draws is its own."""
    # While an answer comes, it is pale.
    page.wait_for_function(
        """[...document.querySelectorAll('.dfd')].every(one => {
            for (let part = one; part; part = part.parentElement)
                if (getComputedStyle(part).opacity < 1) return false;
            return true;
        })"""
    )
    found = page.evaluate("tags => axe.run({include: ['.dfd']}, {runOnly: {type: 'tag', values: tags}})", TAGS)
    told = [(one["id"], node["html"][:200]) for one in found["violations"] for node in one["nodes"]]
    assert told == []
    return found
