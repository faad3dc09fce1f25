"""Find the files below folders, without opening them, and account for each.

A file is a clip to try, left out with a reason, or counted by its kind: hidden files, and those whose suffix says that
they are no sound. Files with an unknown suffix are tried by their content.

Symbolic links to folders are followed, except back to a folder that they are in. A clip has the path by which it was
reached, as it is its place there that tells its class.
"""

import functools
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dfdlib.text import is_text, one_line

#: Files with these suffixes claim to be sound: one that cannot be decoded is left out with the reason.
SOUND = frozenset(
    ".wav .wave .flac .ogg .oga .ogx .opus .spx .mp1 .mp2 .mp3 .mpga .m4a .m4b .m4r .aac .adts .latm .mp4 .m4v .mov "
    ".3gp .3gpp .3g2 .mkv .mka .webm .weba .avi .flv .mpg .mpeg .wma .wmv .asf .rm .ra .aif .aiff .aifc .au .snd .caf "
    ".w64 .rf64 .bwf .sph .nist .ircam .sf .paf .svx .8svx .iff .avr .voc .wve .amr .awb .gsm .qcp .ac3 .eac3 .dts .wv "
    ".ape .tta .tak .shn .mpc .dsf .g722 .g723_1 .g726 .g729 .ilbc .lc3 .sln .pcm .ulaw .alaw".split()
)

#: Files with these suffixes are no sound, and are counted without being opened.
NO_SOUND = frozenset(
    ".txt .csv .tsv .json .jsonl .ndjson .yaml .yml .toml .ini .cfg .conf .xml .html .htm .css .js .md .rst .log .pdf "
    ".doc .docx .xls .xlsx .ppt .pptx .odt .ods .rtf .tex .bib .url .lnk .png .jpg .jpeg .gif .bmp .tif .tiff .svg "
    ".webp .ico .heic .psd .eps .py .pyc .pyi .ipynb .sh .bat .ps1 .c .h .cc .cpp .hpp .java .class .jar .r .m .pl "
    ".rb .go .rs .lock .npy .npz .pkl .pickle .pt .pth .ckpt .safetensors .onnx .tflite .pb .h5 .hdf5 .mat .parquet "
    ".feather .arrow .db .sqlite .sqlite3 .zip .tar .gz .tgz .bz2 .xz .zst .7z .rar .lab .textgrid .eaf .srt .vtt "
    ".ass .lrc .ctm .stm .rttm .trn .trans .phn .wrd .scp .ark .md5 .sha1 .sha256 .asc .sig .mid .midi .m3u .m3u8 .pls "
    ".xspf .cue .mpd .sdp .exe .dll .so .o .a .iso .ttf .woff .woff2".split()
)

#: Kinds of files without a usable suffix.
HIDDEN, NAMELESS = "hidden", "without a known suffix"

NOT_TEXT = "its name is not UTF-8, so no table can hold it; rename it"

# Longest suffix; longer ones follow a full stop in a sentence.
_LONGEST_SUFFIX = 12
# Kinds of other files named in a line.
_NAMED = 8


def named(other: Mapping[str, int]) -> str:
    """Say in a line how many other files there are, as "7 other files: 5 .txt, 2 .json"; "" where there is none."""
    counts = sorted(other.items(), key=lambda item: (-item[1], item[0]))
    kinds = [f"{count} {kind}" for kind, count in counts[:_NAMED]]
    if rest := counts[_NAMED:]:
        kinds.append(f"{sum(count for _, count in rest)} of {len(rest)} more kinds")
    total = sum(other.values())
    return f"{total} other file{'' if total == 1 else 's'}: {', '.join(kinds)}" if total else ""


class Clip(NamedTuple):
    """A file to be tried."""

    path: str  # by which it was reached
    real: str  # where it lies: the same for two paths to one file. A hard link is a file of its own, as a copy is.
    told: Any  # what the names of the folders above it tell
    sought: bool  # whether its suffix says nothing, so that it need not be sound


class _Folder(NamedTuple):
    path: str
    real: str
    told: Any
    above: tuple[str, ...] = ()
    linked: bool = False


