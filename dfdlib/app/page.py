"""The page: one clip, many files, and what the detector is; on this machine alone."""

import contextlib
import functools
import os
import re
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dfdlib.app.rules import BONAFIDE, CHANNELS, LARGEST, SPOOF
from dfdlib.errors import DataError, DfdError, RunError
from dfdlib.text import one_line

# What needs torch or matplotlib is imported where it answers: the page must come at once.
if TYPE_CHECKING:
    from dfdlib.app.assessment import Assessment
    from dfdlib.app.basis import Basis, Known

HOST = "127.0.0.1"
#: How many wait, at most.
WAITING = 32
_HOUR = 3600
_TITLE = "# Real or synthetic speech?\nNothing leaves this machine. A detector may be wrong, and may not know."
_STYLE = """
.dfd { font-size: 1rem; line-height: 1.5; overflow-wrap: anywhere }
.dfd .verdicts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem }
.dfd article { border: 1px solid #8a8f98; border-left-width: 8px; border-radius: 8px; padding: .7rem 1rem }
.dfd article.bonafide { border-left-color: #0072B2 } .dfd article.spoof { border-left-color: #D55E00 }
.dfd h2, .dfd h3 { margin: .6rem 0 .3rem; font-weight: 700 } .dfd h3 { font-size: 1.05rem }
.dfd .outcome { font-size: 1.7rem; font-weight: 700; margin: .2rem 0 } .dfd p { margin: .4rem 0 }
.dfd .said { border-left: 4px solid #8a8f98; padding-left: .7rem }
.dfd ul { list-style: disc; margin: .3rem 0 .3rem 1.3rem }
.dfd figure { margin: .8rem 0; max-width: 50rem } .dfd img { display: block; width: 100%; border-radius: 8px }
.dfd .pan { overflow-x: auto } .dfd .plot { position: relative; min-width: 34rem }
.dfd .plot button { position: absolute; border: 2px solid transparent; cursor: pointer }
.dfd .plot button:hover, .dfd .plot button:focus-visible { border-color: #fff; outline: 3px solid #000 }
.dfd .plot button.marked { border: 3px dashed #fff; outline: 1px dashed #000 }
.dfd .plot button.marked:focus-visible { outline: 3px solid #000 }
.dfd audio { width: 100%; margin-top: .4rem } .dfd table { border-collapse: collapse; width: 100% }
.dfd th, .dfd td { border-bottom: 1px solid #8a8f98; padding: .25rem .5rem; text-align: left; vertical-align: top }
.dfd .scroll { overflow-x: auto } .dfd summary { cursor: pointer; padding: .3rem 0; font-weight: 600 }
"""
_UNCHOSEN = '<p class="dfd">Choose the share above: without it, no probability can be given.</p>'
_LAUNCH = {
    "share": False,
    "ssr_mode": False,
    "pwa": False,
    "mcp_server": False,
    "enable_monitoring": False,
    "run_history": False,
    "footer_links": ["api"],
    "max_file_size": LARGEST,
    # Each takes 100 kB, and whoever asks without a page is a new one.
    "state_session_capacity": 100,
    "show_error": True,
    "quiet": True,
    "prevent_thread_lock": True,
    # Else the page of a busy machine that answers its own question late is taken for none.
    "_frontend": False,
    # Its own grey is too light to read.
    "theme": gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
        body_text_color_subdued="*neutral_600"
    ),
    "css": _STYLE,
    # Else a site that gives itself this address could ask the page.
    "app_kwargs": {"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])]},
}


@contextlib.contextmanager
def served(load: Callable[[], "Known"], *, port: int | None = None) -> Iterator[gr.Blocks]:
    """Serve the page on this machine for the length of the block; then all files of its sessions are removed.

    `load` is called once, in the background. Without a port, the page takes a free one from 7860 on.
    """
    lock, known = threading.Lock(), functools.cache(load)

    def once() -> "Known":
        with lock:
            return known()

    with tempfile.TemporaryDirectory(prefix="dfd-app-") as folder:
        # The page asks itself whether it is there: not by way of another machine.
        direct = ",".join(filter(None, (os.environ.get("no_proxy", os.environ.get("NO_PROXY")), HOST)))
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "no_proxy": direct}
        page = build(once, folder=Path(folder))
        page.queue(max_size=WAITING, default_concurrency_limit=1)
        try:
            page.launch(server_name=HOST, server_port=port, **_LAUNCH)
        except OSError as error:
            raise RunError(f"--port {port}: cannot be served at ({error}); choose another") from error
        threading.Timer(1.0, _load, [once]).start()
        try:
            yield page
        finally:
            page.close(verbose=False)


