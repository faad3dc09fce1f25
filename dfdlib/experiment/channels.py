"""What scores mean on clips that came through a telephone or a messenger: validation clips, sent through its codecs."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dfdlib import files
from dfdlib.data import audio, tables
from dfdlib.detector.scores import Scores
from dfdlib.errors import DataError
from dfdlib.evaluation import calibration, intervals, metrics
from dfdlib.experiment.clips import TARGET
from dfdlib.experiment.run import STAGES, Run
from dfdlib.training import augment
from dfdlib.training.codecs import CHANNELS, available_codecs


def measured(run: Run) -> pd.DataFrame:
    """Return what the validation scores of each channel are worth before and after fine-tuning, and keep it.

    The scores are in ``scores/<stage>-for-2seconds-validation-<channel>.csv``, where `dfd app` finds them.

    A row a stage and channel whose codecs are installed: ``stage channel n_bonafide n_spoof eer eer_low eer_high cllr
    cllr_recorded``: Cllr by a calibration on the same clips, and by that on the clips as recorded.
    """
    rows = []
    for channel, (words, codecs) in CHANNELS.items():
        if set(codecs) <= set(available_codecs()):
            for stage, found in scores(run, channel).items():
                own = calibration.fit(found.labels, found.values)
                options = {"groups": run.drawn(found.table)} | run.resampling()
                eer = intervals.interval(found.labels, found.values, **options)
                row = {"stage": stage, "channel": words, "n_bonafide": own.n_bonafide, "n_spoof": own.n_spoof}
                row |= {"eer": eer.value, "eer_low": eer.low, "eer_high": eer.high}
                for name, fitted in (("cllr", own), ("cllr_recorded", run.calibration_of(stage))):
                    row[name] = metrics.cllr(found.labels, fitted.llr(found.values))
                rows.append(row)
    rows.sort(key=lambda row: STAGES.index(row["stage"]))
    run.keep(channels=rows)
    return pd.DataFrame(rows)


def scores(run: Run, channel: str) -> dict[str, Scores]:
    """Return each stage's scores of the validation clips of `TARGET`, sent through a channel, and write them as CSV."""
    clips, (_, codecs) = run.corpus(TARGET, split="validation"), CHANNELS[channel]
    names = {stage: f"{stage}-{TARGET}-validation" for stage in STAGES}
    if not codecs:
        return {stage: run.score(clips, run.scorer(stage), name=name) for stage, name in names.items()}
    with tempfile.TemporaryDirectory() as folder:
        rows, paths, hashes = zip(*_sent(clips.table, codecs, Path(folder), run.profile.seed), strict=True)
        table = clips.table.assign(clip=tables.below(clips.table["path"], clips.root)).iloc[list(rows)]
        table = table.assign(path=paths, sha256=hashes).reset_index(drop=True)
        sent = dataclasses.replace(clips, table=table, root=folder)
        return {stage: run.score(sent, run.scorer(stage), name=f"{name}-{channel}") for stage, name in names.items()}


def _sent(clips: pd.DataFrame, codecs: tuple[str, ...], folder: Path, seed: int) -> Iterator[tuple[int, str, str]]:
    """Send clips through a codec each, into files in a folder; yield their rows, paths and fingerprints."""
    send = augment.build([f"codec={'+'.join(codecs)}"])
    for row, (path, clip) in enumerate(clips[["path", "sha256"]].itertuples(index=False, name=None)):
        # What cannot be decoded has no score as recorded, either.
        with contextlib.suppress(DataError):
            wave = send(audio.load(path, rate=audio.RATE), rate=audio.RATE, rng=augment.rng(seed, 0, clip))
            place = folder / f"{row}.wav"
            audio.write_wav(place, wave, rate=audio.RATE)
            yield row, str(place), files.sha256(place)
