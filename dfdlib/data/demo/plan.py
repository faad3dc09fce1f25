"""Plan every clip of the demo corpora, as a pure function of the table of recordings.

A voice has one role, and a sentence one part: no voice and no sentence is in two splits of a corpus. Short recordings
of a voice are joined, long ones give several clips. Each bona fide clip has a spoof twin, or several.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfdlib.data.demo import chain, synthesis

#: What each voice is for. A training voice is in the training splits of both corpora, with other sentences in each.
#: Voices of which one language's packages may have recorded the same person have the same role.
ROLES = {
    "training": (
        *("allison", "ivrvoice-ru", "nsh", "stamps-bg", "stamps-es", "stamps-fr", "stamps-ru"),
        *("fillets-cs-m", "fillets-cs-v", "klettres-es", "klettres-he", "klettres-it", "klettres-nl"),
        *("klettres-lt", "klettres-uk", "ktuberling-lt", "ktuberling-uk"),
        *("ktuberling-gl", "ktuberling-nn", "ktuberling-wa"),
    ),
    "validation": ("carlo", "gcin-3", "stamps-ro", "klettres-pt_BR", "ktuberling-sl"),
    "testing": (
        *("june", "stamps-be", "stamps-ca", "stamps-el", "stamps-en", "stamps-nl", "fillets-nl-m", "fillets-nl-v"),
        *(f"klettres-{language}" for language in "ar cs en_GB hu ml nb nds tn".split()),
    ),
    "custom": (
        *(f"klettres-{language}" for language in "da de en fr ru".split()),
        *(f"ktuberling-{language}" for language in "ca da de el en fr ga ro ru sr".split()),
        "stamps-da",
    ),
    "telephone": ("menardi", "july-jimenez", "armelle"),
}
#: The role of each voice.
VOICES = {voice: role for role, voices in ROLES.items() for voice in voices}
#: Voices that say little: what they say is kept for them.
SAY_LITTLE = ("stamps-en", "stamps-nl")


@dataclass(frozen=True)
class Part:
    """A part of a corpus: whose voices, how many bona fide clips (spoof clips are as many), and what they are like."""

    corpus: str
    split: str
    role: str
    clips: int  # bona fide clips, where the recordings suffice
    share: float  # of the sentences that voices of several roles say, against the other parts
    length: tuple[float, float]  # the shortest and the longest clip, s
    attacks: dict[str, float]  # share of each attack among the spoof clips that it can make
    codec: str = ""  # the last codec of the chain; by default the one that the recording was published in
    without: tuple[str, ...] = ()  # voices of the role that are left out
    hiss: tuple[float, float] = chain.HISS  # the range of the noise that is added, dB of the clip's level
    twins: int = 1  # spoof clips of each bona fide one, by as many attacks


_SOURCE, _TWO, _ELSEWHERE = (1.0, 3.0), (2.0, 2.0), (2.0, 3.2)
_SOURCE_ATTACKS = {
    "espeak-ng": 3,
    "flite": 2,
    "festival-diphone": 2,
    "festival-units": 1,
    "griffin-lim": 3,
    "neural-vocoder": 3,
}
_TWO_ATTACKS = {"espeak-ng": 2, "flite-diphone": 1, "piper-joe": 4, "world": 3, "griffin-lim": 2}
_ELSEWHERE_ATTACKS = {"hibari": 3, "world-conversion": 1, "lpc": 1}
# Held out of training.
_SOURCE_NEW = {"espeak-klatt": 2, "festival-hts": 2}
_TWO_NEW = {"festival-hts": 2, "espeak-klatt": 2}
PARTS = {
    # More of everything than elsewhere: the baseline learns from nothing else.
    "source/training": Part(
        *("source", "training", "training", 2400, 0.30, _SOURCE, {**_SOURCE_ATTACKS, "world": 3}),
        hiss=(-70.0, -36.0),
        twins=2,
    ),
    "source/validation": Part("source", "validation", "validation", 120, 0.12, _SOURCE, _SOURCE_ATTACKS),
    "source/testing": Part("source", "testing", "testing", 210, 0.13, _SOURCE, {**_SOURCE_ATTACKS, **_SOURCE_NEW}),
    "for-2seconds/training": Part(
        "for-2seconds", "training", "training", 765, 0.25, _TWO, _TWO_ATTACKS, without=("nsh",)
    ),
    "for-2seconds/validation": Part("for-2seconds", "validation", "validation", 155, 0.10, _TWO, _TWO_ATTACKS),
    "for-2seconds/testing": Part("for-2seconds", "testing", "testing", 260, 0.15, _TWO, {**_TWO_ATTACKS, **_TWO_NEW}),
    "custom": Part("custom", "", "custom", 210, 0.15, _ELSEWHERE, _ELSEWHERE_ATTACKS, "opus", hiss=(-38.0, -30.0)),
    "telephone": Part(
        "telephone", "", "telephone", 105, 1.0, _ELSEWHERE, {"espeak-ng": 2, "world": 1, "griffin-lim": 1}, codec="gsm"
    ),
}
#: The codec that the recordings of a package were published in; "vorbis" where none is named.
PUBLISHED = {"asterisk-core": "g722", "asterisk-prompt": "gsm"}

SPARE = 0.25  # s of a recording left over, so that a clip may begin at speech
MOST_JOINED = 9  # recordings in a clip
MOST_PIECES = 4  # clips cut from one recording
SHORTEST_WORD = 0.2  # s
MOST_OF_A_VOICE, FEW_VOICES = 0.14, 10  # of a part's clips, unless it has so few
ENGLISH = 0.6  # how much earlier English clips are chosen
TOGETHER = 10  # prompts or descriptions that count as one sentence: they are joined among themselves

COLUMNS = (
    *("clip", "part", "corpus", "split", "label", "attack", "language", "speaker", "sentence"),
    *("recordings", "texts", "start", "whole", "length", "published", "codec", "hiss"),
)


def plan(recordings: pd.DataFrame, *, there: Collection[str] | None = None) -> pd.DataFrame:
    """Return a row for every clip to make of recordings, as `recordings.measure` returns them.

    `there` names the Debian packages that could be fetched; by default all count as there.

    Returns
    -------
    DataFrame
        ``clip`` (path below the corpus' folder, without suffix), ``part``, ``corpus``, ``split``, ``label``,
        ``attack``, ``language``, ``speaker``, ``sentence``, ``recordings`` (ids; of a clip that is read from text,
        those of its twin), ``texts``, ``start`` and ``length`` (s) of the clip in the ``whole`` (s) recording,
        ``published`` and ``codec`` (the first and the last of the chain), ``hiss`` (dB, a range).
    """
    table = recordings.assign(role=recordings["speaker"].map(VOICES))
    table = table[table["role"].notna() & (table["seconds"] >= SHORTEST_WORD)].sort_values("recording")
    # What a voice says twice may be two copies of a recording, and would be read twice.
    again = table.duplicated(["speaker", "language", "text"]) & (table["text"] != "")
    table = table[~(again & table["package"].str.startswith(("tuxpaint", "asterisk")))]
    table = table.assign(unit=_units(table))
    table = table.assign(part=_parts(table))
    table = table.sort_values("recording", ignore_index=True)
    rows: list[dict] = []
    for part, own in table.groupby("part", sort=False):
        clips = [clip for _, voice in own.groupby(["speaker", "language"]) for clip in _clips_of(voice, str(part))]
        rows += _allot(_choose(clips, PARTS[part].clips), PARTS[part], there)
    fake = pd.DataFrame(rows, columns=[column for column in COLUMNS if column not in {"clip", "label"}])
    real = fake.drop_duplicates(["recordings", "start"]).assign(label=1, attack="bonafide")
    fake = fake.assign(label=0)
    fake["speaker"] = [
        synthesis.voice(row.attack, language=row.language, key=row.sentence, there=there).speaker
        if row.attack in synthesis.READERS
        else row.speaker
        for row in fake.itertuples()
    ]
    table = pd.concat([real, fake], ignore_index=True)
    table["clip"] = _names(table)
    return table[list(COLUMNS)]


def related_sentences(texts: dict[str, Sequence[str]], *, words: int = 4) -> dict[str, str]:
    """Return the group of each prompt, by ids, given its texts, one a language.

    Prompts belong together when a whole sentence of at least `words` words, or their whole text, is the same.
    """
    from dfdlib.data.audit import near_duplicates

    names, links = sorted(texts), [(0, 0)]
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        for text in texts[name]:
            parts = [" ".join(re.findall(r"\w+", part.lower())) for part in re.split(r"[.?!;]+", text)]
            whole = " ".join(part for part in parts if part)
            for part in {whole, *(part for part in parts if len(part.split()) >= words)} - {""}:
                links.append((number, seen.setdefault(part, number)))
    families = near_duplicates.families(max(1, len(names)), *zip(*links, strict=True))
    groups: dict[int, str] = {}
    return {name: groups.setdefault(family, name) for name, family in zip(names, families, strict=False)}


def _units(table: pd.DataFrame) -> list[str]:
    """Return for each recording what it may not be parted from: a handful of sentences that voices share, or itself."""
    units: dict[tuple[str, str], str] = {}
    # Prompts of the telephone are a corpus of their own, and other words are said by one voice each.
    for kind in ("asterisk-core", "tuxpaint"):
        rows = table[table["package"].str.startswith(kind)]
        groups = related_sentences({name: list(own["text"]) for name, own in rows.groupby("sentence")})
        kept = {groups[sentence] for sentence in rows.loc[rows["speaker"].isin(SAY_LITTLE), "sentence"]}
        for sentence, group in groups.items():
            alike = kept if group in kept else set(groups.values()) - kept
            number = int(_draw("bundle", group) * max(1, len(alike) // TOGETHER))
            units[kind, sentence] = f"{kind}/{'kept-' if group in kept else ''}{number}"
    own = [f"telephone/{row.sentence}" if row.role == "telephone" else row.sentence for row in table.itertuples()]
    kinds = table["package"].str.extract("^(asterisk-core|tuxpaint)", expand=False)
    return [
        units.get((kind, row.sentence), alone) for kind, row, alone in zip(kinds, table.itertuples(), own, strict=True)
    ]


def _parts(table: pd.DataFrame) -> list[str]:
    """Return the part of each recording, "" for those whose sentence is for voices of another role."""
    # Not pandas' groups, here and in `_clips_of`: there are thousands of small ones.
    roles_of: dict[str, dict[bool, set[str]]] = {}
    for row in table.itertuples():
        roles_of.setdefault(row.unit, {}).setdefault(row.speaker in SAY_LITTLE, set()).add(row.role)
    chosen = {}
    for unit, said in roles_of.items():
        roles = said[True] if True in said else said[False]
        open_to = {name: part.share for name, part in PARTS.items() if part.role in roles}
        edges = np.cumsum([*open_to.values()]) / sum(open_to.values())
        place = min(int(np.searchsorted(edges, _draw("part", unit), side="right")), len(edges) - 1)
        chosen[unit] = list(open_to)[place]
    parts = []
    for row in table.itertuples():
        part = PARTS[chosen[row.unit]]
        parts.append(chosen[row.unit] if part.role == row.role and row.speaker not in part.without else None)
    return parts


def _clips_of(recordings: pd.DataFrame, part: str) -> Iterator[dict]:
    """Yield the clips of one voice: long recordings are cut, short ones that may be joined are; each is used once."""
    wanted, first = PARTS[part], recordings.iloc[0]
    codec = next((codec for start, codec in PUBLISHED.items() if first["package"].startswith(start)), "vorbis")
    alone = not first["sentence"].startswith(("klettres/", "ktuberling/", "gcin/"))
    together: dict[str, list] = {}
    for each in recordings.itertuples():
        together.setdefault(each.unit if alone else each.speaker, []).append(each)
    number = 0
    for unit, own in sorted(together.items()):
        for taken, start, whole, length in _pieces(own, wanted.length):
            yield {
                "part": part,
                "corpus": wanted.corpus,
                "split": wanted.split,
                "language": first["language"],
                "speaker": first["speaker"],
                "sentence": unit if alone else f"{unit}/{wanted.corpus}/{number}",
                "recordings": tuple(each.recording for each in taken),
                "texts": tuple(each.text for each in taken),
                "start": start,
                "whole": whole,
                "length": length,
                "published": codec,
                "codec": wanted.codec or codec,
                "hiss": wanted.hiss,
            }
            number += 1


def _pieces(recordings: list, lengths: tuple[float, float]) -> Iterator[tuple[list, float, float, float]]:
    """Yield recordings, and the start, the whole and the length (s) of a clip of them."""
    low, high = lengths
    taken: list = []
    for each in sorted(recordings, key=lambda each: _draw("order", each.recording)):
        length = round(low + _draw("length", each.recording) * (high - low), 3)
        if each.seconds >= length + SPARE:
            count = min(MOST_PIECES, int((each.seconds - SPARE) // length))
            step = (each.seconds - SPARE - length) / (count - 1) if count > 1 else 0.0
            for index in range(count):
                yield [each], round(index * step, 3), each.seconds, length
            continue
        taken.append(each)
        whole = sum(one.seconds for one in taken) + chain.WORD_GAP * (len(taken) - 1)
        if whole >= length + SPARE:
            if len(taken) <= MOST_JOINED:
                yield taken, 0.0, whole, length
            taken = []


def _choose(clips: list[dict], count: int) -> list[dict]:
    """Return `count` clips, as evenly from all voices as they have them, but more in English: most systems read it."""
    order = sorted(clips, key=lambda clip: _draw("choose", clip["recordings"], clip["start"]))
    # One voice in two languages counts as two.
    by_voice: dict[str, list[dict]] = {}
    for clip in order:
        by_voice.setdefault(f"{clip['speaker']} {clip['language']}", []).append(clip)
    most = int(MOST_OF_A_VOICE * count) if len(by_voice) >= FEW_VOICES else count
    ranked = [
        (place * (1 - ENGLISH * clip["language"].startswith("en")), clip)
        for own in by_voice.values()
        for place, clip in enumerate(own[:most])
    ]
    ranked.sort(key=lambda each: (each[0], _draw("voice", each[1]["speaker"], each[1]["language"])))
    return [clip for _, clip in ranked[:count]]


def _allot(clips: list[dict], part: Part, there: Collection[str] | None) -> list[dict]:
    """Give each clip's twins the attacks that are furthest behind their shares, of those that can make it."""
    given = dict.fromkeys(part.attacks, 0.0)
    rows = []
    for clip in sorted(clips, key=lambda clip: _draw("attack", clip["recordings"], clip["start"])):
        able = [attack for attack in part.attacks if _can(attack, clip, there)]
        for attack in sorted(able, key=lambda attack: given[attack] / part.attacks[attack])[: part.twins]:
            given[attack] += 1
            rows.append({**clip, "attack": attack})
    return rows


def _can(attack: str, clip: dict, there: Collection[str] | None) -> bool:
    """Say whether a system can make the clip; one that rebuilds recordings always can."""
    if attack not in synthesis.READERS:
        return attack in synthesis.SYSTEMS
    voices = synthesis.voices(attack, language=clip["language"], there=there)
    # A voice that is made of recordings gives them back when it reads their text.
    return all(clip["texts"]) and any(voice.name != clip["speaker"] for voice in voices)


def _names(table: pd.DataFrame) -> list[str]:
    names = []
    for row in table.itertuples():
        folder = "Real" if row.label else "Fake"
        number = f"{_draw(row.recordings, row.start) * 1e6:06.0f}"
        stem = "_".join((row.language, row.speaker, row.attack, row.sentence, number)).replace("/", ".")
        name = re.sub(r"[^\w.+-]", "-", stem)
        names.append(f"{row.split}/{folder.lower()}/{name}" if row.split else f"{folder}/{name}")
    return names


def _draw(*key: object) -> float:
    """Return a number in [0, 1) that depends on `key` alone."""
    digest = hashlib.sha256("|".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