def build(known: Callable[[], "Known"], *, folder: Path) -> gr.Blocks:
    """Return the page, for what `known` returns in its own time; files of sessions go into a folder."""
    answers = _Answers(known, folder)
    with gr.Blocks(title="dfd: real or synthetic?", analytics_enabled=False, delete_cache=(_HOUR, _HOUR)) as page:
        gr.Markdown(_TITLE)
        with gr.Tab("One clip"):
            example = _one_clip(answers)
        with gr.Tab("Many files"):
            _many_files(answers)
        with gr.Tab("What is this?"):
            about, cards = gr.HTML(), gr.Markdown()
        page.load(answers.names, None, example, api_visibility="private", show_progress="hidden")
        page.load(answers.about, None, [about, cards], api_visibility="private", show_progress="hidden")
        page.unload(answers.forget)
    return page


def _one_clip(answers: "_Answers") -> gr.Dropdown:
    clip = gr.Audio(
        sources=["upload", "microphone"], type="filepath", label="A clip of speech, up to 10 minutes", buttons=[]
    )
    with gr.Row():
        example = gr.Dropdown([], label="Or an example", value=None)
        channel = gr.Radio(
            [(words, name) for name, words in CHANNELS.items()], value="studio", label="Channel that it came through"
        )
    result, found = gr.HTML(), gr.State(())
    share = gr.Slider(0, 99, 0, step=1, label="Share of spoofs where the clip comes from, in % (0: not chosen)")
    chance = gr.HTML(_UNCHOSEN)
    why = gr.Button("Which parts does the score rest on? (takes a while)")
    parts = gr.HTML()
    private = {"api_visibility": "private"}
    asked = {
        "fn": answers.clip,
        "inputs": [clip, channel, share],
        "outputs": [result, found, chance, parts],
        "concurrency_id": "clip",
        "trigger_mode": "always_last",
    } | private
    # Not on every change of the player: it changes again when it has drawn a clip.
    gr.on([clip.input, channel.change], **asked)
    example.input(answers.example, example, clip, **private).then(**asked)
    why.click(answers.why, [clip, channel], parts, concurrency_id="files", **private)
    share.change(answers.chance, [found, share], chance, show_progress="hidden", **private)
    # What programs ask: see docs/app.md.
    said = gr.JSON(visible=False)
    gr.Button(visible=False).click(answers.plain, [clip, channel], said, api_name="assess", concurrency_id="clip")
    return example


def _many_files(answers: "_Answers") -> None:
    files = gr.File(file_count="multiple", label="Sound files")
    with gr.Row():
        folder = gr.UploadButton("Choose a folder", file_count="directory")
        channel = gr.Radio(
            [(words, name) for name, words in CHANNELS.items()], value="studio", label="Channel that they came through"
        )
    given, warnings = gr.State([]), gr.HTML()
    title = "Scores; higher means bona fide. The menu ⋮ of a heading sorts."
    table = gr.Dataframe(interactive=False, label=title, wrap=True, visible=False)
    written, gone = gr.File(label="The table as CSV, with the ranges", interactive=False, visible=False), gr.HTML()
    private = {"api_visibility": "private"}
    for source in (files, folder):
        source.upload(lambda paths: paths, source, given, **private)
    asked = {"inputs": [given, channel], "outputs": [warnings, table, written, gone], "concurrency_id": "files"}
    gr.on([given.change, channel.change], answers.files, **asked, **private)


