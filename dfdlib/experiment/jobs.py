"""The trainings of a profile: by what recipe, on what clips, into what file; each is done once."""

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dfdlib import files, machine, processes
from dfdlib import progress as progressing
from dfdlib.data import corpus, tables
from dfdlib.data.corpus import Corpus
from dfdlib.detector import network, own, registry
from dfdlib.detector.network import Detector
from dfdlib.detector.preprocessing import WINDOWS, Preprocessing
from dfdlib.errors import RunError
from dfdlib.experiment import profile
from dfdlib.experiment.clips import TARGET, Clips, once
from dfdlib.training.recipe import Recipe

if TYPE_CHECKING:
    # Importing Lightning takes seconds, and most notebooks train nothing.
    from dfdlib.training.loop import Training


@dataclasses.dataclass(frozen=True)
class Job:
    """A training: by what recipe, on what clips, into what file."""

    recipe: Recipe
    training: Corpus
    validation: Corpus
    checkpoint: Path

    @property
    def record(self) -> Path:
        """The file that says what the weights were made from."""
        return self.checkpoint.with_suffix(".json")


class Jobs(Clips):
    """The trainings of a profile in a run folder, which is made when missing; a RunError if it cannot be."""

    def __init__(self, settings: profile.Profile, folder: str | Path) -> None:
        super().__init__(settings)
        self.folder = Path(folder).absolute()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made ({os.strerror(error.errno)}); choose another folder") from error

    def baseline(self) -> Detector:
        """Return the detector before fine-tuning, in evaluation mode.

        Weights that are missing are a RunError; those that do not fit, or its front end's, a CheckpointError.
        """
        path, name = self.profile.checkpoint, self.profile.detector
        if self.profile.checkpoint_holds == "detector":
            if not path.exists():
                raise RunError(f"{path}: is not here; {registry.remedy(name)}, or --set checkpoint=FILE")
            return network.load(path, configuration=name)
        return network.load_frontend_weights(network.build(name, seed=self.profile.seed), path).eval()

    def preprocessing(self, name: str | None = None, *, window: str | None = None) -> Preprocessing:
        """Return the profile's preprocessing, or another one."""
        return Preprocessing.named(name or self.profile.preprocessing, window=window or self.profile.window)

    def recipe(self, name: str | None = None) -> Recipe:
        """Return a recipe for fine-tuning: the profile's settings (None), or one of its `recipes` by name.

        Full windows are as long as the median training clip.
        """
        settings = self.profile.finetune if name is None else self.profile.recipes[name].applied(self.profile.finetune)
        window, rate = settings.window or WINDOWS[self.profile.window], self.preprocessing().rate
        if window is None:
            window = round(self.corpus(TARGET, split="training").table["duration"].median() * rate)
        return Recipe(**settings.model_dump(exclude={"window"}), window=window, rate=rate, seed=self.profile.seed)

    def job(self, name: str | None = None, *, seed: int | None = None) -> Job:
        """Return the training by a recipe: by the profile's own settings (None) or one of its `recipes`.

        It is a DataError where the recipe asks for clips that this run does not have, or training clips are also for
        validation or testing, and a RunError where the detector is somebody's own.
        """
        if own.is_own(self.profile.detector):
            raise RunError(f"{self.profile.detector}: cannot be fine-tuned; notebooks 1 and 2 report on it as it is")
        recipe = self.recipe(name)
        if seed is not None:
            recipe = recipe.model_copy(update={"seed": seed})
        clips, validation = (self.corpus(TARGET, split=split) for split in ("training", "validation"))
        also = self.profile.recipes[name].also if name else ()
        extra = {corpus: self.extra_clips(corpus) for corpus in also}
        self.keep_apart(
            {"training": [clips, *extra.values()], "validation": [validation], "testing": self.tested(without=also)}
        )
        for other in also:
            table = pd.concat([clips.table, extra[other].table], ignore_index=True)
            clips = dataclasses.replace(clips, name=f"{clips.name} and {other}", table=table)
        is_reports_own = name == self.profile.recipe and recipe.seed == self.profile.seed
        file = "finetuned" if is_reports_own else f"recipes/{name or 'finetuned'}-{recipe.seed}"
        return Job(recipe, clips, validation, checkpoint=self.folder / f"{file}.safetensors")

    @property
    def seeds(self) -> list[int]:
        """The seeds that every recipe is trained with: as many as the profile says, from its own upwards."""
        return [self.profile.seed + number for number in range(self.profile.seeds)]

    @once
    def finetune(self, *, seed: int | None = None, progress: Callable[[str], None] | None = None) -> "Training":
        """Return the training by the profile's recipe, done now unless it was done from the same inputs."""
        return self.train(self.job(self.profile.recipe, seed=seed), progress=progress)

    def trained(self, job: Job) -> "Training | None":
        """Return what an earlier run has left of a job, if it had the same weights, recipe and clips."""
        from dfdlib.training import loop

        done = files.read_json(job.record)
        if (
            done.get("inputs_digest") != self.inputs_digest(job)
            or not job.checkpoint.is_file()
            or files.sha256(job.checkpoint) != done["sha256"]
        ):
            return None
        return loop.Training(
            history=pd.DataFrame(done["history"]),
            best_epoch=done["best_epoch"],
            checkpoint=job.checkpoint,
            left_out=pd.DataFrame(done["left_out"], columns=["path", "reason"]),
        )

    def train(self, job: Job, *, progress: Callable[[str], None] | None = None, title: str = "training") -> "Training":
        """Train from the baseline on a job's clips by `training.loop.fit`, unless that was done from the same inputs.

        ``progress`` takes a line of text after each epoch, which is printed by default; ``title`` is what `tell` calls
        the job.
        """
        from dfdlib.training import loop

        if (done := self.trained(job)) is not None:
            return done
        self.tell(f"{title}, reading clips")
        inputs, say = self.inputs_digest(job), progress or functools.partial(print, flush=True)
        with self.threads():
            result = loop.fit(
                self.baseline(),
                training=job.training,
                validation=job.validation,
                recipe=job.recipe,
                checkpoint=job.checkpoint,
                metadata={"trained_on": job.training.name, "baseline": files.short(inputs["baseline"])},
                device=profile.device(self.profile),
                # The time left differs from run to run, so that it has no place in a notebook.
                progress=lambda line: say(line.split(", about ")[0]),
                status=lambda line: self.tell(f"{title}, {line}"),
            )
        left_out = result.left_out.assign(path=tables.below(result.left_out["path"], job.training.root))
        facts = {
            "inputs_digest": inputs,
            "sha256": files.sha256(job.checkpoint),
            "history": result.history.to_dict("records"),
            "best_epoch": result.best_epoch,
            "left_out": left_out.to_dict("records"),
        }
        if processes.is_first():
            files.write_json(job.record, facts)
        return result

    def inputs_digest(self, job: Job) -> dict:
        """Return what the weights of a job depend on, by content, as JSON gives it back."""
        from dfdlib.training import loop

        inputs = {
            "baseline": self._baseline,
            "recipe": job.recipe.identity(),
            "training": corpus.fingerprint(job.training.table),
            "validation": corpus.fingerprint(job.validation.table),
            "threads": self.profile.threads,
            "versions": loop.versions(),
        }
        if self.profile.checkpoint_holds == "frontend":
            inputs["backend_seed"] = self.profile.seed
        if settings := network.named(self.profile.detector).beside_weights():
            inputs["detector"] = settings
        return json.loads(json.dumps(inputs))

    def parallel_jobs(self) -> int:
        """Return how many computations, on as many threads as the profile says, there are cores for."""
        if profile.device(self.profile) != "cpu" or not self.profile.threads:
            return 1
        return max(1, machine.cores() // self.profile.threads)

    def threads(self) -> contextlib.AbstractContextManager[None]:
        """Let torch compute on as many threads as the profile says, or on as many as it likes."""
        return machine.threads(self.profile.threads)

    def tell(self, line: str) -> None:
        """Show what this run is at while somebody waits for it; see `progress`."""
        if processes.is_first():
            progressing.tell(self.folder, line)

    @functools.cached_property
    def _baseline(self) -> str:
        return files.sha256(self.profile.checkpoint)
