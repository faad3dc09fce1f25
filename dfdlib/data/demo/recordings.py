"""List the recorded speech in the unpacked packages, with what its packages say about it, and measure it."""

import gzip
import re
import unicodedata
import xml.etree.ElementTree
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

#: Language code to the folder of a voice in Debian's asterisk-core-sounds packages.
PROMPT_VOICES = {
    "en": ("en_US_f_Allison", "allison"),
    "es": ("es_MX_f_Allison", "allison"),
    "fr": ("fr_CA_f_June", "june"),
    "it": ("it_IT_m_Carlo", "carlo"),
    "ru": ("ru_RU_f_IvrvoiceRU", "ivrvoice-ru"),
}
WORD_PACKAGES = ("klettres-data", "ktuberling-data")
PACKAGES = (
    *(f"asterisk-core-sounds-{language}{kind}" for language in PROMPT_VOICES for kind in ("-g722", "")),
    *WORD_PACKAGES,
)

# Three copies of the Serbian recordings under names of script and dialect.
_REPEATED = {"sr@ijekavian", "sr@ijekavianlatin", "sr@latin"}
# Tunes and noises among the words of ktuberling.
_NO_SPEECH = re.compile(r"theme|shoot|say-zzz|tux-zzz|laugh")
_NOTE = re.compile(r"\[[^\]]*\]|<[^>]*>|\([^)]*\)")

COLUMNS = ("recording", "file", "package", "language", "speaker", "sentence", "text")


def catalogue(root: str | Path) -> pd.DataFrame:
    """Return a row for every recording of speech below `root`, an unpacked system.

    Returns
    -------
    DataFrame
        ``recording`` (an id), ``file`` (relative to `root`), ``package``, ``language``, ``speaker``, ``sentence``
        (an id; a prompt has the same one in every language) and ``text`` ("" where the package has none).
    """
    root = Path(root)
    rows = [*_prompts(root), *_words(root)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("recording", ignore_index=True)


def parse_transcripts(text: str) -> dict[str, str]:
    """Read ``name: words`` lines of a transcript; notes in brackets are not spoken, and a line of notes no speech."""
    transcripts = {}
    for line in text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").splitlines():
        name, colon, words = line.partition(":")
        words = " ".join(_NOTE.sub(" ", words).split())
        if colon and not name.startswith(";") and re.search(r"\w", words):
            transcripts[name.strip()] = unicodedata.normalize("NFC", words)
    return transcripts


def measure(table: pd.DataFrame, *, look: Callable[[str], tuple[float, str]], map_: Callable = map) -> pd.DataFrame:
    """Add to each recording the ``seconds`` of speech in it, and the ``reason`` why it cannot be used, if any.

    Parameters
    ----------
    table : DataFrame
        As `catalogue` returns.
    look : callable
        File name to (seconds, reason); the reason is "" for a usable recording.
    map_ : callable
        The `map` of a pool, to use several processes.
    """
    seen = pd.DataFrame(list(map_(look, table["file"])), columns=["seconds", "reason"], index=table.index)
    return table.assign(seconds=seen["seconds"], reason=seen["reason"])


def _prompts(root: Path) -> Iterable[tuple]:
    for language, (folder, speaker) in PROMPT_VOICES.items():
        package = f"asterisk-core-sounds-{language}"
        transcript = root / f"usr/share/doc/{package}/core-sounds-{language}.txt.gz"
        if not transcript.is_file():
            continue
        texts = parse_transcripts(gzip.decompress(transcript.read_bytes()).decode("utf-8", errors="replace"))
        sounds = root / "usr/share/asterisk/sounds" / folder
        for file in sounds.rglob("*.g722"):
            sentence = file.relative_to(sounds).with_suffix("").as_posix()
            # A file without a transcript is a tone or a silence.
            if sentence in texts:
                name = file.relative_to(root).as_posix()
                yield f"{folder}/{sentence}", name, f"{package}-g722", language, speaker, sentence, texts[sentence]


def _words(root: Path) -> Iterable[tuple]:
    for package in WORD_PACKAGES:
        game = package.removesuffix("-data")
        base = root / "usr/share" / game / ("sounds" if game == "ktuberling" else "")
        for folder in base.glob("*/"):
            language = folder.name
            if language in _REPEATED:
                continue
            texts = _klettres_texts(folder / "sounds.xml") if game == "klettres" else {}
            for file in folder.rglob("*"):
                if file.suffix not in {".ogg", ".opus", ".wav"} or _NO_SPEECH.search(file.stem):
                    continue
                name = file.relative_to(root).as_posix()
                inside = file.relative_to(base).with_suffix("").as_posix()
                text = texts.get(file.relative_to(base).as_posix(), "")
                speaker = f"{game}-{language}"
                yield f"{game}/{inside}", name, package, language, speaker, f"{game}/{inside}", text


def _klettres_texts(file: Path) -> dict[str, str]:
    try:
        sounds = xml.etree.ElementTree.parse(file).iter("sound")
    except (OSError, xml.etree.ElementTree.ParseError):
        return {}
    return {sound.get("file", ""): unicodedata.normalize("NFC", sound.get("name", "")).lower() for sound in sounds}
