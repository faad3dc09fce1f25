"""The tested clips one by one: those that went wrong most to hear, see and explain, and a table of all."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from dfdlib.data import audio
from dfdlib.detector import explanation, splices
from dfdlib.detector.explanation import Explanation
from dfdlib.detector.scores import pair
from dfdlib.errors import DataError
from dfdlib.evaluation import intervals
from dfdlib.experiment.run import STAGES, Run
from dfdlib.report import columns, page, plots, show
from dfdlib.text import unicode

#: Seconds of a clip that are played and drawn.
PLAYED = 15.0
#: Clips of a corpus whose deletion curves say whether the pictures are faithful.
CURVES = 6
#: Spliced recordings of a corpus, at most and at least.
RECORDINGS, FEWEST = 8, 4
#: What is chosen of each corpus, in this order: how many, and what they are called.
GROUPS = {
    "accepted after": (2, "Worst false acceptance after fine-tuning"),
    "rejected after": (2, "Worst false rejection after fine-tuning"),
    "accepted before": (1, "Worst false acceptance before fine-tuning"),
    "rejected before": (1, "Worst false rejection before fine-tuning"),
    "mended": (1, "Wrong before, right after"),
    "broken": (1, "Right before, wrong after"),
    "right bona fide": (1, "Right, for comparison: bona fide"),
    "right spoof": (1, "Right, for comparison: spoof"),
}
#: Neighbours that are named.
NEAR = 3
#: The groups whose worst clip of all corpora is shown before anything is unfolded.
WORST = ("accepted after", "rejected after")
#: The caption of the table of `spliced`.
SPLICED = "Segments of 0.5 s told apart (EER), and borders found within 1 s at the validation threshold."
_KINDS = {"exact": "the same file as", "copy": "the same sound as", "rebuilt": "rebuilt from the recording of"}


class Pictures(NamedTuple):
    """What the chosen clips' scores rest on, and whether that can be believed.

    `found` has the explanation of each clip that could be read, by its row; `curve` is that of
    `explanation.faithfulness`, empty where no clip could be read.
    """

    found: dict[int, Explanation]
    curve: pd.DataFrame

    @property
    def faithful(self) -> bool:
        """Whether hiding what matters most costs the decisions more than hiding as much at random."""
        return len(self.curve) > 0 and bool(self.curve["low"].iloc[-1] > 0)


# What is shown


def trials(run: Run) -> pd.DataFrame:
    """Return all tested clips of a run, a row each.

    ``corpus clip path label attack speaker sentence``; ``before after``, the scores less the threshold of validation
    clips, so that bona fide is 0 and above; ``right_before right_after``; and ``llr_before llr_after``, as far as so
    many validation clips support them.
    """
    tables = []
    for name in run.corpora:
        both = [run.scores(stage, name) for stage in STAGES]
        table = pair(*both)
        rows = pd.DataFrame({"corpus": name, "clip": both[0].relative(table)["path"], "path": table["path"]})
        rows["label"] = table["label"].to_numpy(int)
        for column in ("attack", "speaker", "sentence"):
            rows[column] = table[column].fillna("").astype(str) if column in table else ""
        for stage, column in zip(STAGES, ("score", "score_second"), strict=True):
            calibration = run.calibration_of(stage)
            rows[stage] = table[column].to_numpy(float) - calibration.threshold
            rows[f"llr_{stage}"] = calibration.llr(table[column])
            rows[f"right_{stage}"] = (rows[stage] >= 0) == (rows["label"] == 1)
        tables.append(rows)
    return pd.concat(tables, ignore_index=True)


def chosen(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the clips of one corpus to listen to, each once, with the ``group`` of `GROUPS` that it stands for."""
    side = np.where(rows["label"] == 1, -1, 1)  # towards the wrong side
    wrong = {stage: pd.Series(side * rows[stage], rows.index) for stage in STAGES}
    moved = wrong["after"] - wrong["before"]
    before, after, real = rows["right_before"], rows["right_after"], rows["label"] == 1
    orders = {
        "accepted after": wrong["after"][~after & ~real],
        "rejected after": wrong["after"][~after & real],
        "accepted before": wrong["before"][~before & ~real],
        "rejected before": wrong["before"][~before & real],
        "mended": -moved[~before & after],
        "broken": moved[before & ~after],
        "right bona fide": -wrong["after"][before & after & real],
        "right spoof": -wrong["after"][before & after & ~real],
    }
    taken: dict[int, str] = {}
    for group, (count, _) in GROUPS.items():
        order = orders[group].sort_values(ascending=False, kind="stable").index
        if group.startswith("right"):  # a usual one, in the middle of them
            order = order[len(order) // 2 :]
        taken |= dict.fromkeys([row for row in order if row not in taken][:count], group)
    return rows.loc[list(taken)].assign(group=list(taken.values()))


def explained(run: Run, rows: pd.DataFrame, clips: pd.DataFrame) -> Pictures:
    """Explain the scores of chosen clips, each by the detector that it is shown for, and test that on others.

    The deletion curve is of `CURVES` clips of each corpus, drawn at random, by the fine-tuned detector.
    """
    options = {"preprocessing": run.preprocessing(), "batch_size": run.profile.scoring.batch_size}
    heard = rows[rows["corpus"].isin(run.with_audio)]
    some = [part.sample(min(CURVES, len(part)), random_state=run.profile.seed) for _, part in heard.groupby("corpus")]
    sample = pd.concat([heard.head(0), *some])

    def one(row: int) -> tuple[Explanation | None, pd.DataFrame | None]:
        stage = stage_of(clips.loc[row, "group"]) if row in clips.index else "after"
        try:
            wave = explanation.load(rows.loc[row, "path"], preprocessing=options["preprocessing"])
        except (DataError, OSError):
            return None, None
        found, curve = explanation.explain(wave, run.scorer(stage), **options), None
        if row in sample.index:
            scored = found if stage == "after" else explanation.explain(wave, run.scorer("after"), **options)
            threshold = run.calibration_of("after").threshold
            curve = explanation.deletion(wave, scored, run.scorer("after"), threshold=threshold, **options)
            curve["unit"] = f"{rows.loc[row, 'corpus']} {rows.loc[row, 'speaker'] or row}"
        return found, curve

    wanted = [
        *(row for row in clips.index if row in heard.index),
        *(row for row in sample.index if row not in clips.index),
    ]
    # Each thread of its own starts with torch's own number of threads.
    with (
        run.threads(),
        ThreadPoolExecutor(
            run.parallel_jobs(), initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)
        ) as pool,
    ):
        found = {}
        for done, (row, answer) in enumerate(zip(wanted, pool.map(one, wanted), strict=True), 1):
            found[row] = answer
            run.tell(f"explaining scores, {done} of {len(wanted)} clips")
    curves = [curve for _, curve in found.values() if curve is not None]
    given = {"unit": "unit", "level": run.profile.uncertainty.level}
    curve = explanation.faithfulness(pd.concat(curves), **given) if curves else pd.DataFrame()
    pictures = {row: answer for row, (answer, _) in found.items() if answer is not None and row in clips.index}
    return Pictures(pictures, curve)


