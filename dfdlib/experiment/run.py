"""One run of the experiment: what the notebooks ask for, computed once and kept in the run folder.

Every answer depends on files only, so any notebook can be run alone, in any order: what an earlier one has left is
used, what is missing is computed. The run folder holds

=====================  =========================================================
``scores/``            one CSV for each detector, corpus and preprocessing
``finetuned.*``        the fine-tuned weights, and what they were made from
``recipes/``           the same for every recipe and seed that is compared with it
``figures/``           every figure, as the report shows it
``results/``           what each notebook found, as JSON
``cache.sqlite``       logits by content, for all of the above
=====================  =========================================================
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dfdlib import files, machine, processes
from dfdlib import progress as progressing
from dfdlib.data import corpus as corpora
from dfdlib.data import tables
from dfdlib.data.corpus import Corpus
from dfdlib.detector import network as detector
from dfdlib.detector import scorer as inference
from dfdlib.detector.network import Detector
from dfdlib.detector.preprocessing import PREPROCESSING, WINDOWS, Preprocessing
from dfdlib.detector.score import score
from dfdlib.detector.score_cache import Cache
from dfdlib.detector.scores import Scores, pair
from dfdlib.errors import DataError, ParameterError, RunError
from dfdlib.evaluation import calibration, intervals
from dfdlib.evaluation.intervals import Difference
from dfdlib.experiment import profile
from dfdlib.training.recipe import Recipe

if TYPE_CHECKING:
    # Importing Lightning takes seconds, and most notebooks train nothing.
    from dfdlib.data import audit as audits
    from dfdlib.training import loop as finetune

#: The corpora of the study and the domain that the baseline was trained on, in the order of the report.
CORPORA = ("for-2seconds", "custom", "source")
#: The corpus that the detector is fine-tuned on.
TARGET = "for-2seconds"
#: Before and after fine-tuning.
STAGES = ("before", "after")
#: The share of the custom set's bona fide clips whose speakers a recipe may train on.
ADAPTATION_SHARE = 0.4


@dataclasses.dataclass(frozen=True)
class Job:
    """A training to do: by what recipe, on what clips, into what file."""

    recipe: Recipe
    training: Corpus
    validation: Corpus
    checkpoint: Path

    @property
    def record(self) -> Path:
        """The file that says what the weights were made from."""
        return self.checkpoint.with_suffix(".json")


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
        found = set(self._whole(name).table["split"])
        return [split for split in ("training", "validation", "testing") if split in found] or [None]

    @functools.cache  # noqa: B019 - a run lives as long as its notebook
    def _whole(self, name: str) -> Corpus:
        place = self._place(name)
        if place is None:
            raise ParameterError(
                f"profile {self.profile.name}: has no corpus {name!r}; it has {', '.join(self.corpora)}"
            )
        if not place.exists():
            raise DataError(f"there is no such folder; {self._remedy(name, place)}", path=place)
        return corpora.read(place, name=name)

    @functools.cache  # noqa: B019
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
        if split is not None and _is_split(whole):
            return whole.split(split).head(limit)
        if limit is None:
            return whole
        parts = [dataclasses.replace(whole, table=rows).head(limit).table for _, rows in whole.table.groupby("split")]
        return dataclasses.replace(whole, table=pd.concat(parts, ignore_index=True))

    @functools.cache  # noqa: B019
    def held_out(self, name: str) -> Corpus:
        """Return the testing clips of a corpus that no recipe is trained on: of custom, the speakers who are left.

        Raises
        ------
        DataError
            As `corpus`, or the speakers of custom are not known.
        """
        return self._custom_parts()[1] if name == "custom" else self.corpus(name)

    @functools.cache  # noqa: B019
    def _custom_parts(self) -> tuple[Corpus, Corpus]:
        """Return the custom set in two: the speakers that a recipe may be trained on, and those who are left."""
        first, second = self._whole("custom").split_by_speaker(share=ADAPTATION_SHARE, seed=self.profile.seed)
        return first.head(self.profile.limit), second.head(self.profile.limit)

    @functools.cache  # noqa: B019
    def detector(self, stage: str) -> Detector:
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

    @functools.cache  # noqa: B019
    def scorer(self, stage: str) -> inference.TorchScorer:
        """Return what scores with `detector`: made once, since it goes through all weights."""
        return inference.TorchScorer(self.detector(stage), device=profile.device(self.profile))

    # What is computed from it

    def preprocessing(self, name: str | None = None, *, window: str | None = None) -> Preprocessing:
        """Return the profile's preprocessing, or another one."""
        return Preprocessing.named(name or self.profile.preprocessing, window=window or self.profile.window)

    @functools.cache  # noqa: B019
    def scores(self, stage: str, name: str, *, preprocessing: str | None = None, window: str | None = None) -> Scores:
        """Return the scores of a corpus by the detector before or after fine-tuning, and write them as CSV."""
        how = self.preprocessing(preprocessing, window=window)
        suffix = "" if how == self.preprocessing() else f"-{how.name}-{how.window or 'full'}"
        return self.score(self.corpus(name), self.scorer(stage), name=f"{stage}-{name}{suffix}", preprocessing=how)

    def score(
        self,
        clips: Corpus,
        model: Detector | inference.Scorer,
        *,
        name: str,
        preprocessing: Preprocessing | None = None,
    ) -> Scores:
        """Return the scores of clips by any detector, and write them to ``scores/<name>.csv``."""
        cache = Cache(self.folder / "cache.sqlite")
        try:
            with self.threads():
                scores = score(
                    clips,
                    model,
                    preprocessing=preprocessing or self.preprocessing(),
                    cache=cache,
                    batch_size=self.profile.scoring.batch_size,
                    workers=self.room(),
                    progress=lambda done, total: self.tell(f"scoring {name}, {done} of {total} clips"),
                )
        finally:
            cache.close()
        scores.to_csv(self.folder / "scores" / f"{name}.csv")
        return scores

    @functools.cache  # noqa: B019
    def audit(self, name: str) -> "audits.Audit":
        """Return the audit of a corpus: of all its clips, or of the profile's `limit` of each split."""
        from dfdlib.data import audit as audits

        self.tell(f"auditing {name}")
        clips = self.corpus(name, split=None)
        return audits.examine(clips, seed=self.profile.seed, resamples=self.profile.uncertainty.resamples)

    @functools.cache  # noqa: B019
    def calibration_of(self, stage: str) -> calibration.Calibration:
        """Return what the scores of a stage mean, fitted on the validation split of `TARGET` alone, and its threshold.

        Raises
        ------
        DataError
            Too few validation clips, or testing clips among them.
        """
        clips = self.corpus(TARGET, split="validation")
        self._keep_apart({"validation": [clips], "testing": self._tested()})
        scores = self.score(clips, self.scorer(stage), name=f"{stage}-{TARGET}-validation")
        fitted = calibration.fit(scores.labels, scores.values)
        with files.atomic(self.folder / "results" / f"calibration-{stage}.json") as file:
            json.dump(fitted.to_dict(), file)
        return fitted

    def judged(self, stage: str, name: str) -> dict:
        """Return what a user of the calibration and its threshold gets on a corpus: `calibration.carried_costs`."""
        scores = self.scores(stage, name)
        found = calibration.carried_costs(self.calibration_of(stage), scores.labels, scores.values)
        return {"corpus": name, "when": stage} | found

    @functools.cache  # noqa: B019
    def band(self, stage: str, name: str) -> intervals.Band:
        """Return the bootstrap band of the DET curve of a corpus."""
        scores = self.scores(stage, name)
        self.tell(f"resampling {name}, {stage} fine-tuning, for its curves")
        groups = intervals.groups_of(scores.table).groups
        return intervals.curve_band(scores.labels, scores.values, groups=groups, **self.resampling())

    @functools.cache  # noqa: B019
    def untrained_scores(self, name: str) -> Scores:
        """Return the scores of a corpus by a detector of the same make with random weights."""
        model = detector.build(self.profile.detector, seed=self.profile.seed).to(profile.device(self.profile))
        return self.score(self.corpus(name), model, name=f"untrained-{name}")

    @functools.cache  # noqa: B019
    def wrong_rate_scores(self, stage: str, name: str) -> tuple[Scores, Scores]:
        """Return the scores of a corpus at the right rate and at the study's, all else as the profile has it."""
        right = self.preprocessing()
        wrong = dataclasses.replace(right, name="wrong-rate", rate=PREPROCESSING["original"].rate)
        file = f"{stage}-{name}-wrong-rate"
        return self.scores(stage, name), self.score(
            self.corpus(name), self.scorer(stage), name=file, preprocessing=wrong
        )

    def evaluate(self, stage: str, name: str) -> dict:
        """Return every metric of a corpus with its interval, as plain numbers for tables and JSON.

        ``far``, ``frr`` and ``hter`` are at the threshold that validation clips chose.
        """
        scores = self.scores(stage, name)
        together = intervals.groups_of(scores.table)
        options = {"groups": together.groups, "threshold": self.calibration_of(stage).threshold} | self.resampling()
        self.tell(f"resampling {name}, {stage} fine-tuning")
        return {
            "corpus": name,
            "when": stage,
            **intervals.evaluate(scores.labels, scores.values, **options),
            "resampled_by": together.by,
            "left_out": len(scores.left_out),
        }

    def difference(self, name: str, *, metric: str = "eer") -> Difference:
        """Return the change of a metric on one corpus by fine-tuning, paired clip by clip."""
        return self._paired(self.scores("before", name), self.scores("after", name), metric=metric)

    def preprocessing_difference(self, stage: str, name: str, *, metric: str = "eer") -> Difference:
        """Return the change of a metric when clips are read as the study read them, on windows of its length."""
        return self._paired(
            self.scores(stage, name, preprocessing="corrected", window="fixed"),
            self.scores(stage, name, preprocessing="original", window="fixed"),
            metric=metric,
        )

    @functools.cache  # noqa: B019
    def finetune(self, *, progress=None) -> "finetune.Training":
        """Return the fine-tuning by the profile's recipe, done now unless it was done from the same beginnings."""
        return self.train(self.job(self.profile.recipe), progress=progress)

    def recipe(self, name: str | None = None) -> Recipe:
        """Return a recipe for fine-tuning: the profile's settings (None), or one of its `recipes` by name.

        Full windows are as long as the training clips mostly are.
        """
        settings = self.profile.finetune if name is None else self.profile.recipes[name].applied(self.profile.finetune)
        window = settings.window or WINDOWS[self.profile.window]
        if window is None:
            seconds = self.corpus(TARGET, split="training").table["duration"].median()
            window = round(seconds * self.preprocessing().rate)
        return Recipe(
            **settings.model_dump(exclude={"window"}),
            window=window,
            rate=self.preprocessing().rate,
            seed=self.profile.seed,
        )

    def job(self, name: str | None = None, *, seed: int | None = None) -> "Job":
        """Return what there is to do for a recipe: the profile's own settings (None) or one of its `recipes`.

        Raises
        ------
        DataError
            The recipe asks for clips that this run does not have, or would train on clips that it is chosen or tested
            by.
        """
        recipe = self.recipe(name)
        if seed is not None:
            recipe = recipe.model_copy(update={"seed": seed})
        clips, validation = (self.corpus(TARGET, split=split) for split in ("training", "validation"))
        also = self.profile.recipes[name].also if name else ()
        extra = {corpus: self.extra_clips(corpus) for corpus in also}
        self._keep_apart(
            {"training": [clips, *extra.values()], "validation": [validation], "testing": self._tested(without=also)}
        )
        for corpus in also:
            table = pd.concat([clips.table, extra[corpus].table], ignore_index=True)
            clips = dataclasses.replace(clips, name=f"{clips.name} and {corpus}", table=table)
        chosen = name == self.profile.recipe and recipe.seed == self.profile.seed
        file = "finetuned" if chosen else f"recipes/{name}-{recipe.seed}"
        return Job(
            recipe=recipe,
            training=clips,
            validation=validation,
            checkpoint=self.folder / f"{file}.safetensors",
        )

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
        if name != "custom" and not _is_split(self._whole(name)):
            raise DataError(f"{name} has no splits: all of it is tested on")
        return self._custom_parts()[0] if name == "custom" else self.corpus(name, split="validation")

    def trained(self, job: "Job") -> "finetune.Training | None":
        """Return what an earlier run has left of a job, if it began from the same weights, recipe and clips."""
        from dfdlib.training import loop as finetune

        done = _read_json(job.record)
        if (
            done
            and done["beginnings"] == self._beginnings(job)
            and job.checkpoint.is_file()
            and files.sha256(job.checkpoint) == done["sha256"]
        ):
            return finetune.Training(
                history=pd.DataFrame(done["history"]),
                best_epoch=done["best_epoch"],
                checkpoint=job.checkpoint,
                left_out=pd.DataFrame(done["left_out"], columns=["path", "reason"]),
            )
        return None

    def tell(self, line: str) -> None:
        """Say what this run is at, for whoever waits for it; see `progress`."""
        if processes.is_first():
            progressing.tell(self.folder, line)

    def train(self, job: "Job", *, progress=None, title: str = "training") -> "finetune.Training":
        """Return what a job gives, done now unless it was done from the same beginnings; `title` is for `tell`."""
        from dfdlib.training import loop as finetune

        if (done := self.trained(job)) is not None:
            return done
        self.tell(f"{title}, reading clips")
        beginnings = self._beginnings(job)
        model = detector.load(self.profile.checkpoint, configuration=self.profile.detector)
        with self.threads():
            result = finetune.fit(
                model,
                training=job.training,
                validation=job.validation,
                recipe=job.recipe,
                checkpoint=job.checkpoint,
                metadata={"trained_on": job.training.name, "baseline": files.short(beginnings["baseline"])},
                device=profile.device(self.profile),
                # How much time is left differs from run to run, and so has no place in a notebook.
                progress=progress or (lambda line: print(line.split(", about ")[0], flush=True)),
                status=lambda line: self.tell(f"{title}, {line}"),
            )
        facts = {
            "beginnings": beginnings,
            "sha256": files.sha256(job.checkpoint),
            "history": result.history.to_dict("records"),
            "best_epoch": result.best_epoch,
            "left_out": result.left_out.assign(path=tables.below(result.left_out["path"], job.training.root)).to_dict(
                "records"
            ),
        }
        if processes.is_first():
            with files.atomic(job.record) as file:
                json.dump(facts, file, indent=1)
        return result

    @contextlib.contextmanager
    def threads(self) -> Iterator[None]:
        """Let torch compute on as many threads as the profile says, or on as many as it likes."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.profile.threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def room(self) -> int:
        """Return how many computations, on as many threads as the profile says, there are cores for."""
        if profile.device(self.profile) != "cpu" or not self.profile.threads:
            return 1
        return max(1, machine.cores() // self.profile.threads)

    @functools.cached_property
    def _baseline(self) -> str:
        return files.sha256(self.profile.checkpoint)

    def _beginnings(self, job: "Job") -> dict:
        """Return what a training depends on, as JSON gives it back."""
        from dfdlib.training import loop

        return json.loads(
            json.dumps(
                {
                    "baseline": self._baseline,
                    "recipe": job.recipe.identity(),
                    "training": corpora.fingerprint(job.training.table),
                    "validation": corpora.fingerprint(job.validation.table),
                    "threads": self.profile.threads,
                    "versions": loop.versions(),
                }
            )
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

    def _remedy(self, name: str, place: Path) -> str:
        build = self.profile.data.build
        if build and place.is_relative_to(profile.root() / "data" / build):
            return f"'dfd data build {build}' makes it"
        key = f"data.{name.replace('-', '_')}"
        what = (
            "training/, validation/ and testing/, each with Real/ and Fake/," if name == TARGET else "Real/ and Fake/"
        )
        return f"put {what} with clips there, or name another folder with --set {key}=FOLDER"

    def _tested(self, *, without: Collection[str] = ()) -> list[Corpus]:
        """Return the testing clips of every corpus; of those in `without`, what is held out."""
        found = []
        for name in self.corpora:
            # One that cannot be read is tested on by nobody; whoever wants to is told why not.
            with contextlib.suppress(DataError):
                found.append(self.held_out(name) if name in without else self.corpus(name))
        return found

    def _keep_apart(self, roles: Mapping[str, Sequence[Corpus]]) -> None:
        if not self.profile.allow_shared_clips:
            keep_apart(roles, unless="--set allow_shared_clips=true goes on all the same, and the report says so")

    def resampling(self) -> dict:
        """Return the options of the bootstrap, as `uncertainty` takes them."""
        return {
            "resamples": self.profile.uncertainty.resamples,
            "level": self.profile.uncertainty.level,
            "seed": self.profile.seed,
        }

    def _paired(self, before: Scores, after: Scores, *, metric: str) -> Difference:
        both = pair(before, after)
        return intervals.paired_difference(
            both["label"].to_numpy(int),
            both["score"].to_numpy(float),
            both["score_second"].to_numpy(float),
            metric=metric,
            groups=intervals.groups_of(both).groups,
            **self.resampling(),
        )


def keep_apart(roles: Mapping[str, Sequence[Corpus]], *, unless: str = "") -> None:
    """Refuse clips that have a sound in common though they are for training, for validation and for testing.

    Parameters
    ----------
    roles : mapping of str to sequence of Corpus
        What the clips are for, and the clips.
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
        names = {corpus.name for role in (first, second) for corpus in roles[role] if not _is_split(corpus)}
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


def _is_split(corpus: Corpus) -> bool:
    return bool((corpus.table["split"] != "").any())


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
