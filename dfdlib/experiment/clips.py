"""Which clips of a profile are for what: its corpora, their splits, and what a recipe may be trained on."""

import contextlib
import dataclasses
import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfdlib.data import corpus as reader
from dfdlib.data.corpus import Corpus
from dfdlib.errors import DataError, ParameterError
from dfdlib.experiment import profile
from dfdlib.experiment.memo import once

#: The corpora of the study and the domain that the baseline was trained on, in the order of the report.
CORPORA = ("for-2seconds", "custom", "source")
#: The corpus that the detector is fine-tuned on.
TARGET = "for-2seconds"
#: The share of the custom set's bona fide clips whose speakers a recipe may train on.
ADAPTATION_SHARE = 0.4


class Clips:
    """The clips of a profile.

    Parameters
    ----------
    settings : Profile
    """

    def __init__(self, settings: profile.Profile) -> None:
        self.profile = settings

    @property
    def corpora(self) -> list[str]:
        """The names of the corpora that this profile has."""
        return [name for name in CORPORA if self._place(name) is not None]

    def splits(self, name: str) -> list[str | None]:
        """Return the splits of a corpus, in the order of their use; [None] where it has none."""
        found = set(self._whole(name).table["split"])
        return [split for split in ("training", "validation", "testing") if split in found] or [None]

    @once
    def corpus(self, name: str, *, split: str | None = "testing") -> Corpus:
        """Return a corpus: its testing split, another split, or all of it (None); no split where it has none.

        What the profile's recipe is trained on is never among the testing clips.

        Raises
        ------
        ParameterError
            The profile has no such corpus.
        DataError
            Its folder is missing or has one class only.
        """
        chosen = self.profile.recipes.get(self.profile.recipe)
        if split == "testing" and chosen is not None and name == "custom" and name in chosen.also:
            return self.held_out(name)
        whole = self._whole(name)
        limit = self.profile.limit
        if split is not None and _has_splits(whole):
            return whole.split(split).head(limit)
        if limit is None:
            return whole
        parts = [dataclasses.replace(whole, table=rows).head(limit).table for _, rows in whole.table.groupby("split")]
        return dataclasses.replace(whole, table=pd.concat(parts, ignore_index=True))

    def held_out(self, name: str) -> Corpus:
        """Return the testing clips of a corpus that no recipe is trained on: of custom, the speakers who are left."""
        return self._custom_parts()[1] if name == "custom" else self.corpus(name)

    def extra_clips(self, name: str) -> Corpus:
        """Return what a recipe may be trained on beside the target.

        Of custom, the first part of a split by speaker; of source, the validation split, which the baseline was not
        trained on.

        Raises
        ------
        DataError
            The profile has no such corpus, it has no splits, or its speakers are not known.
        """
        if self._place(name) is None:
            raise DataError(f"this profile has no corpus {name!r}")
        if name != "custom" and not _has_splits(self._whole(name)):
            raise DataError(f"{name} has no splits: all of it is tested on")
        return self._custom_parts()[0] if name == "custom" else self.corpus(name, split="validation")

    def tested(self, *, without: Collection[str] = ()) -> list[Corpus]:
        """Return the testing clips of every corpus; of those in `without`, what is held out."""
        found = []
        for name in self.corpora:
            # A corpus that cannot be read is not tested on; the caller that needs it gets the error.
            with contextlib.suppress(DataError):
                found.append(self.held_out(name) if name in without else self.corpus(name))
        return found

    def keep_apart(self, roles: Mapping[str, Sequence[Corpus]]) -> None:
        """Refuse roles that share a sound (`keep_apart`), unless the profile allows it."""
        if not self.profile.allow_shared_clips:
            keep_apart(roles, unless="--set allow_shared_clips=true goes on all the same, and the report says so")

    @once
    def _whole(self, name: str) -> Corpus:
        place = self._place(name)
        if place is None:
            raise ParameterError(
                f"profile {self.profile.name}: has no corpus {name!r}; it has {', '.join(self.corpora)}"
            )
        if not place.exists():
            raise DataError(f"there is no such folder; {self._remedy(name, place)}", path=place)
        public = getattr(self.profile.data.corpora, name.replace("-", "_"))
        return reader.read(place, name=name, corpus=public, remembered=profile.remembered())

    @once
    def _custom_parts(self) -> tuple[Corpus, Corpus]:
        """Return the custom set in two: the speakers that a recipe may be trained on, and those who are left."""
        first, second = self._whole("custom").split_by_speaker(share=ADAPTATION_SHARE, seed=self.profile.seed)
        return first.head(self.profile.limit), second.head(self.profile.limit)

    def _place(self, name: str) -> Path | None:
        return getattr(self.profile.data, name.replace("-", "_"), None)

    def _remedy(self, name: str, place: Path) -> str:
        build = self.profile.data.build
        if build and place.is_relative_to(profile.root() / "data" / build):
            return f"'dfd data build {build}' makes it"
        key = f"data.{name.replace('-', '_')}"
        what = (
            "training/, validation/ and testing/, each with Real/ and Fake/," if name == TARGET else "Real/ and Fake/"
        )
        return f"put {what} with clips there, or name another folder with --set {key}=FOLDER"


def keep_apart(roles: Mapping[str, Sequence[Corpus]], *, unless: str = "") -> None:
    """Refuse clips of different roles (training, validation, testing) that have a sound in common.

    Parameters
    ----------
    roles : mapping of str to sequence of Corpus
    unless : str
        What else the message says can be done.

    Raises
    ------
    DataError
        Two roles have a sound (by its SHA-256) in common.
    """
    paths = {role: {} for role in roles}
    for role, several in roles.items():
        for one in several:
            paths[role] |= dict(zip(one.table["sha256"], one.table["path"], strict=True))
    for first, second in itertools.combinations(roles, 2):
        if not (common := sorted(paths[first].keys() & paths[second].keys())):
            continue
        names = {corpus.name for role in (first, second) for corpus in roles[role] if not _has_splits(corpus)}
        sounds = "1 sound is" if len(common) == 1 else f"{len(common)} sounds are"
        if TARGET in names:
            remedy = f"{TARGET} has no splits: put its clips into training/, validation/ and testing/"
        else:
            places = dict.fromkeys(paths[role][common[0]] for role in (first, second))
            remedy = f"the first is {' and '.join(places)}; leave each in one of them"
        raise DataError(
            f"{sounds} for both {first} and {second}, which would make the figures too good: {remedy}"
            + (f" ({unless})" if unless else "")
        )


def _has_splits(corpus: Corpus) -> bool:
    return bool((corpus.table["split"] != "").any())
