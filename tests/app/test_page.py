"""The page as it is served: what it answers, to whom, and what it leaves behind."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from makers import tone

from dfdlib.app.basis import Basis, Known
from dfdlib.data import audio
from dfdlib.errors import CheckpointError, RunError

pytest.importorskip("gradio", reason="the extra app is not installed: ./environment.sh --app")

from gradio_client import Client, handle_file

from dfdlib.app import page


@pytest.fixture(scope="module")
def served(basis, tmp_path_factory):
    """The page of a detector and of two examples: its address."""
    folder = tmp_path_factory.mktemp("examples")
    for name, level in (("real", 0.004), ("fake", 0.06)):
        audio.write_wav(folder / f"{name}.wav", tone(level=level), rate=16_000)
    examples = {"bona fide": str(folder / "real.wav"), "tts": str(folder / "fake.wav")}
    with page.served(lambda: Known([basis], examples)) as running:
        yield running.local_url


@pytest.fixture(scope="module")
def client(served):
    return Client(served, verbose=False)


def asked(client, path, channel="studio"):
    return client.predict(handle_file(str(path)), channel, api_name="/assess")


@pytest.fixture
def clip(tmp_path):
    audio.write_wav(tmp_path / "clip.wav", tone(level=0.004), rate=16_000)
    return tmp_path / "clip.wav"


def status(request):
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_api_says_what_the_function_says(client, clip, basis):
    from dfdlib.app import assess

    (said,) = asked(client, clip)["assessments"]
    assert said == json.loads(json.dumps(assess(clip, basis).to_dict()))
    assert asked(client, clip, "phone")["assessments"][0]["outcome"] == "cannot tell"


@pytest.mark.slow
@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_examples_of_the_documentation(language, served, clip):
    if language == "sh" and not shutil.which("curl"):
        pytest.skip("there is no curl")
    shutil.copy(clip, clip.with_name("talk.wav"))
    text = (Path(__file__).parents[2] / "docs/app.md").read_text("utf-8").partition("## From a program")[2]
    (code,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    code = code.replace("http://127.0.0.1:7860", served.rstrip("/"))
    command = [sys.executable, "-c", code] if language == "python" else ["sh", "-c", code]
    done = subprocess.run(command, cwd=clip.parent, capture_output=True, text=True, timeout=120)
    if language == "sh":
        assert "event: complete\n" in done.stdout
        (said,) = json.loads(done.stdout.rpartition("data: ")[2])
        assert [one["outcome"] for one in said["assessments"]] == ["bona fide"]
    else:
        assert done.stdout.splitlines()[-1] == "bona fide"


def test_there_is_one_public_name(client):
    assert list(client.view_api(print_info=False, return_format="dict")["named_endpoints"]) == ["/assess"]


def test_what_is_no_sound_is_one_line(client, tmp_path):
    (tmp_path / "<b>notes.wav").write_text("no sound")
    said = asked(client, tmp_path / "<b>notes.wav")["error"]
    assert "cannot be decoded as audio" in said
    assert str(os.environ["GRADIO_TEMP_DIR"]) not in said


def test_files_of_the_machine_are_not_served(served, clip):
    for path in (clip, Path(__file__), "/etc/passwd", "../../../../etc/passwd"):
        assert status(f"{served}gradio_api/file={path}") in (403, 404)


def test_a_path_of_the_machine_is_no_upload(served, clip):
    body = json.dumps({"data": [{"path": str(clip), "meta": {"_type": "gradio.FileData"}}, "studio"]}).encode()
    request = urllib.request.Request(
        f"{served}gradio_api/call/assess", body, headers={"Content-Type": "application/json"}
    )
    event = json.load(urllib.request.urlopen(request))["event_id"]
    said = urllib.request.urlopen(f"{served}gradio_api/call/assess/{event}").read().decode()
    assert "event: error" in said
    assert "assessments" not in said


def test_other_names_of_the_host_are_refused(served):
    assert status(served) == 200
    assert status(urllib.request.Request(served, headers={"Host": "evil.example"})) == 400


def test_ten_users_at_once(served, clip):
    clients = [Client(served, verbose=False) for _ in range(10)]
    found = []
    threads = [threading.Thread(target=lambda one=one: found.append(asked(one, clip))) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 10
    assert all(one == found[0] and "assessments" in one for one in found)


def test_who_goes_away_takes_nobody_along(client, clip):
    job = client.submit(handle_file(str(clip)), "studio", api_name="/assess")
    job.cancel()
    assert "assessments" in asked(client, clip)


def test_sessions_that_are_over_do_not_fill_the_memory():
    with page.served(lambda: Known([])) as running:
        sessions = running.app.state_holder
        for number in range(300):
            sessions[f"session {number}"]
        assert list(sessions.session_data)[-1] == "session 299"
        assert len(sessions.session_data) <= 100


def test_a_session_leaves_no_file(basis, clip):
    with page.served(lambda: Known([basis])) as running:
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        asked(Client(running.local_url, verbose=False), clip)
        assert list(folder.rglob("clip.wav"))
    assert not folder.exists()


def test_files_go_with_the_last_session_that_gave_them(tmp_path):
    answers = page._Answers(lambda: Known([]), tmp_path)
    upload = tmp_path / "hash/clip.wav"
    upload.parent.mkdir()
    upload.touch()

    class Request:
        def __init__(self, name):
            self.session_hash = name

    for name in ("one", "two"):
        answers._given[name].add(str(upload))
    answers.forget(Request("one"))
    assert upload.exists()
    answers.forget(Request("two"))
    assert not upload.exists()


def test_a_card_has_no_heading_above_the_pages_own_and_no_address(basis, tmp_path):
    carded = Basis("carded", basis.scorer, basis.preprocessing, card="# mini\n\nrecipe: codec@0.2\n\n## Data")
    _, card = page._Answers(lambda: Known([carded]), tmp_path).about()
    assert card == "## mini\n\nrecipe: codec&#64;0.2\n\n### Data"


def test_a_detector_that_cannot_be_loaded_is_said_on_the_page(tmp_path):
    def load():
        raise CheckpointError("weights.safetensors: is damaged; copy it again")

    answers = page._Answers(load, tmp_path)
    assert "weights.safetensors: is damaged" in answers.about()[0]
    assert "is damaged" in answers.plain("clip.wav")["error"]


def test_a_proxy_is_not_asked_for_a_page_of_this_machine(monkeypatch):
    for name, value in {"http_proxy": "http://127.0.0.1:9", "no_proxy": "somewhere.example"}.items():
        monkeypatch.setenv(name, value)
    with page.served(lambda: Known([])) as running:
        assert status(running.local_url) == 200
        assert os.environ["no_proxy"].startswith("somewhere.example,")


def test_a_port_that_is_taken_is_one_line(served):
    with (
        pytest.raises(RunError, match="cannot be served at"),
        page.served(lambda: Known([]), port=int(served.rstrip("/").rpartition(":")[2])),
    ):
        pass