class Search:
    """A search of one or several folders, each of which is gone through once.

    `tell` (told, name) returns what is known in a folder of that name, from what is known in the folder that it is in.
    `keep` (path) tells which files that are no sound are kept for the caller, in `kept`. `left_out` has a path and a
    reason for files that cannot be clips, and folders that cannot be read; paths in `used` are passed over.
    """

    def __init__(self, tell: Callable[[Any, str], Any], *, keep: Callable[[str], bool] | None = None) -> None:
        self.kept: list[str] = []
        self._keep = keep
        self.left_out: list[tuple[str, str]] = []
        self.used: set[str] = set()
        self._tell = tell
        self._other: Counter[str] = Counter()
        self._linked: list[tuple[str, str]] = []
        self._seen: set[str] = set()
        # A folder that two paths lead to is gone through again where the paths tell different things of it. As they
        # tell few different things, even folders full of links to each other come to an end.
        self._done: set[tuple[str, Any]] = set()

    @property
    def other(self) -> dict[str, int]:
        """How many files there are of each other kind."""
        # A link to a file below the same folders is no file more.
        return dict(self._other + Counter(kind for kind, place in self._linked if place not in self._seen))

    def below(self, root: str, *, told: Any) -> list[Clip]:
        """Return the clips below an absolute path that no earlier search came to, by folders and names.

        Those that a link led to come last: the other path to such a clip is the better one.
        """
        direct, linked = [], []
        real = os.path.realpath(root)
        todo, links = [_Folder(root, real, told, (real,))], []
        while todo or links:
            if not todo:
                # What is really there comes first: a clip is called by its own name where both names tell the same.
                todo, links = sorted(links, reverse=True), []
            folder = todo.pop()
            if (folder.real, folder.told) in self._done:
                continue
            self._done.add((folder.real, folder.told))
            first = folder.real not in self._seen
            self._seen.add(folder.real)
            for entry in self._entries(folder, first):
                path, link = entry.path, entry.is_symlink()
                if link or folder.path != folder.real:
                    real = os.path.realpath(path) if link else os.path.join(folder.real, entry.name)
                else:
                    real = path  # the same string, which takes memory once
                if not _holds(entry.is_dir):
                    if self._is_clip(entry, real, first):
                        sought = kind_of(path) not in SOUND
                        (linked if link or folder.linked else direct).append(Clip(path, real, folder.told, sought))
                elif not link:
                    inner = (*folder.above, real)
                    todo.append(_Folder(path, real, self._tell(folder.told, entry.name), inner, folder.linked))
                elif real not in folder.above:
                    links.append(_Folder(path, real, self._tell(folder.told, entry.name), (*folder.above, real), True))
        return [*sorted(direct, key=order), *sorted(linked, key=order)]

    def _entries(self, folder: _Folder, first: bool) -> Iterator[os.DirEntry]:
        """Yield what is in a folder; what has no proper name, and that it cannot be read, is noted the first time."""
        try:
            # Fails in a folder whose names can be read, and nothing else.
            os.stat(os.path.join(folder.path, os.curdir))
            with os.scandir(folder.path) as entries:
                for entry in entries:
                    if is_text(entry.name):
                        yield entry
                    elif first:
                        self.left_out.append((one_line(entry.path), NOT_TEXT))
        except OSError as error:
            if first:
                reason = f"this folder cannot be read ({error.strerror}), so its clips are left out; see to its rights"
                self.left_out.append((folder.path, reason))

    def _is_clip(self, entry: os.DirEntry, real: str, first: bool) -> bool:
        """Tell whether a file is to be tried; if not, it is noted the first time."""
        if entry.path in self.used:
            return False
        is_file, is_link = _holds(entry.is_file), entry.is_symlink()
        # What a link is called may say that it is no sound, and what it leads to as well.
        kinds = [kind_of(entry.path), *([kind_of(real)] if is_link else [])]
        if self._keep is not None and is_file and kinds[0] not in SOUND and self._keep(entry.path):
            self.kept += [entry.path] if first else []
            return False
        if kinds[0] != HIDDEN and NO_SOUND.isdisjoint(kinds):
            if not is_file and first:
                what = "a link to nothing that can be read" if is_link else "a pipe, a socket or a device, not a file"
                self.left_out.append((entry.path, f"is {what}; remove it"))
            return is_file
        kind = next((kind for kind in kinds if kind in NO_SOUND), kinds[0])
        if is_link and is_file:
            self._linked.append((kind, os.path.dirname(real)))
        elif first:
            self._other[kind] += 1
        return False


def order(clip: Clip) -> str:
    """Return a key that sorts clips folder by folder: no name holds a zero, which sorts first."""
    return clip.path.replace(os.sep, "\0")


def _holds(test: Callable[[], bool]) -> bool:
    """Return the result of a test of a directory entry; False for circular and unreadable links."""
    try:
        return test()
    except OSError:
        return False


def kind_of(path: str) -> str:
    """Return what other files of its kind are counted under: a suffix, `HIDDEN` or `NAMELESS`."""
    name = os.path.basename(path)
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith("."):
        return HIDDEN
    return suffix if len(suffix) <= _LONGEST_SUFFIX and suffix[1:].replace("_", "").isalnum() else NAMELESS


def place(given: str | Path) -> tuple[Path, bool, str]:
    """Return where a path leads, without steps back, whether to a folder, and why it cannot be used ("" if it can)."""
    # Symbolic links are not followed here: it is the place a user gave a clip that tells its class.
    path = Path(given).absolute()
    if not is_text(str(path)):
        return path, False, NOT_TEXT
    try:
        status = os.stat(path)
        # A step back from a link leads elsewhere than it seems.
        plain = Path(os.path.normpath(path)) if os.pardir in path.parts else path
        if plain != path and os.path.exists(plain) and os.path.samestat(status, os.stat(plain)):
            path = plain
        return path, stat.S_ISDIR(status.st_mode), ""
    except (FileNotFoundError, NotADirectoryError):
        return path, False, "there is no such file or folder; check the path"
    except OSError as error:
        return path, False, f"cannot be reached ({error.strerror}); check the path"
    except ValueError:
        return path, False, "holds a zero byte, which no path can; write the list of paths as UTF-8"


def real(path: str) -> str:
    """Return where a file lies, by whatever links it was named."""
    folder, name = os.path.split(path)
    target = os.path.join(_real_folder(folder), name)
    if name in ("", os.curdir, os.pardir) or os.path.islink(target):
        return os.path.realpath(path)
    return path if target == path else target  # a second string only where it differs


@functools.lru_cache(maxsize=1_000)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)
