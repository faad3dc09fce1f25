"""One run of the experiment: what the notebooks ask for, computed once and kept in the run folder.

Every answer depends on files only, so any notebook can be run alone, in any order: what an earlier one has left is
used, what is missing is computed. The run folder holds

=====================  =========================================================
``scores/``            one CSV for each detector, corpus and protocol
``finetuned.*``        the fine-tuned weights, and what they were made from
``figures/``           every figure, as the report shows it
``results/``           what each notebook found, as JSON
``cache.sqlite``       logits by content, for all of the above
=====================  =========================================================
"""

import dataclasses
import functools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from dfdlib import corpus as corpora
from dfdlib import detector, files, profile, scoring, uncertainty
from dfdlib.corpus import Corpus
from dfdlib.errors import DataError, ParameterError, RunError
from dfdlib.scoring import Scores
from dfdlib.uncertainty import Difference

if TYPE_CHECKING:
    # Importing Lightning takes seconds, and most notebooks train nothing.
    from dfdlib import finetune

#: The corpora of the study and the domain that the baseline was trained on, in the order of the report.
CORPORA = ("for-2seconds", "custom", "source")
#: The corpus that the detector is fine-tuned on.
TARGET = "for-2seconds"
#: Before and after fine-tuning.
STAGES = ("before", "after")


