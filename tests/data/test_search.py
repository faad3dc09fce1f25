import errno
import io
import os
import socket
from collections import Counter

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from makers import tone

from dfdlib.data import corpus, listing, search
from dfdlib.errors import DataError


def found(*places):
    """Return the corpus, and from where its clips lie below the first place to their labels, and to reasons."""
    clips = corpus.find(places)
    labels, reasons = (
        {os.path.relpath(path, places[0]): value for path, value in table.to_numpy()}
        for table in (clips.table[["path", "label"]], clips.left_out)
    )
    return clips, labels, reasons


def wav():
    """Return the bytes of a small wav file."""
    file = io.BytesIO()
    soundfile.write(file, tone(0.02), 16_000, format="WAV")
    return file.getvalue()


SOUND = wav()


def test_linked_class_folders_are_followed_and_circles_end(clips, tmp_path):
    base = tmp_path / "base"
    (base / "Fake").mkdir(parents=True)
    for number in range(4):
        (clips / f"Fake/fake{number}.wav").rename(base / f"Fake/fake{number}.wav")
    (base / "Real").symlink_to("../Real")
    (base / "Fake/up").symlink_to("..")
    (base / "itself").symlink_to("itself")
    (base / "root").symlink_to(base)
    _, labels, reasons = found(base)
    assert labels == {f"Real/real{n}.wav": 1 for n in range(4)} | {f"Fake/fake{n}.wav": 0 for n in range(4)}
    assert reasons == {"itself": "is a link to nothing that can be read; remove it"}


def test_folders_full_of_links_to_each_other_come_to_an_end(tmp_path):
    for one in range(12):
        (tmp_path / str(one)).mkdir()
        (tmp_path / str(one) / "clip.wav").write_bytes(SOUND)
        for other in range(12):
            (tmp_path / str(one) / f"to{other}").symlink_to(f"../{other}")
    assert sorted(found(tmp_path)[1]) == sorted(f"{one}/clip.wav" for one in range(12))


def test_a_clip_that_several_paths_lead_to_is_one(clips, monkeypatch):
    (clips / "again.wav").symlink_to("Real/real0.wav")
    (clips / "all").symlink_to("Fake")
    expected = found(clips)[1]
    assert len(expected) == 8
    monkeypatch.chdir(clips)
    for places in ([clips, clips / "Real/../../" / clips.name], [clips, "Real", "again.wav"], ["again.wav", clips]):
        again = corpus.find(places)
        assert sorted(again.table["path"].map(os.path.realpath)) == sorted(str(clips / path) for path in expected)
        assert again.table["label"].notna().all()
    # what lies behind a step back tells nothing
    assert corpus.find(["Real/../Fake"]).table["label"].tolist() == [0] * 4
    assert corpus.find(["all/../Real"]).table["label"].tolist() == [1] * 4


def test_the_place_that_tells_the_class_counts(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / "all").mkdir(exist_ok=True)
        (tmp_path / f"all/{name}.wav").write_bytes(SOUND)
    for place, name in (("training/Real", "a"), ("testing/Fake", "b"), ("training/Real", "c"), ("testing/Fake", "c")):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / f"{name}.wav").symlink_to(tmp_path / f"all/{name}.wav")
    clips, labels, reasons = found(tmp_path)
    assert labels == {"training/Real/a.wav": 1, "testing/Fake/b.wav": 0}
    assert clips.table["attack"].tolist() == ["unknown", "bonafide"]
    assert list(reasons) == ["testing/Fake/c.wav"]
    assert "is the same file as" in reasons["testing/Fake/c.wav"]
    assert "training/Real/c.wav, which is of the other class" in reasons["testing/Fake/c.wav"]


def test_a_clip_linked_into_two_splits_stays_in_both_and_its_fault_is_listed_once(clips):
    (clips / "Real/broken.wav").write_text("no sound")
    (clips / "training").mkdir()
    (clips / "testing").mkdir()
    for split in ("training", "testing"):
        for name in ("Real", "Fake"):
            (clips / split / name).symlink_to(f"../{name}")
    whole = corpus.read(clips)
    assert whole.table["split"].value_counts().to_dict() == {"testing": 8, "training": 8}
    assert len(whole.left_out) == 1


def test_a_hard_link_is_a_clip_of_its_own(clips):
    os.link(clips / "Real/real0.wav", clips / "Real/again.wav")
    assert len(corpus.find([clips])) == 9


