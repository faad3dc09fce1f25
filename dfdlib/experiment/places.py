"""Where the corpora of a profile are, and which of them are score files in the place of clips."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from dfdlib.errors import DfdError


class _Settings(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ScoreFiles(_Settings):
    """Scores of the profile's detector that are there already, in the place of clips: there is no audio."""

    before: Path  #: a list of scores before fine-tuning, in any form of `data.score_lists`
    after: Path
    key: Path | None = None  #: the labels; none where both lists have them
    form: str | None = None  #: as `data.keys.trials` takes it
    subset: str | None = None  #: as well
    higher: Literal["bonafide", "spoof"] = "bonafide"  #: what a higher score means in the lists

    @property
    def files(self) -> list[Path]:
        """The lists and the key."""
        return [path for path in (self.before, self.after, self.key) if path is not None]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _take_scores(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "scores" not in values:
            return values
        if not isinstance(scores := values["scores"], dict):
            raise ValueError(
                "a report is on one detector before and after fine-tuning: write 'scores: {before: …, after: …}'; "
                "'dfd evaluate' takes a single list"
            )
        return {name: value for name, value in values.items() if name != "scores"} | scores


#: What is said of score files where clips are looked at.
NO_AUDIO = "its scores were given, and there is no audio"
#: The corpora of the study and the domain that the baseline was trained on, in the order of the report.
CORPORA = ("for-2seconds", "custom", "source")
# What another corpus may be called: it is the name of files, and a heading.
_NAME = re.compile(r"(?!between$)[A-Za-z0-9][\w.-]{0,39}")


#: A folder, a manifest, or score files.
Place = Annotated[
    Annotated[Path, pydantic.Tag("path")] | Annotated[ScoreFiles, pydantic.Tag("scores")],
    pydantic.Discriminator(lambda value: "scores" if isinstance(value, dict | ScoreFiles) else "path"),
]


class Data(_Settings):
    """Where the corpora are; a corpus that is null has no chapter.

    ``custom: {path: …, corpus: in-the-wild}`` is short for the path there and the name in ``corpora``, which says which
    public corpora the data are, as `data.corpora.describe` takes them; folders and manifests have none. ``custom:
    {scores: {before: …, after: …}, key: …}`` is score files. ``others`` has any more corpora of either kind, by name.
    """

    for_2seconds: Path
    custom: Place
    source: Path | None = None
    others: dict[str, Place | None] = {}
    build: Literal["demo"] | None = None
    corpora: dict[str, str | None] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _take_names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        others = values.get("others") or {}
        public: dict = {}

        def short(name: str, one: Any) -> Any:
            if not (isinstance(one, dict) and "path" in one and set(one) <= {"path", "corpus"}):
                return one
            public[name] = one.get("corpus")
            return one["path"]

        places = {name: short(name, one) for name, one in values.items()}
        if isinstance(others, dict):
            places["others"] = {str(name): short(str(name), one) for name, one in others.items()}
        return places | {"corpora": public | (values.get("corpora") or {})}

    @pydantic.model_validator(mode="after")
    def _are_known(self) -> "Data":
        from dfdlib.data import corpora

        taken = {*CORPORA, *(name.replace("-", "_") for name in CORPORA)}
        for name in self.others:
            if not _NAME.fullmatch(name) or name in taken:
                raise ValueError(
                    f"others: {name!r} cannot be the name of a corpus; take another one, of letters, digits and hyphens"
                )
        for name, public in self.corpora.items():
            if name not in taken | self.others.keys():
                raise ValueError(f"corpora: there is no corpus {name!r}; name it in others")
            if public is not None:
                try:
                    corpora.describe(public)
                except DfdError as error:
                    raise ValueError(f"corpora.{name}: {error}") from error
        return self

    @property
    def places(self) -> dict[str, Path | ScoreFiles]:
        """Every corpus that there is, in the order of the report."""
        found = {name: getattr(self, name.replace("-", "_")) for name in CORPORA} | self.others
        return {name: place for name, place in found.items() if place is not None}

    def mapped(self, change: Callable[[Path], Path]) -> "Data":
        """Return the same with every path changed."""

        def changed(one: Any) -> Any:
            if isinstance(one, ScoreFiles):
                return one.model_copy(update={name: change(path) for name, path in one if isinstance(path, Path)})
            return change(one) if isinstance(one, Path) else one

        others = {name: changed(one) for name, one in self.others.items()}
        return self.model_copy(update={name: changed(one) for name, one in self} | {"others": others})

    @property
    def files(self) -> list[Path]:
        """Every file and folder that is named here."""
        return [path for one in self.places.values() for path in (one.files if isinstance(one, ScoreFiles) else [one])]

    def public(self, name: str) -> str | None:
        """Return which public corpus one is, if it is one."""
        return self.corpora.get(name.replace("-", "_") if name in CORPORA else name)
