"""Write the model card of the demo's baseline."""

import datetime
import platform
from pathlib import Path

import jinja2
import pandas as pd
import torch

from dfdlib import files
from dfdlib.data import corpus
from dfdlib.detector import network
from dfdlib.detector.preprocessing import Preprocessing
from dfdlib.detector.score import score
from dfdlib.evaluation import by_group, metrics
from dfdlib.experiment import baseline, profile
from dfdlib.report.sentences import percent
from dfdlib.text import thousands

_TEMPLATE = Path(__file__).parent / "templates/model_card.md.j2"


def write(
    settings: profile.Profile, *, checkpoint: Path, kept: baseline.Trained, trained: list[baseline.Trained]
) -> str:
    """Return the model card of what `baseline.train` was given and returned, and write it beside the weights."""
    source = corpus.read(settings.data.source, name="source")
    how = Preprocessing.named(settings.preprocessing, window=settings.window)
    scores = score(source.split("testing"), network.load(checkpoint), preprocessing=how)
    spread = baseline.spread(trained)
    text = jinja2.Template(
        _TEMPLATE.read_text("utf-8"), undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    ).render(
        name=checkpoint.stem,
        detector=settings.detector,
        kept=kept,
        weights=checkpoint.name,
        sha256=files.sha256(checkpoint),
        date=datetime.date.today().isoformat(),
        versions=f"Python {platform.python_version()}, torch {torch.__version__}, on {platform.machine()}",
        recipe=baseline.RECIPE.model_copy(update={"seed": kept.seed}).identity(),
        splits=_splits(source.table),
        history=pd.read_csv(checkpoint.with_suffix(".csv")).to_dict("records"),
        values=metrics.evaluate(scores.labels, scores.values),
        window=settings.window,
        attacks=by_group.by_attack(scores.labels, scores.values, scores.table["attack"]).to_dict("records"),
        seeds=[one for one in trained if one.variant == kept.variant],
        corpora=list(kept.macro_eer),
        spread=spread.to_dict("records") if len(spread) > 1 else [],
        percent=percent,
        thousands=thousands,
    )
    with files.atomic(checkpoint.with_suffix(".md")) as file:
        file.write(text)
    return text


def _splits(table: pd.DataFrame) -> list[dict]:
    return [
        {
            "name": name,
            "bonafide": int((rows["label"] == 1).sum()),
            "spoof": int((rows["label"] == 0).sum()),
            "voices": rows.loc[rows["label"] == 1, "speaker"].nunique(),
            "systems": sorted(set(rows.loc[rows["label"] == 0, "attack"])),
            "digest": corpus.fingerprint(rows),
        }
        for name, rows in table.groupby("split", sort=False)
    ]
