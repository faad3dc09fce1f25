"""Plan every clip of the demo corpora, as a pure function of the table of recordings.

A prompt (a sentence, in every language that has it) belongs to one split of a corpus; sentences that share words
stay together. A long recording gives several clips. Each bona fide clip has a spoof twin, made by the attack that
`ATTACKS` allots to it.
"""

import hashlib
import re
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from dfdlib.data.demo.synthesis import READERS, voice

SPLITS = ("training", "validation", "testing")

#: Bona fide clips of each split and language that are made where the recordings suffice; spoof clips are as many.
CLIPS = {
    "source": {
        "training": {"en": 140, "es": 640, "it": 440},
        "validation": {"en": 20, "es": 60, "it": 40},
        "testing": {"en": 20, "es": 60, "it": 40},
    },
    "for-2seconds": {
        "training": {"en": 150, "fr": 180, "ru": 180},
        "validation": {"en": 38, "fr": 46, "ru": 46},
        "testing": {"en": 64, "fr": 74, "ru": 74},
    },
}
#: English prompts serve both: this share of them goes to for-2seconds.
ENGLISH_SHARE = 0.68

#: Share of each attack among the spoof clips of a language ("" for the languages not named).
ATTACKS = {
    "source": {
        "en": {"flite": 0.5, "espeak-ng": 0.25, "griffin-lim": 0.25},
        "": {"espeak-ng": 0.5, "griffin-lim": 0.5},
    },
    "for-2seconds": {
        "en": {"piper-joe": 0.8, "world": 0.2},
        "": {"world": 0.6, "espeak-ng": 0.2, "griffin-lim": 0.2},
    },
    "custom": {"": {"hibari": 0.85, "lpc": 0.15}},
}

TWO_SECONDS = 2.0
SOURCE_CLIP = (1.0, 1.6, 4.0)  # s: shortest, usual and longest clip of the source corpus
CUSTOM_CLIP = (2.0, 3.2)  # s: lengths of custom clips are drawn from here
SPARE = 0.25  # s of a recording left over, so that a clip may begin at speech
CUSTOM_SPEAKERS = 30  # at most
CUSTOM_CLIPS_EACH = 7
CUSTOM_WORDS = 9  # at most in a clip
SHORTEST_WORD = 0.2  # s
#: Languages whose written words Hibari can be given, through the phonemes that espeak-ng finds.
HIBARI_LANGUAGES = frozenset("cs da de en en_GB es fr hu it lt nb nl pt_BR ru uk".split())

COLUMNS = (
    *("clip", "part", "corpus", "split", "label", "attack", "language", "speaker", "sentence"),
    *("recordings", "texts", "start", "whole", "length", "codec"),
)


def plan(recordings: pd.DataFrame) -> pd.DataFrame:
    """Return a row for every clip to make.

    Parameters
    ----------
    recordings : DataFrame
        As `recordings.measure` returns: the catalogue with ``seconds`` of speech.

    Returns
    -------
    DataFrame
        ``clip`` (path below the corpus' folder, without suffix), ``part``, ``corpus``, ``split``, ``label``,
        ``attack``, ``language``, ``speaker``, ``sentence``, ``recordings`` (ids; of a clip that is read from text,
        those of its twin), ``texts``, ``start`` and ``length`` (s) of the clip in the ``whole`` (s) recording,
        ``codec``.
    """
    prompts = recordings[recordings["package"].str.startswith("asterisk")]
    rows = [
        *_cut_prompts(prompts, "source", _source_pieces),
        *_cut_prompts(prompts, "for-2seconds", _two_second_pieces),
        *_join_words(recordings.drop(prompts.index)),
    ]
    real = pd.DataFrame(rows, columns=[column for column in COLUMNS if column not in {"clip", "label", "attack"}])
    real = real.assign(label=1, attack="bonafide")
    fake = real.assign(label=0, attack=_allot(real))
    fake["speaker"] = [
        voice(attack, language=language, key=sentence).speaker if attack in READERS else speaker
        for attack, language, sentence, speaker in zip(
            fake["attack"], fake["language"], fake["sentence"], fake["speaker"], strict=True
        )
    ]
    table = pd.concat([real, fake], ignore_index=True)
    table["clip"] = _names(table)
    return table[list(COLUMNS)]


def related_sentences(texts: dict[str, Sequence[str]], *, words: int = 4) -> dict[str, str]:
    """Group prompts that share a sentence.

    Parameters
    ----------
    texts : dict
        The id of each prompt and its texts (one a language).
    words : int
        Prompts belong together when a whole sentence of at least so many words, or their whole text, is the same.

    Returns
    -------
    dict
        The id of each prompt and the id of its group.
    """
    parent = {name: name for name in texts}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    seen: dict[str, str] = {}
    for name in sorted(texts):
        for text in texts[name]:
            parts = [" ".join(re.findall(r"\w+", part.lower())) for part in re.split(r"[.?!;]+", text)]
            whole = " ".join(part for part in parts if part)
            for part in {whole, *(part for part in parts if len(part.split()) >= words)}:
                first, second = sorted((find(name), find(seen.setdefault(part, name))))
                parent[second] = first
    return {name: find(name) for name in texts}