class Run:
    """The experiment of a profile in a folder.

    Parameters
    ----------
    settings : Profile
    folder : str or Path
        Made when missing.

    Raises
    ------
    RunError
        The folder cannot be written.
    """

    def __init__(self, settings: profile.Profile, folder: str | Path) -> None:
        self.profile = settings
        self.folder = Path(folder).absolute()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made ({os.strerror(error.errno)}); choose another folder") from error

    @classmethod
    def open(cls, name: str, *, run_dir: str | Path = "", overrides: tuple[str, ...] | list[str] = ()) -> "Run":
        """Open the run of a profile: by default in ``reports/<profile>`` beside the notebooks.

        Raises
        ------
        ParameterError
            No such profile, or an override that it does not have.
        """
        settings = profile.load(name, overrides=overrides)
        return cls(settings, run_dir or profile.root() / "reports" / settings.name)

    # What there is to work with

    @property
    def corpora(self) -> list[str]:
        """The names of the corpora that this profile has."""
        return [name for name in CORPORA if self._place(name) is not None]

    def splits(self, name: str) -> list[str | None]:
        """Return the splits of a corpus, in the order of their use; [None] where it has none."""
        found = set(self.corpus(name, split=None).table["split"])
        return [split for split in ("training", "validation", "testing") if split in found] or [None]

    @functools.cache  # noqa: B019 - a run lives as long as its notebook
    def _whole(self, name: str) -> Corpus:
        place = self._place(name)
        if place is None:
            raise ParameterError(
                f"profile {self.profile.name}: has no corpus {name!r}; it has {', '.join(self.corpora)}"
            )
        if not place.exists():
            raise DataError(f"{place}: there is no such folder; {self._remedy()}")
        return corpora.read(place, name=name)

    @functools.cache  # noqa: B019
    def corpus(self, name: str, *, split: str | None = "testing") -> Corpus:
        """Return a corpus: its testing split, another split, or all of it (None); no split where it has none.

        Raises
        ------
        ParameterError
            The profile has no such corpus.
        DataError
            Its folder is missing or has one class only.
        """
        whole = self._whole(name)
        if split is not None and (whole.table["split"] != "").any():
            whole = whole.split(split)
        return whole.head(self.profile.limit)

    @functools.cache  # noqa: B019
    def detector(self, stage: str) -> detector.Detector:
        """Return the detector before or after fine-tuning, in evaluation mode on the profile's device.

        Raises
        ------
        CheckpointError
            The baseline's weights are missing or do not fit.
        """
        if stage not in STAGES:
            raise ParameterError(f"stage={stage!r}: choose one of {', '.join(STAGES)}")
        path = self.profile.checkpoint if stage == "before" else self.finetune().checkpoint
        return detector.load(path, configuration=self.profile.detector).to(profile.device(self.profile))

    # What is computed from it

    def protocol(self, name: str | None = None, *, window: str | None = None) -> scoring.Protocol:
        """Return the profile's protocol, or another one."""
        return scoring.protocol(name or self.profile.protocol, window=window or self.profile.window)

    @functools.cache  # noqa: B019
    def scores(self, stage: str, name: str, *, protocol: str | None = None, window: str | None = None) -> Scores:
        """Return the scores of a corpus by the detector before or after fine-tuning, and write them as CSV."""
        clips = self.corpus(name)
        model = self.detector(stage)
        how = self.protocol(protocol, window=window)
        cache = scoring.Cache(self.folder / "cache.sqlite")
        try:
            with _bar(f"scoring {name}, {stage} fine-tuning", total=len(clips)) as progress:
                scores = scoring.score(
                    clips,
                    model,
                    protocol=how,
                    cache=cache,
                    batch_size=self.profile.scoring.batch_size,
                    progress=progress,
                )
        finally:
            cache.close()
        suffix = "" if how == self.protocol() else f"-{how.name}-{how.window or 'native'}"
        scores.to_csv(self.folder / "scores" / f"{stage}-{name}{suffix}.csv")
        return scores

    def evaluate(self, stage: str, name: str) -> dict:
        """Return every metric of a corpus, with intervals where they exist, as plain numbers for tables and JSON."""
        scores = self.scores(stage, name)
        groups = _groups(scores.table)
        return {
            "corpus": name,
            "when": stage,
            **uncertainty.evaluate(scores.labels, scores.values, groups=groups, **self._resampling()),
            "left_out": len(scores.left_out),
        }

    def difference(self, name: str, *, metric: str = "eer") -> Difference:
        """Return the change of a metric on one corpus by fine-tuning, paired clip by clip."""
        return self._paired(self.scores("before", name), self.scores("after", name), metric=metric)

    def protocol_difference(self, stage: str, name: str, *, metric: str = "eer") -> Difference:
        """Return the change of a metric when clips are read as the study read them, on windows of its length."""
        return self._paired(
            self.scores(stage, name, protocol="corrected", window="parity"),
            self.scores(stage, name, protocol="original", window="parity"),
            metric=metric,
        )

    @functools.cache  # noqa: B019
    def finetune(self, *, progress=None) -> "finetune.Training":
        """Return the fine-tuning on for-2seconds training, done now unless it was done from the same beginnings."""
        from dfdlib import finetune

        recipe = self.recipe()
        training, validation = (self.corpus(TARGET, split=split) for split in ("training", "validation"))
        beginnings = {
            "baseline": files.sha256(self.profile.checkpoint),
            "recipe": dataclasses.asdict(recipe),
            "training": corpora.fingerprint(training.table),
            "validation": corpora.fingerprint(validation.table),
        }
        checkpoint = self.folder / "finetuned.safetensors"
        record = self.folder / "finetuned.json"
        done = _read_json(record)
        if (
            done
            and done["beginnings"] == beginnings
            and checkpoint.is_file()
            and files.sha256(checkpoint) == done["sha256"]
        ):
            return finetune.Training(
                history=pd.DataFrame(done["history"]),
                best_epoch=done["best_epoch"],
                checkpoint=checkpoint,
                left_out=pd.DataFrame(done["left_out"], columns=["path", "reason"]),
            )
        model = detector.load(self.profile.checkpoint, configuration=self.profile.detector)
        result = finetune.fit(
            model,
            training=training,
            validation=validation,
            recipe=recipe,
            checkpoint=checkpoint,
            metadata={"trained_on": training.name, "baseline": files.short(beginnings["baseline"])},
            device=profile.device(self.profile),
            progress=progress or (lambda line: print(line, flush=True)),
        )
        facts = {
            "beginnings": beginnings,
            "sha256": files.sha256(checkpoint),
            "history": result.history.to_dict("records"),
            "best_epoch": result.best_epoch,
            "left_out": result.left_out.to_dict("records"),
        }
        with files.atomic(record) as file:
            json.dump(facts, file, indent=1)
        return result

    def recipe(self) -> "finetune.Recipe":
        """Return the profile's recipe for fine-tuning; native windows are as long as the training clips mostly are."""
        from dfdlib import finetune

        settings = self.profile.finetune
        window = scoring.WINDOWS[self.profile.window]
        if window is None:
            seconds = self.corpus(TARGET, split="training").table["duration"].median()
            window = round(seconds * self.protocol().rate)
        return finetune.Recipe(
            **settings.model_dump(), window=window, rate=self.protocol().rate, seed=self.profile.seed
        )

    # What is kept of it

    def keep(self, notebook: str, **facts: object) -> None:
        """Write what a notebook found to ``results/<notebook>.json``, for the summary and for later notebooks."""
        with files.atomic(self.folder / "results" / f"{notebook}.json") as file:
            json.dump(facts, file, indent=1, default=_plain)

    @property
    def figures(self) -> Path:
        """The folder for figures."""
        return self.folder / "figures"

    def _place(self, name: str) -> Path | None:
        return getattr(self.profile.data, name.replace("-", "_"), None)

    def _remedy(self) -> str:
        if self.profile.data.build:
            return f"'dfd data build {self.profile.data.build}' makes it"
        return "give its place in the profile or with --set data.<corpus>=FOLDER"

    def _resampling(self) -> dict:
        return {
            "resamples": self.profile.uncertainty.resamples,
            "level": self.profile.uncertainty.level,
            "seed": self.profile.seed,
        }

    def _paired(self, before: Scores, after: Scores, *, metric: str) -> Difference:
        both = scoring.pair(before, after)
        return uncertainty.paired_difference(
            both["label"].to_numpy(int),
            both["score"].to_numpy(float),
            both["score_second"].to_numpy(float),
            metric=metric,
            groups=_groups(both),
            **self._resampling(),
        )


def _groups(table: pd.DataFrame) -> np.ndarray | None:
    """Return what to resample by: the sentence, which ties a real clip to the fakes that were made of it."""
    sentences = table["sentence"]
    return sentences.to_numpy() if (sentences != "").all() and sentences.nunique() > 1 else None


def _read_json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _plain(value: object) -> object:
    """Turn numpy's numbers and named tuples into what JSON knows."""
    if hasattr(value, "item"):
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


class _bar:
    """A progress bar on a terminal, nothing elsewhere: in a report it would be noise."""

    def __init__(self, title: str, *, total: int) -> None:
        self._bar = tqdm(total=total, desc=title, unit=" clips", disable=not sys.stderr.isatty(), leave=False)

    def __enter__(self):
        return self

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(done - self._bar.n)

    def __exit__(self, *details: object) -> None:
        self._bar.close()
