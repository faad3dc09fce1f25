"""Downloads, against servers on this machine that behave as servers do on bad days."""

import hashlib
import io
import itertools
import json
import os
import socket
import stat
import sys
import tarfile
import threading
import types
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dfdlib.data import archives, corpora, fetch
from dfdlib.data.fetch import File
from dfdlib.errors import DataError, RunError

pooch = pytest.importorskip("pooch")

CONTENT = bytes(range(256)) * 2_000
# What is kept where a server breaks off in the middle: whole pieces.
KEPT = len(CONTENT) // 2 // 2**16 * 2**16
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


class Site(BaseHTTPRequestHandler):
    """Serves `files`; what is asked for, and from which byte, is written down."""

    protocol_version = "HTTP/1.1"
    files, breaks, refuses, redirects, asked = {}, {}, {}, {}, []
    ranges = True

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        return body

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, *, body=True):
        path = self.path.partition("?")[0]
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.asked.append((self.command, path, start))
        if path in self.redirects:
            self.answer(302, Location=self.redirects[path])
        elif path in self.refuses:
            status, headers = self.refuses[path]
            self.wfile.write(self.answer(status, **headers))
        elif path not in self.files:
            self.wfile.write(self.answer(404))
        else:
            self.send_content(path, start if self.ranges else 0, body)

    def send_content(self, path, start, body):
        content, headers = self.files[path], {}
        if isinstance(content, tuple):
            content, headers = content
        if start and start >= len(content):
            self.answer(416)
            return
        more = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self.answer(206 if start else 200, content[start:], **(more | headers))
        if not body:
            return
        if self.breaks.get(path, 0) > 0:
            self.breaks[path] -= 1
            half = start + (len(content) - start) // 2
            self.wfile.write(content[start:half])
            self.close_connection = True
            return
        self.wfile.write(content[start:])