def _cut_prompts(prompts: pd.DataFrame, corpus: str, pieces) -> list[dict]:
    wanted = CLIPS[corpus]
    languages = {language for counts in wanted.values() for language in counts}
    groups = related_sentences({name: list(rows["text"]) for name, rows in prompts.groupby("sentence")})
    prompts = prompts[prompts["language"].isin(languages)].assign(group=prompts["sentence"].map(groups))
    if "en" in languages:
        chosen = prompts["group"].map(lambda group: _draw("english", group) < ENGLISH_SHARE)
        prompts = prompts[(prompts["language"] != "en") | (chosen == (corpus == "for-2seconds"))]

    by_group: dict[str, list[dict]] = {}
    for recording in prompts.itertuples():
        for number, (start, length) in enumerate(pieces(recording.seconds)):
            by_group.setdefault(recording.group, []).append(
                {
                    "corpus": corpus,
                    "language": recording.language,
                    "speaker": recording.speaker,
                    "sentence": recording.sentence,
                    "recordings": (recording.recording,),
                    "texts": (recording.text,),
                    "start": start,
                    "whole": recording.seconds,
                    "length": length,
                    "codec": "g722",
                    "number": number,
                }
            )

    left = {split: dict(counts) for split, counts in wanted.items()}
    rows = []
    for group in sorted(by_group, key=lambda group: _draw(corpus, group)):
        here = by_group[group]
        split = max(SPLITS, key=lambda split: _need(here, left[split], wanted[split]))
        for row in sorted(here, key=lambda row: _draw(row["recordings"][0], row["number"])):
            if left[split].get(row["language"], 0) > 0:
                left[split][row["language"]] -= 1
                part = f"source/{split}" if corpus == "source" else corpus
                rows.append({**row, "split": split, "part": part})
    return rows


def _need(clips: list[dict], left: dict[str, int], wanted: dict[str, int]) -> float:
    """Return how much of a split's missing clips these clips would fill."""
    return sum(left.get(clip["language"], 0) / wanted[clip["language"]] for clip in clips)


def _two_second_pieces(seconds: float) -> list[tuple[float, float]]:
    return _spread(seconds, int((seconds - SPARE) // TWO_SECONDS), TWO_SECONDS)


def _source_pieces(seconds: float) -> list[tuple[float, float]]:
    shortest, usual, longest = SOURCE_CLIP
    available = seconds - SPARE
    if available < shortest:
        return []
    number = max(1, int(available // usual))
    return _spread(seconds, number, min(available / number, longest))


def _spread(seconds: float, number: int, length: float) -> list[tuple[float, float]]:
    """Return (start, length) of `number` clips spread over a recording without overlap."""
    if number < 1:
        return []
    step = (seconds - SPARE - length) / (number - 1) if number > 1 else 0.0
    return [(round(index * step, 3), round(length, 3)) for index in range(number)]


def _join_words(words: pd.DataFrame) -> list[dict]:
    rows = []
    words = words[words["seconds"] >= SHORTEST_WORD]
    clips = {speaker: _clips_of(speaker, own) for speaker, own in words.groupby("speaker")}
    most = sorted(clips, key=lambda speaker: (-len(clips[speaker]), speaker))[:CUSTOM_SPEAKERS]
    for speaker in sorted(most):
        rows += clips[speaker]
    return rows


def _clips_of(speaker: str, words: pd.DataFrame) -> list[dict]:
    """Join one volunteer's words to clips; each recording is used once."""
    rows: list[dict] = []
    taken: list = []
    order = sorted(words.itertuples(), key=lambda word: _draw("custom", word.recording))
    for word in order:
        taken.append(word)
        length = round(CUSTOM_CLIP[0] + _draw(speaker, len(rows)) * (CUSTOM_CLIP[1] - CUSTOM_CLIP[0]), 3)
        whole = sum(each.seconds for each in taken) + 0.1 * (len(taken) - 1)
        if whole < length + SPARE:
            continue
        if len(taken) <= CUSTOM_WORDS:
            rows.append(
                {
                    "part": "custom",
                    "corpus": "custom",
                    "split": "",
                    "language": word.language,
                    "speaker": speaker,
                    "sentence": f"{speaker}/{len(rows)}",
                    "recordings": tuple(each.recording for each in taken),
                    "texts": tuple(each.text for each in taken),
                    "start": 0.0,
                    "whole": whole,
                    "length": length,
                    "codec": "vorbis",
                    "number": len(rows),
                }
            )
        taken = []
        if len(rows) == CUSTOM_CLIPS_EACH:
            break
    return rows


def _allot(real: pd.DataFrame) -> list[str]:
    """Return the attack of each twin: the shares of `ATTACKS`, exact to a clip within a split and language."""
    attacks = pd.Series("", index=real.index)
    for (corpus, _, language), rows in real.groupby(["corpus", "split", "language"]):
        shares = ATTACKS[corpus].get(language, ATTACKS[corpus][""])
        order = sorted(rows.index, key=lambda row: _draw("attack", real.at[row, "recordings"], real.at[row, "start"]))
        names = list(shares)
        edges = [sum(list(shares.values())[:number]) for number in range(len(names) + 1)]
        for place, row in enumerate(order):
            share = (place + 0.5) / len(order)
            attack = next(
                name for name, (low, high) in zip(names, pairwise(edges), strict=True) if low <= share < high + 1e-9
            )
            readable = language in HIBARI_LANGUAGES and all(real.at[row, "texts"])
            attacks[row] = "lpc" if attack == "hibari" and not readable else attack
    return list(attacks)


def _names(table: pd.DataFrame) -> list[str]:
    names = []
    for row in table.itertuples():
        folder = ("Real" if row.label else "Fake") if row.corpus == "custom" else ("real" if row.label else "fake")
        stem = f"{row.language}_{row.speaker}_{row.attack}_{row.sentence}_{row.start:g}".replace("/", ".")
        names.append("/".join(part for part in (row.split, folder, re.sub(r"[^\w.+-]", "-", stem)) if part))
    return names


def _draw(*key: object) -> float:
    """Return a number in [0, 1) that depends on `key` alone."""
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
