import errno
import os
import stat

import pytest

from dfdlib import files
from dfdlib.errors import RunError


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert files.sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_atomic_makes_the_folder_and_a_readable_file(tmp_path):
    with files.atomic(tmp_path / "new" / "file.txt") as file:
        file.write("bona fide\n")
    assert (tmp_path / "new" / "file.txt").read_bytes() == b"bona fide\n"
    assert stat.S_IMODE((tmp_path / "new" / "file.txt").stat().st_mode) & stat.S_IRUSR


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