@pytest.fixture
def site(monkeypatch):
    """A server, and nothing to wait for between attempts."""
    handler = type("Handler", (Site,), {"files": {}, "breaks": {}, "refuses": {}, "redirects": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(fetch, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(fetch, "ZENODO", handler.url)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield handler
    server.shutdown()
    server.server_close()


def packed(members):
    """Return a zip file with such members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def record(site, number, **members):
    """Put a record of Zenodo there."""
    entries = []
    for name, content in members.items():
        name = name.replace("__", ".")
        site.files[f"/files/{number}/{name}"] = content
        entries.append(
            {
                "key": name,
                "size": len(content),
                "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                "links": {"self": f"{site.url}/files/{number}/{name}"},
            }
        )
    told = {"files": entries, "metadata": {"license": {"id": "odc-by-1.0"}}}
    site.files[f"/api/records/{number}"] = json.dumps(told).encode()


def test_a_file_is_fetched_once_and_checked(site, tmp_path):
    site.files["/a.bin"] = CONTENT
    file = File(f"{site.url}/a.bin", "a.bin", len(CONTENT), MD5)
    assert fetch.download(file, tmp_path / "to").read_bytes() == CONTENT
    assert fetch.download(file, tmp_path / "to").read_bytes() == CONTENT
    assert site.asked == [("GET", "/a.bin", 0)]
    assert os.listdir(tmp_path / "to") == ["a.bin"]


def test_redirects_are_followed(site, tmp_path):
    site.files["/there"] = CONTENT
    site.redirects["/here"] = "/elsewhere"
    site.redirects["/elsewhere"] = f"{site.url}/there"
    assert fetch.download(File(f"{site.url}/here", "a.bin", digest=MD5), tmp_path).read_bytes() == CONTENT


def test_a_break_in_the_middle_is_gone_on_from(site, tmp_path):
    site.files["/a.bin"] = CONTENT
    site.breaks["/a.bin"] = 3
    said = []
    file = File(f"{site.url}/a.bin", "a.bin", len(CONTENT), MD5)
    assert fetch.download(file, tmp_path, say=said.append).read_bytes() == CONTENT
    starts = [start for _, _, start in site.asked]
    assert starts[0] == 0
    assert all(later > earlier for earlier, later in itertools.pairwise(starts))
    assert len(starts) == 4
    assert said[0] == "a.bin: goes on at 197 kB"


def test_a_server_that_cannot_go_on_begins_anew(site, tmp_path):
    site.ranges = False
    site.files["/a.bin"] = CONTENT
    site.breaks["/a.bin"] = 1
    assert fetch.download(File(f"{site.url}/a.bin", "a.bin", len(CONTENT), MD5), tmp_path).read_bytes() == CONTENT


def test_the_next_command_goes_on_where_one_stopped(site, tmp_path, monkeypatch):
    site.files["/a.bin"] = CONTENT
    site.breaks["/a.bin"] = 1
    file = File(f"{site.url}/a.bin", "a.bin", len(CONTENT), MD5)
    with monkeypatch.context() as patched:
        patched.setattr(fetch, "WAITS", ())
        with pytest.raises(
            RunError, match=r"broke off at 197 kB of 512 kB \(.*\); check the network, and run the same"
        ):
            fetch.download(file, tmp_path)
    assert (tmp_path / "a.bin.part").stat().st_size == KEPT
    assert fetch.download(file, tmp_path).read_bytes() == CONTENT
    assert site.asked[-1][2] == KEPT
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_part_that_is_whole_or_of_another_file(site, tmp_path):
    site.files["/a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert fetch.download(File(f"{site.url}/a.bin", "a.bin", len(CONTENT), MD5), tmp_path).read_bytes() == CONTENT
    (tmp_path / "b.bin.part").write_bytes(CONTENT + b"more")
    assert fetch.download(File(f"{site.url}/a.bin", "b.bin", len(CONTENT), MD5), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (File("{}/a.bin", "a.bin", None, "md5:" + "0" * 32), r"a\.bin: has other content than published \(md5:0+\)"),
        (File("{}/a.bin", "a.bin", 5, ""), r"a\.bin: has 512,000 bytes where 5 are published, and was removed"),
        (File("{}/secret.bin", "s.bin"), r"secret\.bin: is refused \(403\); sign in or ask for it on its page"),
        (File("{}/gone.bin", "g.bin"), r"gone\.bin: is not there \(404\); it may have moved"),
        (File("{}/busy.bin", "b.bin"), r"busy\.bin: cannot be reached \(the server answers 503\); check the network"),
        (File("{}/a.bin", "../a.bin"), r"'\.\./a\.bin': is no name for a file here"),
    ],
)
def test_what_goes_wrong_is_one_line_and_nothing_is_left(site, tmp_path, file, message):
    site.files["/a.bin"] = CONTENT
    site.refuses |= {"/secret.bin": (403, {}), "/busy.bin": (503, {})}
    folder = tmp_path / "to"
    with pytest.raises(RunError, match=message) as caught:
        fetch.download(file._replace(url=file.url.format(site.url)), folder)
    assert "\n" not in str(caught.value)
    assert not folder.exists() or not os.listdir(folder)


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_no_network(site, tmp_path, host):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RunError, match=r"cannot be reached \([^)<]*\).*; check the network") as caught:
        fetch.download(File(f"http://{host}:{port}/a.bin", "a.bin"), tmp_path)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_a_record_of_zenodo_is_fetched_unpacked_and_not_again(site, tmp_path):
    record(site, 7, clips__zip=packed({"flac/a.flac": b"a", "flac/b.flac": b"b"}), readme__txt=b"words")
    site.files["/keys.bin"] = CONTENT
    source = corpora.Source(zenodo=("7",), urls={f"{site.url}/keys.bin": MD5})
    said = []
    fetch.fetch(source, tmp_path / "to", say=said.append)
    assert sorted(path.name for path in (tmp_path / "to").rglob("*.*")) == [
        ".fetched.json", "a.flac", "b.flac", "keys.bin", "readme.txt"
    ]  # fmt: skip
    assert said[0] == f"{site.url}/records/7: licence odc-by-1.0"
    asked = len(site.asked)
    fetch.fetch(source, tmp_path / "to", say=said.append)
    assert [path for _, path, _ in site.asked[asked:]] == ["/api/records/7"]


@pytest.mark.parametrize(
    ("status", "content", "message"),
    [
        (403, None, r"records/7: is refused \(403\)"),
        (None, b"<html>", "records/7: is no record of Zenodo; check its number"),
        (None, b'{"files": [{"key": "x"}]}', "records/7: is no record with files that are open to all"),
        (None, b'{"metadata": {}}', "records/7: is no record with files that are open to all"),
    ],
)
def test_records_that_are_not_open(site, tmp_path, status, content, message):
    if status:
        site.refuses["/api/records/7"] = (status, {})
    else:
        site.files["/api/records/7"] = content
    with pytest.raises(RunError, match=message):
        fetch.fetch(corpora.Source(zenodo=("7",)), tmp_path, say=print)


def test_what_does_not_fit_is_not_begun(site, tmp_path, monkeypatch):
    record(site, 7, a__bin=CONTENT)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda place: types.SimpleNamespace(free=1_000))
    with pytest.raises(RunError, match="512 kB are to be fetched, 1 kB are free; choose another disk with --to"):
        fetch.fetch(corpora.Source(zenodo=("7",)), tmp_path / "to", say=print)
    assert not (tmp_path / "to").exists()


def tar(path, *members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            archive.addfile(member, io.BytesIO(b""))
    return path


@pytest.mark.parametrize(
    "member",
    [
        ("../out", tarfile.REGTYPE, ""),
        ("/etc/out", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "/etc"),
        ("link", tarfile.SYMTYPE, "../.."),
        ("link", tarfile.SYMTYPE, "good"),
        ("link", tarfile.LNKTYPE, "../out"),
        ("device", tarfile.CHRTYPE, ""),
    ],
)
def test_a_tar_file_writes_and_links_inside_its_folder_only(tmp_path, member):
    path = tar(tmp_path / "a.tar.gz", ("good", tarfile.REGTYPE, ""), member)
    (tmp_path / "to").mkdir()
    with pytest.raises(DataError, match=r"a\.tar\.gz: .*; unpack it yourself if you trust it") as caught:
        archives.unpack(path, tmp_path / "to")
    assert "\n" not in str(caught.value)
    assert set(os.listdir(tmp_path)) == {"a.tar.gz", "to"}
    assert os.listdir(tmp_path / "to") == ["good"]


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "..\\out", "C:/out"])
def test_a_zip_file_writes_inside_its_folder_only(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(packed({"good": b"", name: b"bad"}))
    with pytest.raises(DataError, match="leads outside"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "to")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_links_in_a_zip_file_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(DataError, match="holds a link or a device, 'link'"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "to")


def test_archives_that_are_damaged_and_files_that_are_none(tmp_path):
    (tmp_path / "cut.zip").write_bytes(packed({"a": CONTENT})[-200:])
    with pytest.raises(DataError, match=r"cut\.zip: cannot be unpacked \(.*\); if it is one of several parts, join"):
        archives.unpack(tmp_path / "cut.zip", tmp_path / "to")
    path = tar(tmp_path / "a.tar.gz", ("good", tarfile.REGTYPE, ""))
    assert archives.unpack(path, tmp_path / "to")
    (tmp_path / "words.zip").write_text("no archive")
    assert not archives.unpack(tmp_path / "words.zip", tmp_path / "to")


def hub(site, files):
    """Put a data set of Hugging Face there."""
    sha = "a" * 40
    siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
    told = {"id": "a/b", "sha": sha, "siblings": siblings, "cardData": {"license": "cc-by-4.0"}, "tags": []}
    site.files["/api/datasets/a/b"] = site.files[f"/api/datasets/a/b/revision/{sha}"] = json.dumps(told).encode()
    tree = [
        {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        for name, content in files.items()
    ]
    site.files[f"/api/datasets/a/b/tree/{sha}"] = (json.dumps(tree).encode(), {"Content_Type": "application/json"})
    for name, content in files.items():
        path = f"/datasets/a/b/resolve/{sha}/{name}"
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": sha}
        site.files[path] = (content, headers)


def test_a_data_set_of_hugging_face(site, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fetch, "HUGGINGFACE", site.url)
    hub(site, {"meta.csv": b"file,label\n", "clips.zip": packed({"0.wav": b"sound"}), "notes.md": b"-"})
    said = []
    fetch.fetch(corpora.Source(huggingface="a/b", only="[mc]*"), tmp_path / "to", say=said.append)
    assert {path.name for path in (tmp_path / "to").rglob("*") if ".cache" not in path.parts} >= {"meta.csv", "0.wav"}
    assert not (tmp_path / "to/notes.md").exists()
    assert said[0] == "https://huggingface.co/datasets/a/b: licence cc-by-4.0"
    asked = len(site.asked)
    fetch.fetch(corpora.Source(huggingface="a/b", only="[mc]*"), tmp_path / "to", say=said.append)
    assert len(site.asked) == asked, "what is there is not asked for again"


def test_data_sets_of_hugging_face_that_are_not_for_all(site, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fetch, "HUGGINGFACE", site.url)
    for status, code, message in (
        (404, "RepoNotFound", "datasets/a/b: is not there, or not for everybody; sign in with"),
        (403, "GatedRepo", "datasets/a/b: is given on agreement; agree to its terms there, then sign in with"),
    ):
        site.refuses["/api/datasets/a/b"] = (status, {"X_Error_Code": code})
        with pytest.raises(RunError, match=message) as caught:
            fetch.huggingface("a/b", tmp_path / "to", say=print)
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(fetch, "HUGGINGFACE", "http://127.0.0.1:9")
    with pytest.raises(RunError, match=r"datasets/a/b: cannot be fetched \(.*\); run the same") as caught:
        fetch.huggingface("a/b", tmp_path / "to", say=print)
    assert "\n" not in str(caught.value)


class Refused(Exception):
    response = types.SimpleNamespace(status_code=403)


def test_a_data_set_of_kaggle(tmp_path, monkeypatch):
    asked = []

    def download(handle, *, output_dir):
        asked.append(handle)
        with open(os.path.join(output_dir, "all.zip"), "wb") as file:
            file.write(packed({"for-2sec/a.wav": b"sound"}))

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=download))
    for _ in range(2):
        fetch.fetch(corpora.Source(kaggle="x/y"), tmp_path / "to", say=print)
        assert (tmp_path / "to/for-2sec/a.wav").read_bytes() == b"sound"
    assert asked == ["x/y"]

    def refused(handle, *, output_dir):
        raise Refused("403 Client Error")

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=refused))
    with pytest.raises(RunError, match=r"Kaggle gives it to signed-in users only \(403\); put a token where"):
        fetch.kaggle("x/y", tmp_path / "to", say=print)


def test_the_installed_kagglehub_takes_what_is_asked_of_it():
    import inspect

    hub = pytest.importorskip("kagglehub")
    assert {"handle", "output_dir"} <= set(inspect.signature(hub.dataset_download).parameters)


def test_a_package_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(RunError, match="kagglehub is not installed; run: pip install kagglehub"):
        fetch.kaggle("x/y", tmp_path, say=print)