def stage_of(group: str) -> str:
    """Return the stage whose score a clip of a group is shown for."""
    return "before" if group.endswith("before") else "after"


def believed(pictures: Pictures, *, level: float) -> str:
    """Say whether the pictures of what scores rest on are faithful, and are shown."""
    if pictures.curve.empty:
        return "No clip could be read, so no score is explained."
    last = pictures.curve.iloc[-1]
    low, high = (f"{last[end]:.2f}" for end in ("low", "high"))
    said = (
        f"Hiding the parts of a clip that matter most to its score moves it by {last['ordered']:.2f} against the "
        f"decision, hiding as many at random by {last['random']:.2f}"
    )
    if np.isnan(last["low"]):
        return f"{said}; of one speaker there is no interval, so what scores rest on is not shown."
    said += f" (difference {last['difference']:.2f}, {100 * level:g} % interval {low} to {high})"
    return f"{said}: the occlusion pictures are {'' if pictures.faithful else 'not shown to be '}faithful" + (
        "." if pictures.faithful else ", and are left out."
    )


# The splice test


def spliced(run: Run) -> pd.DataFrame:
    """Return how well the fine-tuned detector's windows find the borders of spliced recordings; keep it.

    A row a corpus that has twins: ``corpus recordings eer eer_low eer_high borders border_hits f1 chance``, the EER of
    segments, and the borders at the threshold of validation clips.
    """
    found = []
    threshold = run.calibration_of("after").threshold
    for name in run.with_audio:
        table = run.scores("after", name).table
        if splices.twins(table).empty:
            continue
        run.tell(f"splicing recordings of {name}")
        with run.threads():
            parts = splices.segments(
                table, run.scorer("after"), preprocessing=run.preprocessing(), recordings=RECORDINGS
            )
        if parts["recording"].nunique() < FEWEST:
            continue
        labels, scores = parts["label"].to_numpy(int), parts["score"].to_numpy(float)
        eer = intervals.interval(labels, scores, groups=parts["recording"].to_numpy(int), **run.resampling())
        at = splices.borders(parts, threshold=threshold)
        row = {"corpus": name, "recordings": parts["recording"].nunique()}
        row |= {"eer": eer.value, "eer_low": eer.low, "eer_high": eer.high}
        found.append(
            row | {"borders": at["borders"], "border_hits": at["found"], "f1": at["f1"], "chance": at["chance"]}
        )
    run.keep(splices=found)
    return pd.DataFrame(found)


