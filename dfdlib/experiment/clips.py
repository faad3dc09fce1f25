"""Which clips of a profile are for what: its corpora, their splits, and what a recipe may be trained on."""

import contextlib
import dataclasses
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfdlib.data import corpus as reader
from dfdlib.data import keys
from dfdlib.data.corpus import Corpus
from dfdlib.errors import DataError, ParameterError
from dfdlib.experiment import profile
from dfdlib.experiment.places import CORPORA

#: The corpus that the detector is fine-tuned on.
TARGET = "for-2seconds"
#: The share of the custom set's bona fide clips whose speakers a recipe may train on.
ADAPTATION_SHARE = 0.4


def once(method: Callable) -> Callable:
    """Let a method compute its answer to the same arguments once; the object keeps the answers as long as it lives."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def answer(self, *args, **kwargs):
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        answers = vars(self).setdefault("_answers", {})
        key = (method.__name__, *list(bound.arguments.values())[1:])
        if key not in answers:
            answers[key] = method(self, *args, **kwargs)
        return answers[key]

    return answer


class Clips:
    """The clips of a profile."""

    def __init__(self, settings: profile.Profile) -> None:
        self.profile = settings

    @property
    def corpora(self) -> list[str]:
        """The names of the corpora that this profile has."""
        return list(self.profile.data.places)

    @property
    def with_audio(self) -> list[str]:
        """The names of those that are not score files."""
        return [name for name, place in self.profile.data.places.items() if isinstance(place, Path)]

    def splits(self, name: str) -> list[str | None]:
        """Return the splits of a corpus, in the order of their use; [None] where it has none."""
        if name not in self.with_audio:
            return [None]
        found = set(self._whole(name).table["split"])
        return [split for split in ("training", "validation", "testing") if split in found] or [None]

    @once
    def corpus(self, name: str, *, split: str | None = "testing") -> Corpus:
        """Return a corpus: its testing split, another split, or all of it (None); no split where it has none.

        What the profile's recipe is trained on is never among the testing clips. A corpus that the profile has not is a
        ParameterError; one without a folder, or of one class, a DataError.
        """
        if name in self.profile.data.places and name not in self.with_audio:
            return self.given(name, "before")
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

    @once
    def given(self, name: str, stage: str) -> Corpus:
        """Return the clips of score files, with the ``score`` of each before or after fine-tuning, by their names."""
        place = self.profile.data.places[name]
        options = {"form": place.form, "subset": place.subset, "higher": place.higher}
        table = keys.trials(getattr(place, stage), place.key, **options).table.sort_values("path", ignore_index=True)
        missing = {"split": "", "speaker": "", "sentence": "", "attack": "unknown", "sha256": "", "duration": math.nan}
        table = table.assign(**{column: value for column, value in missing.items() if column not in table})
        table["attack"] = table["attack"].where(table["label"] == 0, "bonafide")
        clips = Corpus(name, table, pd.DataFrame(columns=["path", "reason"]))
        return clips.require_both_classes().head(self.profile.limit)

    def held_out(self, name: str) -> Corpus:
        """Return the testing clips of a corpus that no recipe is trained on: of custom, the speakers who are left."""
        return self._custom_parts()[1] if name == "custom" else self.corpus(name)

    def extra_clips(self, name: str) -> Corpus:
        """Return what a recipe may be trained on beside the target.

        Of custom, the first part of a split by speaker; of source, the validation split, which the baseline was not
        trained on. A corpus that is not there, has no splits, or whose speakers are not known, is a DataError.
        """
        if name not in self.with_audio:
            raise DataError(f"this profile has no clips of {name}")
        if name != "custom" and not _has_splits(self._whole(name)):
            raise DataError(f"{name} has no splits: all of it is tested on")
        return self._custom_parts()[0] if name == "custom" else self.corpus(name, split="validation")

    def tested(self, *, without: Collection[str] = ()) -> list[Corpus]:
        """Return the testing clips of every corpus; of those in `without`, what is held out."""
        found = []
        for name in self.with_audio:
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
        if name not in self.with_audio:
            raise ParameterError(
                f"profile {self.profile.name}: has no corpus {name!r}; it has {', '.join(self.with_audio)}"
            )
        place = self.profile.data.places[name]
        if not place.exists():
            raise DataError(f"there is no such folder; {self._remedy(name, place)}", path=place)
        public = self.profile.data.public(name)
        return reader.read(place, name=name, corpus=public, remembered=profile.remembered())

    @once
    def _custom_parts(self) -> tuple[Corpus, Corpus]:
        """Return the custom set in two: the speakers that a recipe may be trained on, and those who are left."""
        first, second = self._whole("custom").split_by_speaker(share=ADAPTATION_SHARE, seed=self.profile.seed)
        return first.head(self.profile.limit), second.head(self.profile.limit)

    def _remedy(self, name: str, place: Path) -> str:
        build = self.profile.data.build
        if build and place.is_relative_to(profile.root() / "data" / build):
            return f"'dfd data build {build}' makes it"
        key = f"data.{name.replace('-', '_') if name in CORPORA else f'others.{name}'}"
        what = (
            "training/, validation/ and testing/, each with Real/ and Fake/," if name == TARGET else "Real/ and Fake/"
        )
        return f"put {what} with clips there, or name another folder with --set {key}=FOLDER"


def keep_apart(roles: Mapping[str, Sequence[Corpus]], *, unless: str = "") -> None:
    """Refuse clips of different roles (training, validation, testing) that have a sound, by its SHA-256, in common.

    The DataError also says ``unless``: what else can be done.
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