@pytest.mark.parametrize("refused", ["scandir", "stat"])
def test_folders_that_cannot_be_read_are_listed(clips, monkeypatch, refused):
    right = getattr(os, refused)

    def refuse(path, *arguments, **options):
        if str(path).rstrip("/.").endswith("Fake"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return right(path, *arguments, **options)

    monkeypatch.setattr(os, refused, refuse)
    _, labels, reasons = found(clips)
    assert len(labels) == 4
    assert reasons == {
        "Fake": "this folder cannot be read (Permission denied), so its clips are left out; see to its rights"
    }


LIBSNDFILE = {
    "aifc": "AIFF", "au": "AU", "caf": "CAF", "flac": "FLAC", "nist": "NIST", "ogg": "OGG", "rf64": "RF64",
    "snd": "AU", "sph": "NIST", "svx": "SVX", "voc": "VOC", "w64": "W64", "wav": "WAV",
}  # fmt: skip
FFMPEG = {"mka": "aac", "mov": "aac", "3gp": "aac", "m4b": "aac", "ac3": "ac3", "adts": "aac", "avi": "ac3"}


@pytest.mark.parametrize("named", [True, False], ids=["by suffix", "by content"])
def test_sound_of_every_kind_is_found(tmp_path, named):
    for suffix, kind in LIBSNDFILE.items():
        soundfile.write(tmp_path / f"clip.{suffix}", tone(0.3), 16_000, format=kind)
    for suffix, codec in FFMPEG.items():
        rate = 48_000 if codec == "ac3" else 16_000
        with av.open(str(tmp_path / f"clip.{suffix}"), "w", format={"m4b": "mp4"}.get(suffix)) as container:
            stream = container.add_stream(codec, rate=rate, layout="mono")
            frame = av.AudioFrame.from_ndarray(tone(0.3, rate=rate)[None], format="fltp", layout="mono")
            frame.sample_rate = rate
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
    if not named:
        for number, path in enumerate(sorted(tmp_path.iterdir())):
            path.rename(tmp_path / f"{path.suffix[1:]}{['', '.part', '.Dat', '.what is this'][number % 4]}")
    clips, labels, _ = found(tmp_path)
    assert len(labels) == len(LIBSNDFILE) + len(FFMPEG)
    assert clips.left_out.empty
    assert not clips.other
    assert clips.table["duration"].between(0.05, 0.5).all()


def test_what_is_no_sound_is_counted_and_what_claims_to_be_is_listed(tmp_path, rng):
    (tmp_path / "clip.wav").write_bytes(SOUND)
    for name in ("notes.txt", "more.TXT", "meta.json", ".DS_Store", "._clip.wav", "README", "end. of it", "list.qqq"):
        (tmp_path / name).write_text("#EXTM3U\n#EXTINF:1,\nclip.wav\n")
    (tmp_path / "weights.bin").write_bytes(rng.bytes(10_000))
    (tmp_path / "hidden.zip").write_bytes(SOUND)
    (tmp_path / "empty").touch()
    (tmp_path / "linked.wav").symlink_to("notes.txt")
    (tmp_path / "outside.txt").symlink_to(__file__)
    for name in ("bad.mov", "bad.AMR", "bad.pcm"):
        (tmp_path / name).write_bytes(rng.bytes(1_000))
    soundfile.write(tmp_path / "none.xyz", np.zeros(0), 16_000, format="WAV")
    clips, labels, reasons = found(tmp_path)
    assert list(labels) == ["clip.wav"]
    assert set(reasons) == {"bad.mov", "bad.AMR", "bad.pcm", "none.xyz"}
    assert "holds no samples" in reasons["none.xyz"]
    assert clips.other == {
        ".txt": 3, search.NAMELESS: 3, "hidden": 2, ".bin": 1, ".json": 1, ".qqq": 1, ".zip": 1,
    }  # fmt: skip


def test_other_files_are_named_in_a_line():
    assert search.named({}) == ""
    assert search.named({".json": 2, ".txt": 5}) == "7 other files: 5 .txt, 2 .json"
    assert search.named({f".{letter}": 1 for letter in "abcdefghijk"}).endswith(", 1 .h, 3 of 3 more kinds")


def test_what_is_no_file_is_listed_and_never_opened(tmp_path):
    (tmp_path / "clip.wav").write_bytes(SOUND)
    os.mkfifo(tmp_path / "pipe.wav")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / ".pipe")
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    (tmp_path / "device").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
    clips, labels, reasons = found(tmp_path)
    assert list(labels) == ["clip.wav"]
    assert set(reasons) == {"pipe.wav", "pipe", "gone.wav", "device", "socket"}
    assert "is a link to nothing" in reasons["gone.wav"]
    assert "is a pipe" in reasons["pipe"]
    assert clips.other == {"hidden": 1, ".txt": 1}
    # named by the user
    with pytest.raises(DataError, match="is a pipe, a socket or a device"):
        corpus.find([tmp_path / "pipe"])


ODD = [
    "new\nline.wav",
    "carriage\rreturn.wav",
    "comma, 'and' \"quote\".wav",
    "\x1b[31mred.wav",
    "\u202egnp.wav",
    " .wav",
]