def borders_found(table: pd.DataFrame) -> str:
    """Say how well the borders of `spliced` were found."""
    if table.empty:
        return "No corpus has spoofs of the same speakers and sentences as enough bona fide clips: nothing was spliced."
    better = list(table.loc[table["eer_high"] < 0.5, "corpus"])
    told = f"better than chance on {' and '.join(better)}" if better else "not shown to be better than chance"
    hits, borders = int(table["border_hits"].sum()), int(table["borders"].sum())
    f1 = np.average(table["f1"], weights=table["borders"])
    chance = np.average(table["chance"], weights=table["borders"])
    return (
        f"Windows tell segments apart {told}. They find {hits} of {borders} borders (F1 {f1:.2f}); a change placed at "
        f"random meets one with a probability of {chance:.2f}."
    )


# As HTML


def display(run: Run) -> None:
    """Show the chosen clips of every corpus and the table of all, and keep what the deletion curve says."""
    rows = trials(run)
    clips = pd.concat([chosen(part) for _, part in rows.groupby("corpus", sort=False)])
    pictures = explained(run, rows, clips)
    run.keep(occlusion=pictures.curve.to_dict("records"))
    show.say(believed(pictures, level=run.profile.uncertainty.level), run=run)
    show.fragment(markup(run, rows, clips, pictures), plain=f"{len(clips)} clips to listen to, of {len(rows)}.")


def markup(run: Run, rows: pd.DataFrame, clips: pd.DataFrame, pictures: Pictures) -> str:
    """Return the browser as HTML that needs nothing else: styles, clips, data and script."""
    near = neighbours(run)
    scales = {stage: _scale(run, rows, stage) for stage in STAGES}
    cards = [_card(clip, pictures, near, scales, run) for clip in clips.itertuples()]
    grouped = [[card for card in cards if card["group"] == group] for group in WORST]
    worst = [max(some, key=lambda card: card["wrong"]) for some in grouped if some]
    corpora = {name: [card for card in cards if card["corpus"] == name and card not in worst] for name in run.corpora}
    shown = rows[["corpus", "clip", "attack", "speaker", "sentence", "label"]].map(unicode)
    numbers = rows[["before", "after", "llr_before", "llr_after"]].round(3)
    data = {"rows": pd.concat([shown, numbers], axis=1).to_numpy(object).tolist()}
    data = json.dumps(data, ensure_ascii=True, default=str).replace("<", "\\u003c")
    facts = {"worst": worst, "corpora": corpora, "total": columns.digits(len(rows)), "faithful": pictures.faithful}
    return page.environment().get_template("browser.html.j2").render(facts, data=data)


def neighbours(run: Run) -> dict[tuple[str, str], list[str]]:
    """Return what the audit of chapter 1 has found near each clip, by corpus and path, where it has run."""
    near: dict[tuple[str, str], list[str]] = {}
    for name in run.with_audio:
        kept = run.folder / "results" / f"pairs-{name}.csv"
        if not kept.is_file():
            continue
        for row in pd.read_csv(kept, dtype=str).itertuples():
            for one, other in ((row.first, row.second), (row.second, row.first)):
                near.setdefault((name, one), []).append(f"{_KINDS.get(row.kind, row.kind)} {other}")
    return near


