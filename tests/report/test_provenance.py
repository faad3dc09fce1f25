import shlex
import subprocess
from pathlib import Path

import bs4
import pytest

from dfdlib.experiment import profile
from dfdlib.report import page, provenance


def test_the_command_names_the_file_that_was_given_and_packages_may_lack(toy, monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package",))
    found = provenance.collect(profile.load(toy), inputs={}, overrides=[], profile_name="/some/mine.yaml")
    assert found["command"] == "./run_all.sh --profile /some/mine.yaml"
    assert found["packages"] == {"no-such-package": "not installed under this name"}


def test_provenance_has_settings_as_given_and_as_used(toy, tmp_path, summary):
    overrides = [f"data.custom={tmp_path}/take #2; <i>", "title=12: a tale", "finetune.epochs=2"]
    found = provenance.collect(profile.load(toy, overrides=overrides), inputs={}, overrides=overrides)
    given = shlex.split(found["command"])
    assert [given[place + 1] for place, part in enumerate(given) if part == "--set"] == overrides
    assert found["changed"] == {
        "data.custom": f"{tmp_path}/take #2; <i>",
        "title": "12: a tale",
        "finetune.epochs": "2",
    }
    assert found["settings"]["finetune"]["epochs"] == 2
    summary["provenance"] |= found
    shown = bs4.BeautifulSoup(page.render(summary, chapters=[], folder=tmp_path), "html.parser").find(id="provenance")
    assert shown.find("th", string="data.custom, as used").parent.td.text.endswith("take #2; <i>")
    assert not shown.i
    assert "epochs: 2" in shown.text


def test_provenance_says_whether_the_checkout_is_clean(summary, monkeypatch, tmp_path):
    assert summary["provenance"]["command"] == "./run_all.sh --profile toy --set seed=2"
    assert summary["provenance"]["packages"]["torch"]
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("DFD_ROOT", str(tmp_path))
    assert provenance._commit() == "unknown (no git checkout)"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    assert len(provenance._commit()) == 40
    (tmp_path / "new").write_text("")
    assert provenance._commit().endswith("with changes not committed")


ROOT = str(profile.root())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{ROOT}/data/demo/a.wav", "data/demo/a.wav"),
        (f'File "{ROOT}/dfdlib/x.py", line 3', 'File "dfdlib/x.py", line 3'),
        (f"in {ROOT}: nothing", "in .: nothing"),
        (f"{ROOT}-old/a.wav", "…/a.wav"),
        ("/some where/my corpus/Real/a b.wav: is empty", "…/my corpus/Real/a b.wav: is empty"),
        ("['/some where/my corpus']", "['…/my corpus']"),
        (str(Path.home() / "x/y.yaml"), "~/x/y.yaml"),
        ("/usr/lib/python3/x.py", "…/x.py"),
        ("open file:///usr/lib/x", "open file:///usr/lib/x"),
        (
            "https://example.org/usr/lib/x and 1/2/3 or and/or, /dev",
            "https://example.org/usr/lib/x and 1/2/3 or and/or, /dev",
        ),
    ],
)
def test_places_of_this_machine_become_relative_or_short(text, expected):
    hide = provenance.hider(Path("/some where/my corpus"))
    assert hide(text) == expected
    assert hide(expected) == expected


def test_a_page_is_searched_where_people_read():
    hide = provenance.hider(Path("/a&b/<c>"))
    page = (
        '<style>/a/b/c {}</style><p title="/x/y/z">in /a&amp;b/&lt;c&gt;/d &lt;</p>'
        '<img alt="of /x/y/z" src="data:/x/y/z">'
        "<script>if (1 < 2 || /x/y/z) {}</script>"
    )
    assert provenance.hide_in(page, hide) == (
        '<style>/a/b/c {}</style><p title="…/z">in …/&lt;c&gt;/d &lt;</p><img alt="of …/z" src="data:/x/y/z">'
        "<script>if (1 < 2 || /x/y/z) {}</script>"
    )
