"""Spoof systems: each reads or rebuilds, the same each time, and says in one line what is missing."""

from pathlib import Path

import numpy as np
import pytest

from dfdlib.data import audio
from dfdlib.data.demo import festival, synthesis
from dfdlib.data.demo.debian import Packages
from dfdlib.errors import DataError, ParameterError, RunError

UNPACKED = Path(__file__).parents[2] / "data" / "demo" / "packages" / "unpacked"
TEXTS = {
    "ca": "Bon dia, això és una prova.",
    "en": "Good morning, this is a test.",
    "it": "Buongiorno, questa è una prova.",
    "ru": "Здравствуйте, это проверка.",
}


def kept(*packages):
    """Return the demo's unpacked packages, or skip where some are missing."""
    missing = [name for name in packages if not (UNPACKED / "usr/share/doc" / name).is_dir()]
    if missing:
        pytest.skip(f"{', '.join(missing)} not unpacked: dfd data build demo fetches what the demo needs")
    return Packages(root=UNPACKED, versions={})


# The table


def test_there_are_enough_systems_of_enough_kinds():
    kinds = {system.kind.split(" (")[0] for system in synthesis.SYSTEMS.values()}
    assert len(synthesis.SYSTEMS) >= 12
    assert len(kinds) >= 6
    speakers = {
        voice.speaker
        for attack in synthesis.READERS
        for language in synthesis.SYSTEMS[attack].voices
        for voice in synthesis.voices(attack, language=language)
    }
    assert len(speakers) >= 20


def test_every_voice_of_festival_is_in_a_system():
    used = {
        name
        for system in synthesis.SYSTEMS.values()
        if system.function is festival.read
        for names in system.voices.values()
        for name in names
    }
    assert used == set(festival.VOICES)


def test_a_sentence_always_has_the_same_voice_and_sentences_have_all():
    read = [synthesis.voice("flite", language="en", key=str(number)) for number in range(60)]
    assert read == [synthesis.voice("flite", language="en", key=str(number)) for number in range(60)]
    assert {voice.name for voice in read} == {"slt", "awb", "rms"}


def test_a_voice_whose_package_is_missing_does_not_read():
    there = {"festival", "festival-ca", "festvox-ca-ona-hts"}
    assert [voice.name for voice in synthesis.voices("festival-hts", language="ca", there=there)] == ["ona"]
    assert synthesis.voices("festival-hts", language="en", there=there) == ()
    assert synthesis.voices("hibari", language="it", there=set())
    with pytest.raises(ParameterError, match=r"festival-units.*'it'"):
        synthesis.voice("festival-units", language="it", key="")


# Reading


@pytest.mark.parametrize(
    ("attack", "language"),
    [
        *(("espeak-ng", "it"), ("espeak-klatt", "ru"), ("flite", "en"), ("flite-diphone", "en")),
        *(("festival-diphone", "en"), ("festival-hts", "ca"), ("festival-hts", "en"), ("festival-units", "ru")),
    ],
)
def test_programs_read_the_same_each_time(attack, language):
    for voice in synthesis.voices(attack, language=language):
        packages = kept(*voice.packages)
        first = synthesis.read(TEXTS[language], voice, speed=1.0, packages=packages)
        synthesis.read("1 2 3", voice, speed=0.9, packages=packages)
        synthesis.read.cache_clear()
        assert np.array_equal(first, synthesis.read(TEXTS[language], voice, speed=1.0, packages=packages))
        assert 1.0 < len(first) / audio.RATE < 5.0
        if voice.name != "nsh":  # joins recorded units at their own pace
            assert len(synthesis.read(TEXTS[language], voice, speed=0.7, packages=packages)) > 1.2 * len(first)


def test_loud_diphones_do_not_wrap_around():
    packages = kept("festival", *festival.VOICES["ked"].packages)
    wave, _ = festival.read("La volpe veloce salta sopra il cane pigro.", "ked", speed=1.0, packages=packages)
    assert np.abs(wave).max() < 0.9


