"""The demo corpora: fair to both classes, disjoint where they say so, and the same each time."""

import dataclasses
import gzip
import hashlib
import json
import os
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest
from makers import tone

from dfdlib.data import audio, audit, corpus, demo
from dfdlib.data.demo import chain, clips, copies, corpora, debian, recordings, synthesis
from dfdlib.data.demo import plan as planning
from dfdlib.errors import DataError, ParameterError, RunError

RATE = audio.RATE


def speechlike(rng, seconds=3.0, pauses=True):
    """Return a voiced tone with syllables, and with a long pause in its middle."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 30)) * (1.1 + np.sin(2 * np.pi * 4 * time))
    if pauses:
        wave[(time > seconds / 2) & (time < seconds / 2 + 0.6)] = 0
    return 0.05 * wave + 1e-4 * rng.standard_normal(len(time))


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture(scope="module")
def recorded():
    """Return a made-up catalogue with voices of every role: prompts, stamps, dialogues, words and the telephone."""
    rng = np.random.default_rng(1)
    rows = []

    def say(package, language, speaker, sentence, text, seconds):
        name = f"{speaker}/{language}/{sentence}"
        rows.append((name, f"{name}.ogg", package, language, speaker, sentence, text, float(rng.uniform(*seconds))))

    for language, (_, speaker) in recordings.PROMPT_VOICES.items():
        for number in range(400):
            # Every tenth prompt repeats a sentence of the one before.
            text = f"This is the long prompt {number - (number % 10 == 1)}. Bye {number}."
            say(f"asterisk-core-sounds-{language}-g722", language, speaker, f"prompt-{number}", text, (0.5, 12))
    for package, (language, _, speaker) in recordings.TELEPHONE_VOICES.items():
        for number in range(60):
            say(package, language, speaker, f"prompt-{number}", f"Prompt {number}.", (0.5, 6))
    stamps = [voice for voice in planning.VOICES if voice.startswith("stamps-")]
    for speaker in stamps:
        for number in range(60 if speaker in planning.SAY_LITTLE else 600):
            say(recordings.STAMPS, speaker[7:], speaker, f"stamps/{number}", f"A thing {number}.", (0.6, 3))
    for package, language in recordings.DIALOGUES.items():
        for fish in "mv":
            for number in range(300):
                say(package, language, f"fillets-{language}-{fish}", f"fillets/{fish}-{number}", "", (1, 6))
    for number in range(300):
        say(recordings.READINGS, "ru", "nsh", f"nsh/{number}", f"Sentence {number}.", (3, 14))
    for number in range(900):
        say(recordings.SYLLABLES, "zh", "gcin-3", f"gcin/{number}", "", (0.3, 0.5))
    for speaker in [voice for voice in planning.VOICES if voice.startswith(("klettres-", "ktuberling-"))]:
        game, language = speaker.split("-")
        for number in range(90):
            text = f"bå {number}" if game == "klettres" else ""
            say(f"{game}-data", language, speaker, f"{game}/{language}/{number}", text, (0.3, 1.2))
    columns = [*recordings.COLUMNS, "seconds"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def table(recorded):
    return planning.plan(recorded)


# The plan


def test_every_real_clip_has_as_many_fake_twins_as_its_part_promises(table):
    twin = ["part", "split", "language", "sentence", "recordings", "start", "length", "published", "codec"]
    real, fake = (table.loc[table["label"] == label, twin] for label in (1, 0))
    assert len(real) > 2000
    assert not real.duplicated().any()
    twins = fake.groupby(twin).size()
    assert set(twins.index) == set(real.itertuples(index=False, name=None))
    promised = twins.index.get_level_values("part").map(lambda part: planning.PARTS[part].twins)
    assert (twins.to_numpy() == promised.to_numpy()).all()


def test_twins_of_a_clip_are_by_different_attacks(table):
    fake = table[table["label"] == 0]
    assert not fake.duplicated(["part", "recordings", "start", "attack"]).any()


def test_there_are_as_many_clips_as_promised(table):
    real = table[table["label"] == 1].groupby("part").size()
    promised = {name: part.clips for name, part in planning.PARTS.items()}
    # The baseline learns from as many as there are.
    assert 1200 <= real.pop("source/training") <= promised.pop("source/training")
    assert real.to_dict() == promised


def test_no_voice_recording_or_sentence_is_in_two_splits(table):
    for corpus_name, rows in table[table["label"] == 1].groupby("corpus"):
        for column in ("speaker", "sentence", "recordings"):
            splits = rows.explode(column).groupby(column)["split"].nunique()
            assert (splits == 1).all(), (corpus_name, column)


def test_sentences_are_apart_whoever_says_them(table, recorded):
    said = recorded.set_index("recording")["sentence"]
    real = table[(table["label"] == 1) & (table["split"] != "")].explode("recordings")
    real = real.assign(said=real["recordings"].map(said))
    assert (real.groupby("said")["part"].nunique() == 1).all()


def test_prompts_that_share_a_sentence_share_a_part(table):
    prompts = table[table["recordings"].map(lambda names: "prompt-" in names[0]) & (table["split"] != "")]
    part = prompts.assign(prompt=[names[0].split("/")[-1] for names in prompts["recordings"]])
    part = part.groupby("prompt")["part"].first()
    pairs = [(f"prompt-{n}", f"prompt-{n + 1}") for n in range(0, 400, 10)]
    both = [(part[a], part[b]) for a, b in pairs if a in part and b in part]
    assert both
    assert all(a == b for a, b in both)


def test_clips_have_names_of_their_own(table):
    assert table["clip"].is_unique


def test_corpora_share_no_recording(table):
    assert (table.explode("recordings").groupby("recordings")["corpus"].nunique() == 1).all()


def test_testing_splits_have_many_voices_and_none_of_them_speaks_too_much(table):
    for part, least in (("source/testing", 10), ("for-2seconds/testing", 12), ("custom", 12)):
        real = table[(table["part"] == part) & (table["label"] == 1)]
        share = real["speaker"].value_counts(normalize=True)
        assert len(share) >= least
        assert share.max() <= 0.15


def test_custom_and_telephone_have_speakers_of_their_own(table):
    real = table[table["label"] == 1]
    for name in ("custom", "telephone"):
        assert not set(real.loc[real["corpus"] == name, "speaker"]) & set(real.loc[real["corpus"] != name, "speaker"])
        assert real.loc[real["corpus"] == name, "codec"].nunique() == 1
        assert not set(real.loc[real["corpus"] == name, "codec"]) & set(real.loc[real["split"] != "", "codec"])


def test_testing_and_custom_have_systems_that_training_has_not(table):
    attacks = table.groupby("part")["attack"].agg(set)
    for name in ("source", "for-2seconds"):
        assert len(attacks[f"{name}/testing"] - attacks[f"{name}/training"]) >= 2
        assert attacks[f"{name}/validation"] <= attacks[f"{name}/training"]
    elsewhere = set().union(*attacks.drop("custom"))
    assert attacks["custom"] & elsewhere == {"bonafide"}


def test_for_2seconds_has_attacks_that_source_has_not(table):
    attacks = table.groupby("corpus")["attack"].agg(set)
    assert {"piper-joe", "flite-diphone"} <= attacks["for-2seconds"] - attacks["source"]


def test_lengths_are_those_promised(table):
    for part, rows in table.groupby("part"):
        assert rows["length"].between(*planning.PARTS[part].length).all()


def test_clips_of_a_recording_do_not_overlap(table):
    real = table[table["label"] == 1].sort_values(["recordings", "start"])
    ends = real["start"] + real["length"]
    again = real["recordings"] == real["recordings"].shift()
    assert again.any()
    assert (real["start"] >= ends.shift() - 2e-3)[again].all()
    assert (ends <= real["whole"]).all()


def test_plan_depends_on_nothing_but_the_recordings(recorded, table):
    shuffled = recorded.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(planning.plan(shuffled), table)


def test_a_package_that_is_missing_takes_its_clips_alone(recorded, table):
    less = planning.plan(recorded[recorded["package"] != "fillets-ng-data-nl"])
    assert not less["speaker"].str.startswith("fillets-nl").any()
    assert {"source/testing", "for-2seconds/testing"} <= set(less["part"])
    assert (less.groupby("part").size() >= 0.8 * table.groupby("part").size()).all()


def test_only_readers_of_the_language_are_given_text(table):
    assert set(table.loc[table["attack"] == "flite", "language"]) <= {"en", "en_GB"}
    assert set(table.loc[table["attack"] == "piper-joe", "language"]) <= {"en", "en_GB"}
    read = table[table["attack"].isin(synthesis.READERS)]
    assert len(read) > 500
    assert all(all(texts) for texts in read["texts"])


def test_excerpt_is_around_its_part():
    text = " ".join(map(str, range(20)))
    words, start = clips.excerpt(text, 0.5, 0.2)
    assert words.split() == [str(n) for n in range(8, 16)]
    assert start == pytest.approx((10 - 8) / 8)
    assert clips.excerpt("one", 0.0, 0.5) == ("one", 0.0)
    assert clips.excerpt(text, 0.0, 1.0) == (text, 0.0)


# Transcripts and recordings


def test_transcripts_leave_out_what_is_not_said():
    text = (
        "\ufeff; a comment: of the file\n\nadded: Added.\nbeep: [a tone]\nsilence/1: (1 second of silence)\n"
        "letters/at: at [@]\ntime:  It is: noon. \nempty:\nbroken line\n"
    )
    assert recordings.parse_transcripts(text) == {"added": "Added.", "letters/at": "at", "time": "It is: noon."}


def test_catalogue_reads_an_unpacked_package(tmp_path):
    sounds = tmp_path / "usr/share/asterisk/sounds/it_IT_m_Carlo/digits"
    sounds.mkdir(parents=True)
    for name in ("1.g722", "tone.g722"):
        (sounds / name).write_bytes(b"x")
    docs = tmp_path / "usr/share/doc/asterisk-core-sounds-it"
    docs.mkdir(parents=True)
    (docs / "core-sounds-it.txt.gz").write_bytes(gzip.compress(b"digits/1: uno\ndigits/tone: [tone]\n"))
    words = tmp_path / "usr/share/klettres/da"
    (words / "alpha").mkdir(parents=True)
    (words / "alpha/a-0.ogg").write_bytes(b"x")
    (words / "sounds.xml").write_text('<klettres><sound name="Å" file="da/alpha/a-0.ogg"/></klettres>', "utf-8")
    table = recordings.catalogue(tmp_path)
    assert list(table["text"]) == ["uno", "å"]
    assert list(table["speaker"]) == ["carlo", "klettres-da"]
    assert list(table["sentence"]) == ["digits/1", "klettres/da/alpha/a-0"]


def test_recordings_that_cannot_be_used_are_listed(tmp_path, rng):
    names = ("good", "telephone", "silent", "broken")
    audio.write_wav(tmp_path / "good.wav", speechlike(rng), rate=44_100)
    audio.write_wav(tmp_path / "telephone.wav", speechlike(rng), rate=8000)
    audio.write_wav(tmp_path / "silent.wav", np.zeros(RATE), rate=44_100)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    table = pd.DataFrame({"file": [f"{name}.wav" for name in names]})
    seen = recordings.measure(table, root=tmp_path).set_index(pd.Index(names))
    assert seen.at["good", "reason"] == ""
    assert seen.at["good", "seconds"] > 0.8
    assert "8000 Hz" in seen.at["telephone", "reason"]
    assert "no speech" in seen.at["silent", "reason"]
    assert "decoded" in seen.at["broken", "reason"]


# The chain


def test_trim_removes_silence_and_shortens_pauses(rng):
    wave = speechlike(rng)
    padded = np.concatenate([np.zeros(8000), wave, np.zeros(12_000)])
    assert len(chain.trim(padded)) == pytest.approx(len(chain.trim(wave)), abs=0.05 * RATE)
    assert len(chain.trim(wave)) / RATE == pytest.approx(3.0 - 0.6 + chain.LONGEST_PAUSE, abs=0.1)


def test_trim_refuses_silence():
    with pytest.raises(DataError, match="no speech"):
        chain.trim(np.zeros(RATE))


@pytest.mark.parametrize("codec", chain.CODECS)
def test_codecs_keep_time_and_sound(codec, rng):
    wave = chain.trim(speechlike(rng))
    coded = chain.CODECS[codec](wave)
    assert len(coded) == len(wave)
    assert np.corrcoef(wave, coded)[0, 1] > 0.95
    assert np.array_equal(coded, chain.CODECS[codec](wave))


def test_match_takes_over_the_channel(rng):
    partner = chain.trim(speechlike(rng))
    other = np.convolve(rng.standard_normal(RATE * 2), [1, 0.9], "same")
    difference = chain._spectrum(chain.match(other, partner, rng=rng), loud=True) - chain._spectrum(partner, loud=True)
    before = chain._spectrum(other, loud=True) - chain._spectrum(partner, loud=True)
    assert np.std(difference[2:]) < 0.4 * np.std(before[2:])


def test_finish_gives_length_and_level(rng):
    for seconds in (0.7, 2.5, 6.0):
        wave = chain.finish(speechlike(rng, seconds), codec="g722", start=0.3, length=2.0, rng=rng)
        assert len(wave) == 2 * RATE
        assert chain.LEVELS[0] - 0.1 < 20 * np.log10(chain.rms(wave)) < chain.LEVELS[1] + 0.1
        assert np.abs(wave).max() < 1


@pytest.mark.parametrize("attack", synthesis.VOCODERS)
def test_real_and_rebuilt_clips_share_a_format(attack, tmp_path, rng):
    path = tmp_path / "recording.wav"
    audio.write_wav(path, speechlike(rng, 4.0), rate=RATE)
    row = {
        "attack": "bonafide",
        "start": 0.5,
        "length": 2.0,
        "whole": 3.6,
        "published": "g722",
        "codec": "g722",
        "hiss": chain.HISS,
        "recordings": ("recording",),
        "clip": "a",
    }
    one, other = (clips.make({**row, "attack": made}, [path]) for made in ("bonafide", attack))
    real, fake = (audit.nuisance_features(clip, RATE) for clip in (one, other))
    assert real["duration"] == fake["duration"] == 2.0
    assert real["level"] == pytest.approx(fake["level"], abs=8.5)
    assert real["leading_silence"] == pytest.approx(fake["leading_silence"], abs=0.05)
    assert real["bandwidth"] == pytest.approx(fake["bandwidth"], rel=0.5)
    assert fake["offset"] < -60
    assert not np.allclose(one, other, atol=0.01)
    assert np.array_equal(other, clips.make({**row, "attack": attack}, [path]))


# Synthesis


@pytest.mark.parametrize(("attack", "language", "text"), [("piper-joe", "en", "Hello."), ("hibari", "da", "bå")])
def test_synthesis_repeats_itself(attack, language, text):
    voice = synthesis.voice(attack, language=language, key="key")
    first = synthesis.read(text, voice, speed=1.0)
    synthesis.read("Something else.", voice, speed=1.0)
    synthesis.read.cache_clear()
    assert np.array_equal(first, synthesis.read(text, voice, speed=1.0))
    assert len(first) > 0.2 * RATE
    assert len(synthesis.read(text, voice, speed=0.6)) > len(first)


def test_text_without_sound_is_a_data_error():
    with pytest.raises(DataError, match="hibari-heart"):
        synthesis.read("", synthesis.voice("hibari", language="en", key=""), speed=1.0)


# The build


def test_unknown_part_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"sauce.*for-2seconds/training"):
        demo.build(tmp_path, parts=["sauce"])


def test_files_of_others_are_not_removed(tmp_path):
    (tmp_path / "custom/Real").mkdir(parents=True)
    mine = tmp_path / "custom/Real/mine.wav"
    mine.write_bytes(b"a recording")
    with pytest.raises(RunError, match="move them away"):
        corpora._make_room(tmp_path, "custom", tmp_path / "built/custom.unfinished", "recipe")
    assert mine.exists()


def test_clips_of_another_recipe_are_removed(tmp_path):
    clip, mark = tmp_path / "custom/Real/old.wav", tmp_path / "built/custom.unfinished"
    clip.parent.mkdir(parents=True)
    corpora._make_room(tmp_path / "elsewhere", "custom", mark, "recipe 1")
    clip.write_bytes(b"a clip")
    corpora._make_room(tmp_path, "custom", mark, "recipe 1")
    assert clip.exists()
    corpora._make_room(tmp_path, "custom", mark, "recipe 2")
    assert not clip.exists()


def test_a_part_with_a_system_more_than_when_it_was_made_is_made_again(tmp_path, monkeypatch):
    nothing = pd.DataFrame(columns=["path", "reason"])
    packages = debian.Packages(root=tmp_path, versions={})
    versions = corpora._python_packages()
    work = corpora._Work(tmp_path, packages, versions, nothing, nothing, types.SimpleNamespace(map=map), print)
    with monkeypatch.context() as before:
        before.delitem(synthesis.SYSTEMS, "world-conversion")
        corpora._build_part(work, "custom", pd.DataFrame(columns=list(planning.COLUMNS)))
        corpora._write_manifest(tmp_path, "custom")
        assert demo.build(tmp_path, parts=["custom"]) == tmp_path
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="apt-get"):
        demo.build(tmp_path, parts=["custom"])


def test_a_part_is_made_again_with_other_weights_of_the_vocoder(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # nothing can be fetched, so nothing can be made
    (tmp_path / "built").mkdir()
    parts = ("source/testing", "telephone")
    for part in parts:
        made = {"recipe": corpora.RECIPE, "packages": corpora._made_by(part), "attacks": corpora._attacks(part)}
        (tmp_path / f"built/{part.replace('/', '-')}.json").write_text(json.dumps(made))
        corpus = tmp_path / part.split("/")[0]
        corpus.mkdir()
        (corpus / corpora.MANIFEST).write_bytes(b"a table")
    assert demo.build(tmp_path, parts=list(parts)) == tmp_path
    weights = tmp_path / "other.safetensors"
    weights.write_bytes(b"other weights")
    monkeypatch.setattr(copies, "weights_file", lambda: weights)
    assert demo.build(tmp_path, parts=["telephone"]) == tmp_path
    with pytest.raises(RunError, match="apt-get"):
        demo.build(tmp_path, parts=["source/testing"])


def test_without_apt_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match=r"apt-get: not found.*data of your own") as caught:
        demo.build(tmp_path / "demo")
    assert "\n" not in str(caught.value)


def test_a_package_that_the_release_lacks_is_named_and_the_rest_is_fetched(tmp_path, monkeypatch):
    programs, deb = tmp_path / "bin", tmp_path / "there_1_all.deb"
    programs.mkdir()
    (tmp_path / "tree/DEBIAN").mkdir(parents=True)
    control = "Package: there\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: a\n"
    (tmp_path / "tree/DEBIAN/control").write_text(control)
    (tmp_path / "tree/voice.txt").write_text("a voice")
    subprocess.run(["dpkg-deb", "-b", str(tmp_path / "tree"), str(deb)], check=True, capture_output=True)
    scripts = {
        "apt-cache": "echo 'Package: there'; echo 'Size: 7000000'; echo 'N: no package gone' >&2; exit 100",
        "apt-get": f'for last; do :; done; if [ "$last" = there ]; then cp {deb} .; fi',
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    steps = []
    for _ in range(2):
        found = debian.fetch(
            tmp_path / "packages", data=["there", "gone"], programs=[], progress=lambda *step: steps.append(step)
        )
        assert found.versions == {"there": "1"}
        assert found.missing == ("gone",)
        assert (found.root / "voice.txt").read_text() == "a voice"
    fetched = [step for step in steps if "7 MB" in step[0]]
    assert fetched == [("fetching there, 7 MB of 7", 0, 1), ("fetching there, 7 MB of 7", 1, 1)]


def test_failure_of_apt_is_one_line(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("apt-get", "dpkg-deb"):
        (programs / name).write_text("#!/bin/sh\necho 'E: no such package' >&2\necho more >&2\nexit 100\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    with pytest.raises(RunError, match="no such package") as caught:
        debian.fetch(tmp_path / "packages", data=["a"], programs=["b"])
    assert "\n" not in str(caught.value)


def test_one_bad_recording_is_left_out(tmp_path, rng):
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    audio.write_wav(good, speechlike(rng), rate=RATE)
    bad.write_bytes(b"no sound")
    row = {"attack": "bonafide", "start": 0.0, "length": 1.0, "whole": 2.5, "codec": "g722", "clip": "a"}
    row |= {"hiss": chain.HISS, "recordings": ("a",)}
    jobs = [clips.Job(tmp_path / f"{name}.made.wav", row, [f"{name}.wav"]) for name in ("good", "bad")]
    made, failed = clips.make_chunk(jobs, packages=debian.Packages(root=tmp_path, versions={}))
    assert (made.duration, made.reason) == (1.0, "")
    assert "bad.wav" in failed.reason
    assert not jobs[1].path.exists()


def test_a_clip_whose_twin_cannot_be_made_is_left_out_too(tmp_path, rng, monkeypatch):
    names = [f"{number}.wav" for number in range(30)]
    for name in names:
        audio.write_wav(tmp_path / name, speechlike(rng, 2.0), rate=RATE)
    known = pd.DataFrame({"recording": names, "file": names, "package": "a"}).set_index("recording")
    same = {"corpus": "custom", "split": "", "part": "custom", "language": "da", "speaker": "b", "sentence": "c"}
    same |= {
        "texts": ("",),
        "start": 0.0,
        "whole": 1.6,
        "length": 1.0,
        "published": "vorbis",
        "codec": "opus",
        "hiss": chain.HISS,
    }
    rows = [
        {
            **same,
            "clip": f"{folder}/{name}",
            "recordings": (name,),
            "label": int(attack == "bonafide"),
            "attack": attack,
        }
        for name in names
        for folder, attack in (("Real", "bonafide"), ("Fake", "griffin-lim"))
    ]

    def fails_once(wave, attack, *, seed):
        if seed == int.from_bytes(hashlib.sha256(b"Fake/7.wav").digest()[:8], "big"):
            raise DataError("no sound")
        return wave

    monkeypatch.setattr(synthesis, "vocode", fails_once)
    pool = types.SimpleNamespace(map=map)
    packages = debian.Packages(root=tmp_path, versions={})
    nothing = pd.DataFrame(columns=["path", "reason"])
    work = corpora._Work(tmp_path, packages, {"a": "1"}, known, nothing, pool, lambda *step: None)
    corpora._build_part(work, "custom", pd.DataFrame(rows))
    made = pd.read_parquet(tmp_path / "built/custom.parquet")
    assert made.groupby("label").size().to_dict() == {0: 29, 1: 29}
    gone = pd.read_csv(tmp_path / "built/custom.left_out.csv")
    assert sorted(gone["reason"]) == ["its twin cannot be made", "no sound"]
    assert not list((tmp_path / "custom").rglob("7.wav*"))


def test_finished_clips_are_kept(tmp_path, rng):
    kept = tmp_path / "1.wav"
    audio.write_wav(kept, speechlike(rng), rate=RATE)
    before = kept.read_bytes()
    clips.make_chunk([clips.Job(kept, {}, ["nowhere.wav"])], packages=debian.Packages(root=tmp_path, versions={}))
    assert kept.read_bytes() == before


def test_importing_is_light():
    heavy = "{'torch', 'scipy', 'sklearn', 'onnxruntime', 'av', 'matplotlib'}"
    command = f"import sys, dfdlib.data.demo; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_real_build_is_sound_and_repeats(tmp_path, monkeypatch):
    for name, part in planning.PARTS.items():
        monkeypatch.setitem(planning.PARTS, name, dataclasses.replace(part, clips=12))
    parts = ["for-2seconds/training", "for-2seconds/validation", "for-2seconds/testing", "custom", "telephone"]
    first = demo.build(tmp_path / "first", parts=parts, workers=2)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "packages").symlink_to(first / "packages")
    second = demo.build(tmp_path / "second", parts=parts, workers=1)
    for name in ("for-2seconds", "custom", "telephone"):
        one, two = (pd.read_parquet(root / name / "manifest.parquet") for root in (first, second))
        pd.testing.assert_frame_equal(one, two)
        read = corpus.read(first / name)
        assert len(read) == len(one) > 0
        assert len(read.left_out) == 0
        assert (one.groupby("label").size().nunique()) == 1
        real = one[one["label"] == 1]
        assert (real.groupby("sentence")["split"].nunique() == 1).all()
        assert (real.groupby("speaker")["split"].nunique() == 1).all()
    splits = {path.name for path in (first / "for-2seconds").iterdir() if path.is_dir()}
    assert splits == {"training", "validation", "testing"}
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*.wav")}
    demo.build(first, parts=parts)
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*.wav")} == before


def test_a_recording_far_off_zero_is_used(tmp_path):
    """The chain takes the mean away; a clip to be scored would be refused."""
    audio.write_wav(tmp_path / "off.wav", 0.2 * tone(1.0) + 0.5, rate=16_000)
    with pytest.raises(DataError, match="off zero"):
        audio.load(tmp_path / "off.wav", rate=16_000)
    seconds, reason = recordings.look(str(tmp_path / "off.wav"))
    assert (seconds > 0.5, reason) == (True, "")
