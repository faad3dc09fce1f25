"""List the recorded speech in the unpacked packages, with what its packages say about it, and measure it."""

import gzip
import re
import unicodedata
import xml.etree.ElementTree
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from dfdlib.data import audio
from dfdlib.data.demo import chain
from dfdlib.errors import DataError

#: Language code to the folder of a voice in Debian's asterisk-core-sounds packages, and who speaks.
PROMPT_VOICES = {
    "en": ("en_US_f_Allison", "allison"),
    "es": ("es_MX_f_Allison", "allison"),
    "fr": ("fr_CA_f_June", "june"),
    "it": ("it_IT_m_Carlo", "carlo"),
    "ru": ("ru_RU_f_IvrvoiceRU", "ivrvoice-ru"),
}
#: Package of telephone prompts to language, folder and who speaks. The core sounds say the same prompts.
TELEPHONE_VOICES = {
    "asterisk-prompt-it-menardi-gsm": ("it", "it_IT_f_Menardi", "menardi"),
    "asterisk-prompt-es-co": ("es", "es", "july-jimenez"),
    "asterisk-prompt-fr-armelle": ("fr", "fr", "armelle"),
}
WORD_PACKAGES = ("klettres-data", "ktuberling-data")
STAMPS = "tuxpaint-stamps-default"
DIALOGUES = {"fillets-ng-data-cs": "cs", "fillets-ng-data-nl": "nl"}
SYLLABLES = "gcin-voice"
READINGS = "festvox-ru"
PACKAGES = (
    *(f"asterisk-core-sounds-{language}{kind}" for language in PROMPT_VOICES for kind in ("-g722", "")),
    *WORD_PACKAGES,
    *(STAMPS, *DIALOGUES, SYLLABLES, READINGS, *TELEPHONE_VOICES),
)

# Three copies of the Serbian recordings under names of script and dialect.
_REPEATED = {"sr@ijekavian", "sr@ijekavianlatin", "sr@latin"}
# Tunes and noises among the words of ktuberling.
_NO_SPEECH = re.compile(r"theme|shoot|say-zzz|tux-zzz|laugh")
_NOTE = re.compile(r"\[[^\]]*\]|<[^>]*>|\([^)]*\)")

SHORTEST = 0.15  # s of speech that a recording must hold
LOWEST_RATE = 16_000  # Hz; recordings below have not the bandwidth of the rest, and are for the telephone

COLUMNS = ("recording", "file", "package", "language", "speaker", "sentence", "text")


def catalogue(root: str | Path) -> pd.DataFrame:
    """Return a row for every recording of speech below `root`, an unpacked system.

    Returns
    -------
    DataFrame
        ``recording`` (an id), ``file`` (relative to `root`), ``package``, ``language``, ``speaker``, ``sentence``
        (an id; the same one in every language and package that says it) and ``text`` ("" where the package has none).
    """
    root = Path(root)
    readers = (_prompts, _words, _stamps, _dialogues, _syllables, _readings)
    rows = [
        (recording, file.relative_to(root).as_posix(), *more)
        for reader in readers
        for recording, file, *more in reader(root)
    ]
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


def measure(table: pd.DataFrame, *, root: str | Path, map_: Callable = map) -> pd.DataFrame:
    """Add to each recording the ``seconds`` of speech in it, and the ``reason`` why it cannot be used, if any.

    `map_` is that of a pool, to use several processes.
    """
    paths = [str(Path(root) / name) for name in table["file"]]
    seen = pd.DataFrame(list(map_(look, paths)), columns=["seconds", "reason"], index=table.index)
    return table.assign(seconds=seen["seconds"], reason=seen["reason"])


def look(path: str) -> tuple[float, str]:
    """Return the seconds of speech in a recording, and why it cannot be used ("" when it can)."""
    try:
        wave, rate = audio.load_at_native_rate(path, off_zero=True)  # the high-pass of `trim` takes the mean away
        if rate < LOWEST_RATE and not path.endswith(".gsm"):
            return 0.0, f"recorded at {rate} Hz"
        seconds = len(chain.trim(audio.resample(wave, rate=rate, to=audio.RATE))) / audio.RATE
    except DataError as error:
        return 0.0, str(error)
    return (seconds, "") if seconds >= SHORTEST else (seconds, f"holds {seconds:.2f} s of speech")


