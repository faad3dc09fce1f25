import errno
import json
import math
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dfdlib import files
from dfdlib.errors import ParameterError, RunError


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert files.sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_atomic_makes_the_folder_and_a_readable_file(tmp_path):
    with files.atomic(tmp_path / "new" / "file.txt") as file:
        file.write("bona fide\n")
    assert (tmp_path / "new" / "file.txt").read_bytes() == b"bona fide\n"
    assert stat.S_IMODE((tmp_path / "new" / "file.txt").stat().st_mode) & stat.S_IRUSR


def test_a_file_is_for_everyone_the_umask_allows(tmp_path):
    code = (
        "import os, sys; os.umask(0o027); from dfdlib import files\n"
        "def refuse(mask): raise AssertionError('other threads make files meanwhile')\n"
        "os.umask = refuse\n"
        "with files.atomic(sys.argv[1]) as file: file.write('x')"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "file.txt"], check=True)
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o640


def test_atomic_keeps_the_old_file_when_the_block_fails(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half():
        with files.atomic(path) as file:
            file.write("half of the new")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_a_full_disk_is_one_line_with_the_file_and_the_remedy(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(RunError, match=r"file\.txt: cannot be written .*free some space"),
        files.atomic(tmp_path / "file.txt") as file,
    ):
        file.write("x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "occupied").write_text("")
    with pytest.raises(RunError, match="cannot be written"), files.atomic(tmp_path / "occupied" / "file.txt"):
        pass


def write(path, text="written\n", mode="w"):
    with files.atomic(path, mode) as file:
        file.write(text)


def test_the_target_of_a_link_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "target.csv").write_text("old")
    for name, target in (("link.csv", "target.csv"), ("dangling.csv", "new folder/new.csv")):
        (tmp_path / name).symlink_to(target)
        write(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / target).read_text() == "written\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling.csv", "link.csv", "new folder", "target.csv"]


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_pipe_gets_what_is_written_and_stays_a_pipe(tmp_path, mode):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    write(tmp_path / "pipe", "bona fide\n" if mode == "w" else b"bona fide\n", mode)
    reader.join(timeout=10)
    assert read == ["bona fide\n"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_standard_output_is_written_wherever_it_goes(tmp_path):
    code = (
        "import sys; from dfdlib import files; print('first')\nwith files.atomic('/dev/stdout') as f: f.write('é\\n')"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == "first\né\n".encode()
    with open(tmp_path / "log", "wb") as log:  # a file that only its owner's descriptor may continue
        log.write(b"before\n")
        log.flush()
        subprocess.run(command, stdout=log, check=True)
    assert (tmp_path / "log").read_text("utf-8") == "before\nfirst\né\n"


def test_devices_stay_devices():
    write(os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(RunError, match=r"/dev/full: cannot be written .No space left"):
        write("/dev/full")


def test_a_name_may_be_as_long_as_names_can_be(tmp_path):
    write(tmp_path / ("x" * 251 + ".csv"))
    with pytest.raises(RunError, match="name too long"):
        write(tmp_path / ("x" * 252 + ".csv"))


def test_what_goes_wrong_inside_is_not_taken_for_the_file(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic(tmp_path / "file.txt"):
        (tmp_path / "missing").read_text()
    assert list(tmp_path.iterdir()) == []


def out(path, option="--out", **options):
    return files.Output(option=option, path=Path(path), **{"suffixes": (".csv", ".parquet")} | options)


@pytest.fixture
def places(tmp_path):
    """A folder with a clip, a table, another folder, and links to them."""
    (tmp_path / "clip.wav").write_bytes(b"sound")
    (tmp_path / "table.csv").write_text("table")
    (tmp_path / "folder.csv").mkdir()
    for link, target in (("to-clip.csv", "clip.wav"), ("to-table.csv", "table.csv"), ("circle.csv", "circle.csv")):
        (tmp_path / link).symlink_to(tmp_path / target)
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "table.csv")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("scores.xlsx", {}, ParameterError, "--out .*scores.xlsx: the name must end with .csv or .parquet"),
        ("scores", {}, ParameterError, "must end with"),
        ("scores.csv.gz", {}, ParameterError, "must end with"),
        ("to-clip.csv", {}, ParameterError, "which leads to .*clip.wav: the name must end with"),
        ("folder.csv", {}, ParameterError, "is a folder; name a file in it"),
        ("table.csv", {"folder": True}, ParameterError, "is a file; name a folder"),
        ("table.csv", {}, ParameterError, "is read by this command"),
        ("folder.csv/../table.csv", {}, ParameterError, "is read by this command"),
        ("to-table.csv", {}, ParameterError, "is read by this command"),
        ("hard.csv", {}, ParameterError, "is read by this command"),
        ("folder.csv/run", {"folder": True, "suffixes": ()}, ParameterError, "is read by this command"),
        ("pipe", {"reread": True}, ParameterError, "must be a file"),
        ("clip.wav/scores.csv", {}, RunError, "cannot be written .Not a directory"),
        ("clip.wav/new/scores.csv", {}, RunError, "cannot be written .Not a directory"),
        ("x" * 252 + ".csv", {}, RunError, "name too long"),
        ("new/" + "x" * 300 + "/scores.csv", {}, RunError, "name too long"),
        ("circle.csv", {}, RunError, "cannot be written"),
    ],
)
def test_an_output_that_could_not_be_written_or_would_destroy_something(places, name, options, error, message):
    before = {path: path.lstat() for path in places.rglob("*")}
    with pytest.raises(error, match=message):
        files.check_outputs(
            [out(places / name, **options)], inputs=[places / "table.csv", places / "folder.csv", places / "none.csv"]
        )
    assert {path: path.lstat().st_mtime for path in places.rglob("*")} == {
        path: status.st_mtime for path, status in before.items()
    }


def test_outputs_must_differ_from_each_other(places):
    pairs = [
        ("new.csv", "folder.csv/../new.csv"), ("table.csv", "to-table.csv"), ("new.csv", "new.csv/more.csv"),
        ("pipe", "pipe"),
    ]  # fmt: skip
    for first, second in pairs:
        with pytest.raises(ParameterError, match=r"--windows .*: is --out as well"):
            files.check_outputs([out(places / first), out(places / second, "--windows")])
    files.check_outputs([out(os.devnull), out(os.devnull, "--windows")])


def test_a_folder_that_holds_what_is_read_is_no_place_for_a_run(places):
    (places / "runs").mkdir()
    (places / "link").symlink_to(places / "folder.csv")
    run = out(places / "folder.csv", "--folder", folder=True, suffixes=())
    for name in ("folder.csv/weights", "folder.csv/../folder.csv/deep/weights", "link/weights"):
        with pytest.raises(ParameterError, match=r"--folder .*folder.csv: holds .*weights, which is read"):
            files.check_outputs([run], inputs=[places / "clip.wav", places / name])
    files.check_outputs([run], inputs=[places / "clip.wav", places / "runs", places / "folder.csv.more"])


def test_what_lies_beside_an_output_is_written_again_with_it_alone(places):
    beside = out(places / "table.csv", "beside --explain,", beside=places / "table.png")
    with pytest.raises(ParameterError, match=r"table.csv: is there without .*table.png, and would be lost"):
        files.check_outputs([beside])
    (places / "table.png").touch()
    files.check_outputs([beside])


def test_outputs_that_are_well_leave_no_trace(places):
    before = sorted(places.rglob("*"))
    names = ["new.csv", "NEW.CSV", "table.csv", "to-table.csv", "new folder/new.parquet", "pipe", "x" * 251 + ".csv"]
    for name in names:
        files.check_outputs([out(places / name)], inputs=[places, places / "clip.wav"])
    files.check_outputs([out(places / "run", folder=True, suffixes=()), out("/dev/stdout"), out("/dev/full")])
    assert sorted(places.rglob("*")) == before


def test_json_has_no_number_that_is_not_finite(tmp_path):
    value = {"a": np.float64("nan"), 2: (math.inf, np.arange(2)), "c": {"d": [-math.inf, True, None, "NaN"]}}
    files.write_json(tmp_path / "some/value.json", value)
    found = json.loads((tmp_path / "some/value.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert found == {"a": None, "2": [None, [0, 1]], "c": {"d": [None, True, None, "NaN"]}}
    with pytest.raises(TypeError):
        files.to_json({"a": object()})