def test_a_new_process_reads_the_same():
    packages = kept("festival", *festival.VOICES["ked"].packages)
    first, _ = festival.read("What are you doing here?", "ked", speed=1.0, packages=packages)
    festival._running.cache_clear()
    assert np.array_equal(first, festival.read("What are you doing here?", "ked", speed=1.0, packages=packages)[0])


#: Keeps what it is told, and says that it is done whenever it is asked to.
ANSWER = """while read -r line; do printf '%s\\n' "$line" >> told; case "$line" in *done*) echo done;; esac; done"""


def fake(tmp_path, script):
    """Return packages whose Festival is a shell script."""
    program = tmp_path / "usr/bin/festival"
    program.parent.mkdir(parents=True)
    (tmp_path / "usr/share/festival").mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Packages(root=tmp_path, versions={})


def test_without_festival_one_line_says_so(tmp_path):
    with pytest.raises(RunError, match=r"bin/festival: not there; add festival"):
        festival.read("hello", "ked", speed=1.0, packages=Packages(root=tmp_path, versions={}))


def test_a_voice_that_does_not_load_is_named(tmp_path):
    packages = fake(tmp_path, "echo 'SIOD ERROR: unbound variable : voice_ked_diphone' >&2; echo done; cat > /dev/null")
    with pytest.raises(RunError, match=r"cannot load the voice ked .*unbound variable"):
        festival.read("hello", "ked", speed=1.0, packages=packages)


def test_a_festival_that_hangs_is_ended_and_the_next_sentence_gets_another(tmp_path, monkeypatch):
    monkeypatch.setattr(festival, "TIMEOUT", 0.5)
    packages = fake(tmp_path, "echo started >> starts; echo done; cat > /dev/null")
    for _ in range(2):
        with pytest.raises(DataError, match=r"festival ked: took over"):
            festival.read("hello", "ked", speed=1.0, packages=packages)
    assert (tmp_path / "usr/share/festival/starts").read_text().count("started") == 2


def test_a_sentence_without_sound_is_a_data_error_and_festival_goes_on(tmp_path):
    packages = fake(tmp_path, f"echo started >> starts; {ANSWER}")
    for _ in range(2):
        with pytest.raises(DataError, match=r"festival ked: no sound"):
            festival.read("hello", "ked", speed=1.0, packages=packages)
    festival._running.cache_clear()
    assert (tmp_path / "usr/share/festival/starts").read_text().count("started") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("„Ďábel“ said \\ “hi”…", b"Dabel said hi..."),
        ("« Dábel » – hi", b"Dabel, hi"),
        ('a") (exit', b"a) (exit"),
        ("one\ntwo\x00", b"one two"),
    ],
)
def test_text_is_written_so_that_festival_can_read_it(text, told, tmp_path):
    packages = fake(tmp_path, ANSWER)
    with pytest.raises(DataError, match="no sound"):
        festival.read(text, "ked", speed=1.0, packages=packages)
    festival._running.cache_clear()
    assert b'(Utterance Text "' + told + b'")' in (tmp_path / "usr/share/festival/told").read_bytes()


def test_a_text_of_signs_alone_is_refused(tmp_path):
    with pytest.raises(DataError, match="nothing to read"):
        festival.read("… ?", "ked", speed=1.0, packages=Packages(root=tmp_path, versions={}))


# Conversion


def test_conversion_moves_the_pitch_and_keeps_the_length():
    time = np.arange(2 * audio.RATE) / audio.RATE
    for pitch, low, high in ((110, 1.3, 1.8), (240, 0.55, 0.8)):
        wave = 0.05 * sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 30))
        made = synthesis.vocode(wave, "world-conversion", seed=1)
        assert len(made) == len(wave)
        spectrum = np.abs(np.fft.rfft(made * np.hanning(len(made))))
        loudest = np.argmax(spectrum[40:1200]) + 40  # of two seconds: 20 to 600 Hz
        assert low < loudest / 2 / pitch < high