def _inside(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix()


def _prompts(root: Path) -> Iterable[tuple]:
    """Yield the prompts of the core sounds, and those of telephone voices that the core sounds have too."""
    sounds = root / "usr/share/asterisk/sounds"
    wide = [
        (f"asterisk-core-sounds-{language}-g722", language, folder, speaker, "g722")
        for language, (folder, speaker) in PROMPT_VOICES.items()
    ]
    narrow = [(package, *voice, "gsm") for package, voice in TELEPHONE_VOICES.items()]
    for package, language, folder, speaker, suffix in (*wide, *narrow):
        core = f"asterisk-core-sounds-{language}"
        transcript = root / f"usr/share/doc/{core}/core-sounds-{language}.txt.gz"
        if not transcript.is_file():
            continue
        texts = parse_transcripts(gzip.decompress(transcript.read_bytes()).decode("utf-8", errors="replace"))
        for file in (sounds / folder).rglob(f"*.{suffix}"):
            sentence = _inside(file, sounds / folder)
            # A file without a transcript is a tone or a silence.
            if sentence in texts:
                recording, text = f"{speaker}/{language}/{sentence}", texts[sentence]
                yield recording, file, package, language, speaker, sentence, text


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
                inside = f"{game}/{_inside(file, base)}"
                text = texts.get(file.relative_to(base).as_posix(), "")
                if game == "ktuberling" and language == "en":
                    text = file.stem.split("_")[-1]  # an English word names the file
                yield inside, file, package, language, f"{game}-{language}", inside, text


def _klettres_texts(file: Path) -> dict[str, str]:
    try:
        sounds = xml.etree.ElementTree.parse(file).iter("sound")
    except (OSError, xml.etree.ElementTree.ParseError):
        return {}
    return {sound.get("file", ""): unicodedata.normalize("NFC", sound.get("name", "")).lower() for sound in sounds}


def _stamps(root: Path) -> Iterable[tuple]:
    """Yield what volunteers say about Tux Paint's stamps; the words lie beside them, in all languages."""
    base = root / "usr/share/tuxpaint/stamps"
    # Letters, digits and the like were taken from other programs, or are the same recording several times.
    for file in sorted(base.rglob("*_desc*.ogg")):
        found = re.fullmatch(r"(.+)_desc(?:_(\w+))?", file.stem)
        stamp = _inside(file.parent, base) + "/" + found[1] if found else ""
        if not found or stamp.startswith("symbols/"):
            continue
        language = found[2] or "en"
        text = _stamp_texts(file.with_name(f"{found[1]}.txt")).get(language, "")
        recording, sentence = f"stamps/{language}/{stamp}", f"stamps/{stamp}"
        yield recording, file, STAMPS, language, f"stamps-{language}", sentence, text


def _stamp_texts(file: Path) -> dict[str, str]:
    try:
        first, *rest = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return {}
    named = dict(line.split(".utf8=", 1) for line in rest if ".utf8=" in line)
    return {language: unicodedata.normalize("NFC", text.strip()) for language, text in {**named, "en": first}.items()}


def _dialogues(root: Path) -> Iterable[tuple]:
    """Yield the lines of the two fish of Fillets; names tell who speaks, and that two languages say the same."""
    base = root / "usr/share/games/fillets-ng/sound"
    for package, language in DIALOGUES.items():
        for file in base.glob(f"*/{language}/*.ogg"):
            fish = re.search(r"-([mv])-", file.stem)
            if fish:
                sentence = f"fillets/{file.parent.parent.name}/{file.stem}"
                speaker = f"fillets-{language}-{fish[1]}"
                yield f"{language}/{sentence}", file, package, language, speaker, sentence, ""


def _syllables(root: Path) -> Iterable[tuple]:
    """Yield Mandarin syllables of two voices."""
    base = root / "usr/share/gcin-voice/ogg"
    for file in base.glob("*/[35].ogg"):
        voice, syllable = file.stem, file.parent.name
        recording, sentence = f"gcin/{voice}/{syllable}", f"gcin/{syllable}"
        yield recording, file, SYLLABLES, "zh", f"gcin-{voice}", sentence, ""


def _readings(root: Path) -> Iterable[tuple]:
    """Yield the sentences that Festival's Russian voice was made from; a plus before a vowel marks stress."""
    base = root / "usr/share/festival/voices/russian/msu_ru_nsh_clunits"
    try:
        lines = (base / "etc/txt.done.data").read_text(encoding="utf-8")
    except OSError:
        return
    for name, text in re.findall(r'^\(\s*(\w+)\s+"(.*)"\s*\)', lines, re.MULTILINE):
        file = base / "wav" / f"{name}.wav"
        if file.is_file():
            words = text.replace("+", "")
            yield f"nsh/{name}", file, READINGS, "ru", "nsh", f"nsh/{name}", words
