"""The scores of a run: of the detector before and after fine-tuning on every corpus, and what is kept of them."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from dfdlib import files
from dfdlib.data.corpus import Corpus
from dfdlib.detector import network, own
from dfdlib.detector.network import Detector
from dfdlib.detector.preprocessing import PREPROCESSING, Preprocessing
from dfdlib.detector.score import score
from dfdlib.detector.score_cache import Cache
from dfdlib.detector.scorer import Scorer, TorchScorer
from dfdlib.detector.scores import Scores, together
from dfdlib.errors import DataError, ParameterError
from dfdlib.evaluation import calibration, carried, units
from dfdlib.evaluation.family import enough
from dfdlib.experiment import profile
from dfdlib.experiment.clips import TARGET, once
from dfdlib.experiment.jobs import Jobs

#: Before and after fine-tuning.
STAGES = ("before", "after")


class Scored(Jobs):
    """The scores of a profile in a run folder, which is made when missing; a RunError if it cannot be.

    ``chapter`` is the notebook whose results are kept, in ``results/<chapter>.json``; by default none are.
    """

    def __init__(self, settings: profile.Profile, folder: str | Path, *, chapter: str = "") -> None:
        super().__init__(settings, folder)
        self.chapter = chapter
        self.results: dict = {}

    @once
    def detector(self, stage: str, *, seed: int | None = None) -> Detector:
        """Return the detector before or after fine-tuning (by default with the profile's own seed), for evaluation."""
        if stage == "before":
            return self.baseline().to(profile.device(self.profile))
        if stage not in STAGES:
            raise ParameterError(f"stage={stage!r}: choose one of {', '.join(STAGES)}")
        model = network.load(self.finetune(seed=seed).checkpoint, configuration=self.profile.detector)
        return model.to(profile.device(self.profile))

    @once
    def scorer(self, stage: str, *, seed: int | None = None) -> Scorer:
        """Return the scorer of `detector`, made once, since making it reads all weights."""
        if stage == "before" and own.is_own(self.profile.detector):
            return own.load(self.profile.detector, folder=profile.root())
        return self.torch_scorer(self.detector(stage, seed=seed))

    def torch_scorer(self, model: Detector) -> TorchScorer:
        """Return what scores with a detector in memory, on the profile's device and in its precision."""
        return TorchScorer(model, device=profile.device(self.profile), precision=self.profile.scoring.precision)

    @once
    def scores(
        self,
        stage: str,
        name: str,
        *,
        preprocessing: str | None = None,
        window: str | None = None,
        seed: int | None = None,
    ) -> Scores:
        """Return the scores of a corpus by the detector before or after fine-tuning, and write them as CSV."""
        if name not in self.with_audio:
            clips = self.given(name, stage)
            return Scores(clips.table, clips.left_out)
        how = self.preprocessing(preprocessing, window=window)
        file = f"{stage}-{name}" + ("" if how == self.preprocessing() else f"-{how.name}-{how.window or 'full'}")
        return self.score(
            self.corpus(name), self.scorer(stage, seed=seed), name=file + _suffix(seed), preprocessing=how
        )

    @once
    def by_seed(self, stage: str, name: str) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the clips of a corpus and their scores (seeds, n): a row before fine-tuning, one for each seed after.

        The first is that of the profile's own seed.
        """
        return together(*(self.scores(stage, name, seed=seed) for seed in self._rows(stage, name)))

    @once
    def both(self, name: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        """Return the clips of a corpus, and their scores before and after fine-tuning as `by_seed` has them."""
        found = [self.scores(stage, name, seed=seed) for stage in STAGES for seed in self._rows(stage, name)]
        table, scores = together(*found)
        return table, scores[:1], scores[1:]

    def score(
        self, clips: Corpus, model: Detector | Scorer, *, name: str, preprocessing: Preprocessing | None = None
    ) -> Scores:
        """Return the scores of clips by any detector, and write them to ``scores/<name>.csv``."""
        cache = Cache(self.folder / "cache.sqlite")
        try:
            with self.threads():
                scores = score(
                    clips,
                    model,
                    preprocessing=(preprocessing or self.preprocessing()).for_scorer(model),
                    cache=cache,
                    batch_size=self.profile.scoring.batch_size,
                    workers=self.parallel_jobs(),
                    progress=lambda done, total: self.tell(f"scoring {name}, {done} of {total} clips"),
                )
        finally:
            cache.close()
        scores.require_labels_of(clips.table)
        scores.to_csv(self.folder / "scores" / f"{name}.csv")
        return scores

    @once
    def untrained_scores(self, name: str) -> Scores:
        """Return the scores of a corpus by a detector of the same make with random weights."""
        model = network.build(self.profile.detector, seed=self.profile.seed)
        return self.score(self.corpus(name), self.torch_scorer(model), name=f"untrained-{name}")

    @once
    def wrong_rate_scores(self, stage: str, name: str) -> tuple[Scores, Scores]:
        """Return the scores of a corpus at the right rate and at the study's, all else as the profile has it."""
        wrong = dataclasses.replace(self.preprocessing(), name="wrong-rate", rate=PREPROCESSING["original"].rate)
        file = f"{stage}-{name}-wrong-rate"
        scores = self.score(self.corpus(name), self.scorer(stage), name=file, preprocessing=wrong)
        return self.scores(stage, name), scores

    @once
    def validation(self, stage: str, *, seed: int | None = None) -> carried.Validation:
        """Return the trials of the validation split of `TARGET`, kept apart from all testing clips."""
        clips = self.corpus(TARGET, split="validation")
        self.keep_apart({"validation": [clips], "testing": self.tested()})
        file = f"{stage}-{TARGET}-validation{_suffix(seed)}"
        scores = self.score(clips, self.scorer(stage, seed=seed), name=file)
        return carried.Validation(scores.labels, scores.values, self.drawn(scores.table))

    @once
    def validations(self, stage: str, name: str) -> carried.Validation:
        """Return the same trials with a row of scores for each row that `by_seed` has of a corpus."""
        each = [self.validation(stage, seed=seed) for seed in self._rows(stage, name)]
        return dataclasses.replace(each[0], scores=np.stack([one.scores for one in each]))

    @once
    def calibration_of(self, stage: str) -> calibration.Calibration:
        """Return the calibration of a stage and its threshold, fitted on the validation split of `TARGET` alone.

        It is that of the profile's own seed. Too few validation clips, or testing clips among them, are a DataError.
        """
        validation = self.validation(stage)
        try:
            fitted = calibration.fit(validation.labels, validation.scores)
        except DataError as error:
            raise DataError(error.reason, path=f"{TARGET}, validation split") from error
        files.write_json(self.folder / "results" / f"calibration-{stage}.json", dataclasses.asdict(fitted))
        return fitted

    def drawn(self, table: pd.DataFrame) -> units.Units:
        """Return what is drawn again of a table of trials, for the profile's target: `units.of`."""
        return units.of(table, target=self.profile.uncertainty.target)

    def resampling(self, *, family: int = 1) -> dict:
        """Return the options of the bootstrap, as `intervals` takes them: of so many resamples as a family needs."""
        uncertainty = self.profile.uncertainty
        resamples = enough(uncertainty.resamples, family=family, level=uncertainty.level)
        return {"resamples": resamples, "level": uncertainty.level, "seed": self.profile.seed}

    def first_seed(self, stage: str, name: str) -> str:
        """Return what a figure of the first seed alone is called: the stage, and of how many seeds it is one."""
        count = len(self._rows(stage, name))
        return stage if count == 1 else f"{stage}, seed 1 of {count}"

    def _rows(self, stage: str, name: str) -> list[int | None]:
        """Return the seeds of a corpus's rows of scores, None for the profile's own; score files are of one."""
        return [None, *self.seeds[1:]] if stage == "after" and name in self.with_audio else [None]

    # What is kept

    def keep(self, **facts: object) -> None:
        """Keep facts among the results of this run's chapter, for the summary; a list goes on one of its name."""
        for name, value in facts.items():
            known = self.results.get(name)
            if isinstance(value, list) and isinstance(known, list):
                value = known + [one for one in value if one not in known]
            self.results[name] = value
        if self.chapter:
            files.write_json(self.folder / "results" / f"{self.chapter}.json", self.results)

    @property
    def figures(self) -> Path:
        """The folder for figures."""
        return self.folder / "figures"


def _suffix(seed: int | None) -> str:
    """Return what is added to the name of scores by another seed than the profile's own."""
    return "" if seed is None else f"-seed-{seed}"
