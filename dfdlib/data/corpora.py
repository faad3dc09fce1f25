"""Descriptions of public corpora: how their lists and folders look, how many clips they have, where to get them.

All of them are entries of ``corpora.yaml``, read by one reader (`protocols`, `members`). A corpus of your own is a YAML
file with one such entry, or just the columns of its list.
"""

import functools
import importlib.resources
import re
from pathlib import Path
from typing import Literal

import pydantic
import yaml

from dfdlib.data.labels import SPLIT_WORDS
from dfdlib.errors import DataError, ParameterError

_FILE = importlib.resources.files("dfdlib.data") / "corpora.yaml"

# Lists of a corpus that is described by its columns alone.
_ANY_LIST = r".*\.(txt|csv|tsv|trl|trn|lst|list|protocol|meta)"


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class List(_Entry):
    """One kind of list of a corpus."""

    files: str  # pattern of the end of the list's path, see `pattern`; what it captures becomes a column
    # Columns in order, for a list without headings: ``-`` for one without a meaning; those in brackets may be absent.
    columns: str = ""
    headings: dict[str, str] = {}  # columns by their heading, for a list with headings. Others keep their own heading.
    # Classes of words that `labels.LABEL_WORDS` lacks: bonafide, spoof or skip; ``*`` stands for any other word.
    labels: dict[str, Literal["bonafide", "spoof", "skip"]] = {}
    splits: dict[str, str] = {}  # splits of words that `labels.SPLIT_WORDS` lacks; ``*`` stands for any other word
    make: dict[str, str] = {}  # columns made of others, as ``{list}/{path}``
    only_with: dict[str, str] = {}  # columns that are empty where another is

    @property
    def layouts(self) -> dict[int, list[str]]:
        """The columns by their number, for a list without headings."""
        needed, _, more = self.columns.partition("[")
        columns, more = needed.split(), more.rstrip(" ]").split()
        return {len(some): some for some in (columns, columns + more)} if columns else {}

    @pydantic.model_validator(mode="after")
    def _names_clips(self) -> "List":
        if self.columns and "path" not in self.columns.split():
            raise ValueError("columns has no 'path'; call the column with the clips' names so")
        return self


class Folders(_Entry):
    """Clips whose place tells what they are: a pattern of the end of their paths (see `pattern`), and their class."""

    path: str
    label: Literal["bonafide", "spoof", ""] = ""


class Source(_Entry):
    """Where files are downloaded from."""

    zenodo: tuple[str, ...] = ()  # numbers of records
    urls: dict[str, str] = {}  # addresses, with their checksum as ``md5:…`` where one is published
    # Names of data sets there.
    kaggle: str = ""
    huggingface: str = ""
    only: str = ""  # pattern of the files that are taken of a repository of Hugging Face
    folder: str = ""  # what to call the folder, where several corpora come together
    steps: str = ""  # what a person has to do, beside or instead

    @property
    def places(self) -> list[str]:
        """The addresses for people; none where nothing can be downloaded."""
        found = [f"https://zenodo.org/records/{number}" for number in self.zenodo] + list(self.urls)
        found += [f"https://www.kaggle.com/datasets/{self.kaggle}"] if self.kaggle else []
        return found + ([f"https://huggingface.co/datasets/{self.huggingface}"] if self.huggingface else [])


class Description(_Entry):
    """One corpus."""

    # `title`, `what`, `licence` and `home` are for people.
    title: str
    what: str = ""
    lists: tuple[List, ...] = ()
    folders: tuple[Folders, ...] = ()  # rules for clips that no list names; the first that fits counts
    names: str = ""  # regular expression of its clips' names, which tells its lists from those of others
    inside: str = ""  # name of the folder that holds it, where it comes together with others
    part: str = "all"  # the part that published figures are on: a subset, a split, or "all"
    counts: dict[str, int] = {}  # clips as published, by part, checked against the lists or their publication
    unverified: dict[str, int] = {}  # the same where that was not possible: shown as "about", and compared with nothing
    hours: float | None = None
    licence: str = "not stated"
    home: str = ""
    pair: str = ""  # column that names the bona fide recording of each spoof
    segments: str = ""  # pattern of files with the labels of a clip's segments, as ``{clip}\.vad``
    get: Source = Source()

    @property
    def size(self) -> tuple[int, bool]:
        """How many clips there are, 0 where nobody says, and whether that was checked."""
        known = self.unverified | self.counts
        parts = {"all"} if "all" in known else set(SPLIT_WORDS.values())
        if not parts <= known.keys():
            return 0, True
        return sum(known[part] for part in parts), parts <= self.counts.keys()

    @pydantic.model_validator(mode="after")
    def _tells_clips(self) -> "Description":
        if not self.lists and not self.folders:
            raise ValueError("has neither lists nor folders; describe one of them")
        for text in (self.names, *(one.files for one in self.lists), *(one.path for one in self.folders)):
            try:
                pattern(text)
            except re.error as error:
                raise ValueError(f"the pattern {text!r} is wrong ({error}); correct it") from error
        return self


def pattern(text: str) -> re.Pattern:
    """Return the regular expression of a pattern: the end of a path with slashes, where ``{name}`` captures a part."""
    text = re.sub(r"\{([a-z_]+)\}", r"(?P<\1>[^/]+?)", text)
    return re.compile(rf"(?:^|/){text}$")


@functools.cache
def all_of_them() -> dict[str, Description]:
    """Return the descriptions that come with the package, by name."""
    entries = yaml.load(_FILE.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {name: _described(entry, origin=f"{_FILE}: {name}") for name, entry in entries.items()}


def describe(name: str) -> tuple[str, Description, str]:
    """Return name, description and part of a corpus.

    It is named by one of `all_of_them`, with ``/PART`` for another part than the published one; by a ``.yaml`` file
    with a description; or by the columns of a list, as "speaker path - attack label".
    """
    if " " in name.strip() and "path" in name.split():
        entry = {"title": "list", "lists": [{"files": _ANY_LIST, "columns": name}]}
        return "list", _described(entry, origin=repr(name)), "all"
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        description = _described(read_yaml(Path(name)), origin=name)
        return Path(name).stem, description, description.part
    word, _, part = name.strip().partition("/")
    word = word.lower().replace("_", "-")
    description = all_of_them().get(word)
    if description is None:
        raise ParameterError(
            f"corpus {name!r}: there is none of that name; choose {', '.join(all_of_them())}, a .yaml file that "
            "describes it, or the columns of its list"
        )
    return word, description, part or description.part


def read_yaml(path: Path) -> object:
    """Return what a YAML file holds, or refuse it."""
    try:
        return yaml.safe_load(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read ({error}); check the path", path=path) from error
    except yaml.YAMLError as error:
        raise DataError(f"is not YAML ({' '.join(str(error).split())}); correct it", path=path) from error


def _described(entry: object, *, origin: str) -> Description:
    try:
        return Description.model_validate(entry)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = f"; there are {', '.join(Description.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise ParameterError(f"{origin}: {where + ': ' if where else ''}{first['msg']}{known}") from error