def test_names_of_any_kind_stop_nothing(tmp_path):
    for name in ODD:
        (tmp_path / name).write_bytes(SOUND)
    place = os.fsencode(tmp_path)
    os.mkdir(place + b"/caf\xe9")
    for name in (b"/clip\xff.wav", b"/caf\xe9/clip.wav"):
        with open(place + name, "wb") as file:
            file.write(SOUND)
    _, labels, reasons = found(tmp_path)
    assert set(labels) == set(ODD)
    assert set(reasons) == {"clip\\udcff.wav", "caf\\udce9"}
    assert all("not UTF-8" in reason for reason in reasons.values())
    with pytest.raises(DataError, match=r"udcff\.wav: its name is not UTF-8"):
        corpus.find([os.fsdecode(place + b"/clip\xff.wav")])


def test_a_path_that_leads_nowhere_does_not_stop_the_rest(clips):
    clip = clips / "Real/real0.wav"
    bad = [
        clips / ("x" * 256 + ".wav"),
        clip / "below.wav",
        f"{clips}/zero\0.wav",
        clips / "gone",
        clips / ("y/" * 3000),
    ]
    whole = corpus.find([*bad, clip])
    assert whole.table["path"].tolist() == [str(clip)]
    reasons = whole.left_out["reason"].tolist()
    assert [reason.split(" (")[0].split(";")[0] for reason in reasons] == [
        "cannot be reached",
        "there is no such file or folder",
        "holds a zero byte, which no path can",
        "there is no such file or folder",
        "cannot be reached",
    ]
    for path in bad:
        with pytest.raises(DataError):
            corpus.find([path])


def test_files_that_a_manifest_does_not_list_are_named(clips):
    rows = [("Real/real0.wav", "bonafide"), ("Fake/fake0.wav", "spoof"), ("Fake/gone.wav", "spoof")]
    pd.DataFrame(rows, columns=["path", "label"]).to_parquet(clips / listing.MANIFEST)
    (clips / "notes.txt").touch()
    for places in ([clips], [clips, clips]):
        whole = corpus.find(places)
        assert len(whole) == 2
        assert len(whole.left_out) == 1
        assert whole.other == {".wav not in manifest.parquet": 6, ".txt": 1}


NAMES = st.sampled_from(["Real", "Fake", "train", "test", "a", ".b"])
FOLDERS = st.lists(st.tuples(st.integers(0, 99), NAMES), max_size=8)
FILES = st.lists(
    st.tuples(
        st.integers(0, 99),
        st.sampled_from(["x", "y", ".z", "new\nline"]),
        st.sampled_from([".wav", ".WAV", ".txt", "", ".qqq", ".caf"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)
LINKS = st.lists(
    st.tuples(
        st.integers(0, 99),
        st.sampled_from(["l", "m.wav", "n.txt", "Real", "Fake", "val", ".h"]),
        st.one_of(st.integers(0, 99), st.none()),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(folders=FOLDERS, contents=FILES, links=LINKS)
@example(folders=[(0, "Fake")], contents=[(0, "x", ".wav", False)], links=[(1, "l", 78), (2, "l", 1)])
def test_every_file_is_scored_or_listed_or_counted(tmp_path_factory, folders, contents, links):
    root = tmp_path_factory.mktemp("tree")
    # a folder to name twice, and a clip that no link leads to: all others may be of both classes, and left out
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "clip.wav"
    elsewhere.write_bytes(SOUND)
    # and a folder that a link alone leads to
    far = tmp_path_factory.mktemp("far") / "clip.wav"
    far.write_bytes(SOUND)
    (root / "far").symlink_to(far.parent)
    (root / "Real").mkdir()
    (root / "first.wav").write_bytes(SOUND)
    places, regular, dangling = [root, root / "Real"], [root / "first.wav", far], []
    for above, name in folders:
        place = places[above % len(places)] / name
        if not place.exists():
            place.mkdir()
            places.append(place)
    for place, stem, suffix, is_sound in contents:
        path = places[place % len(places)] / (stem + suffix)
        if not path.exists():
            path.write_bytes(SOUND if is_sound else b"no sound at all")
            regular.append(path)
    # a link to a hidden file would count it, and might try it
    targets = [*places, *(path for path in regular if path != far and not path.name.startswith("."))]
    for place, name, target in links:
        path = places[place % len(places)] / name
        if not os.path.lexists(path):
            path.symlink_to("nowhere" if target is None else targets[target % len(targets)])
            dangling += [path] if target is None else []
    regular.append(elsewhere)

    clips = corpus.find([root, root / "Real", root, elsewhere])
    scored = Counter((os.path.realpath(path), split) for path, split in clips.table[["path", "split"]].to_numpy())
    listed = Counter(os.path.realpath(path) for path in clips.left_out["path"] if os.path.isfile(path))
    lost = {str(path) for path in dangling} & set(clips.left_out["path"])
    assert set(scored.values()) | set(listed.values()) <= {1}
    used = {path for path, _ in scored}
    assert used.isdisjoint(listed)
    assert len(listed) + len(lost) == len(clips.left_out)
    assert len(used) + len(listed) + len(lost) + sum(clips.other.values()) == len(regular) + len(dangling)
    assert {os.path.realpath(path) for path in regular} >= used | set(listed)