class _Answers:
    """What the page asks: functions of its events. Files that a session gave are removed when its tab is closed."""

    def __init__(self, known: Callable[[], "Known"], folder: Path) -> None:
        self._known, self._folder = known, folder
        self._given: dict[str, set[str]] = defaultdict(set)

    def names(self) -> dict:
        examples = self._known().examples
        return gr.Dropdown(choices=[(name if name == BONAFIDE else f"{SPOOF}: {name}", name) for name in examples])

    def example(self, name: str | None) -> str | None:
        path = self._known().examples.get(name)
        return path and shutil.copy(path, self._place(Path(path).name))

    def clip(self, path: str | None, channel: str, share: float, request: gr.Request) -> tuple:
        if path is None:
            return "", (), self.chance((), share), ""
        from dfdlib.app import sections
        from dfdlib.data import audio

        self._given[request.session_hash].add(path)
        try:
            found = self._assess(path, channel)
            wave = audio.load(path, rate=audio.RATE)
        except DfdError as error:
            return sections.refusal(Path(path).name, _reason(error)), (), self.chance((), share), ""
        assessed = tuple(one for one, _ in found)
        return sections.clip(found, wave), assessed, self.chance(assessed, share), ""

    def plain(self, path: str | None, channel: str = "studio") -> dict:
        """Return what `dfd app --json` prints, or why there is nothing."""
        try:
            return {"assessments": [one.to_dict() for one, _ in self._assess(path, channel)]}
        except DfdError as error:
            return {"error": f"{one_line(Path(path or '').name)}: {_reason(error)}"}

    def why(self, path: str | None, channel: str) -> str:
        if path is None:
            return self.chance((), 1)
        from dfdlib.app import assessment, sections
        from dfdlib.data import audio

        try:
            assessment.check(path)
            bases = self._known().bases
            waves = [audio.load(path, rate=basis.preprocessing.rate) for basis in bases]
            drawn = [sections.occlusion(*one, channel=channel) for one in zip(waves, bases, strict=True)]
        except DfdError as error:
            return sections.refusal(Path(path).name, _reason(error))
        return "".join(drawn)

    def chance(self, found: "tuple[Assessment, ...]", share: float) -> str:
        from dfdlib.app import sections

        return sections.probabilities(found, share / 100) if share else _UNCHOSEN

    def files(self, paths: list[str], channel: str, request: gr.Request, progress=gr.Progress()) -> tuple:  # noqa: B008
        from dfdlib.app import many, sections

        self._given[request.session_hash].update(paths)
        paths = sorted(paths, key=lambda path: Path(path).name)
        told = many.many(paths, self._known(), channel=channel, progress=lambda *counts: progress(counts))
        written = self._place("scores.csv") if len(told.table) else None
        if written:
            told.table.to_csv(written, index=False)
            self._given[request.session_hash].add(written)
        # A page is too narrow for all columns.
        shown = told.table[[name for name in told.table if not name.startswith(("LLR low", "LLR high"))]].round(2)
        table = gr.Dataframe(shown, visible=written is not None)
        file = gr.File(written, visible=written is not None)
        return sections.warned(told.warnings), table, file, sections.left_out(told.left_out)

    def about(self) -> tuple[str, str]:
        from dfdlib.app import sections

        try:
            known = self._known()
        except DfdError as error:
            return sections.refusal("The detector cannot be loaded", _reason(error)), ""
        # Headings below the page's own; what looks like an address is none.
        cards = "\n\n".join(re.sub("(?m)^#", "##", one.card).replace("@", "&#64;") for one in known.bases)
        return sections.about(known.bases, known.summary), cards

    def forget(self, request: gr.Request) -> None:
        gone = self._given.pop(request.session_hash, set())
        # Equal files of two sessions are one.
        for path in gone.difference(*self._given.values()):
            shutil.rmtree(Path(path).parent, ignore_errors=True)

    def _assess(self, path: str | None, channel: str) -> "list[tuple[Assessment, Basis]]":
        from dfdlib.app import assessment

        if path is None:
            raise DataError("no clip was given", path="request")
        known = self._known()
        found = assessment.assess_by_each(path, known.bases, channel=channel, cache=known.opened())
        return list(zip(found, known.bases, strict=True))

    def _place(self, name: str) -> str:
        return str(Path(tempfile.mkdtemp(dir=self._folder)) / name)


def _load(known: Callable[[], "Known"]) -> None:
    """Load what the first question needs; whoever asks is told what is wrong."""
    with contextlib.suppress(DfdError):
        known()


def _reason(error: DfdError) -> str:
    return error.reason if isinstance(error, DataError) else str(error)