def _card(clip, pictures: Pictures, near: dict, scales: dict, run: Run) -> dict:
    """Return what the template shows of a clip."""
    stage = stage_of(clip.group)
    name = f"{clip.corpus}, {'bona fide' if clip.label == 1 else f'spoof by {clip.attack}' if clip.attack else 'spoof'}"
    card = {
        "corpus": clip.corpus,
        "group": clip.group,
        "why": GROUPS[clip.group][1],
        "name": plots.shown(name, width=90),
    }
    card |= {"clip": unicode(clip.clip), "row": clip.Index, "wrong": abs(getattr(clip, stage)), "stage": stage}
    facts = {"corpus": clip.corpus, "class": show.describe(clip), "speaker": clip.speaker, "sentence": clip.sentence}
    card["facts"] = {key: plots.shown(value, width=90) for key, value in facts.items() if value}
    found = near.get((clip.corpus, clip.clip), [])
    card["near"] = [plots.shown(one, width=120) for one in found[:NEAR]] + (
        [f"{len(found) - NEAR} more"] if len(found) > NEAR else []
    )
    card["stages"] = [
        {
            "stage": one,
            "score": f"{getattr(clip, one):+z.2f}",
            "llr": f"{getattr(clip, f'llr_{one}'):+z.1f}",
            "right": getattr(clip, f"right_{one}"),
            "strip": scales[one] | {"at": scales[one]["place"](getattr(clip, one))},
        }
        for one in STAGES
    ]
    return card | _sound(clip, pictures, run)


def _sound(clip, pictures: Pictures, run: Run) -> dict:
    """Return the player, the spectrogram and the cells of a clip, or why there are none."""
    nothing = {"player": "", "image": "", "cells": [], "seconds": 0}
    if clip.corpus not in run.with_audio:
        return nothing | {"refused": "a score file, without sounds"}
    try:
        wave = next(audio.stream(clip.path, rate=audio.RATE, block=round(PLAYED * audio.RATE)))
    except (DataError, OSError) as error:
        return nothing | {
            "refused": f"cannot be played: {error.reason if isinstance(error, DataError) else error.strerror}"
        }
    drawn = plots.SpectrogramDisplay.from_wave(wave, rate=audio.RATE)
    cells = []
    if pictures.faithful and clip.Index in pictures.found:
        slope = run.calibration_of(stage_of(clip.group)).slope
        cells = _cells(pictures.found[clip.Index].table(slope=slope))
    return {
        "refused": "",
        "player": page.data_uri("audio/mpeg", mp3(wave)),
        "image": page.data_uri("image/webp", _picture(drawn)),
        "alt": drawn.alt(),
        "seconds": drawn.duration,
        "cells": cells,
    }


def _cells(table: pd.DataFrame) -> list[dict]:
    """Return the cells that change most, as boxes over a spectrogram in seconds and kHz from its top."""
    most = table["change"].abs().max() or 1.0
    some = table[table["change"].abs() >= 0.05 * most]
    return [
        {
            "x": cell.start,
            "width": cell.end - cell.start,
            "y": max(0.0, audio.RATE / 2000 - cell.high / 1000),
            "height": min(cell.high / 1000, audio.RATE / 2000) - cell.low / 1000,
            "side": "real" if cell.change > 0 else "spoof",
            "opacity": round(0.75 * abs(cell.change) / most, 2),
            "title": f"{cell.change:+.2f} at {cell.start:.2f} s, {cell.low / 1000:g} to {cell.high / 1000:g} kHz",
        }
        for cell in some.itertuples()
        if cell.low < audio.RATE / 2
    ]


def mp3(wave: np.ndarray) -> bytes:
    """Return a waveform as mp3, which every browser plays, at the level that it has; equal waves give equal bytes."""
    import soundfile

    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", audio.RATE, 1, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.6
    ) as file:
        file.write(wave.clip(-1, 1))
    return buffer.getvalue()


def _picture(drawn: plots.SpectrogramDisplay) -> bytes:
    """Return the levels of a spectrogram as a picture, loud is light."""
    from PIL import Image

    share = 1 - drawn.levels[::-1] / drawn.FLOOR
    buffer = io.BytesIO()
    Image.fromarray(np.round(255 * share).astype(np.uint8)).save(buffer, "WEBP", quality=55, method=4)
    return buffer.getvalue()


def _scale(run: Run, rows: pd.DataFrame, stage: str) -> dict:
    """Return where the validation clips of a stage lie on a strip of 100 units: 5 to 95 % of each class."""
    fitted = run.calibration_of(stage)
    ends = [np.quantile(part, [0.05, 0.95]) - fitted.threshold for part in (fitted.bonafide, fitted.spoof)]
    low, high = min(rows[stage].min(), *ends[0], *ends[1]), max(rows[stage].max(), *ends[0], *ends[1])

    def place(score: float) -> float:
        return round(float(2 + 96 * (score - low) / max(high - low, 1e-9)), 1)

    real, spoof = ([place(end) for end in pair] for pair in ends)
    return {"real": real, "spoof": spoof, "zero": place(0.0), "place": place}
