"""The experiment as data: validated YAML, changed by name, unknown names refused.

A profile is a file in ``profiles/`` beside this module or any YAML file of the same shape. Paths in it are relative to
the project's folder, the one that holds ``notebooks/``.
"""

import contextlib
import difflib
import importlib.resources
import re
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from dfdlib import machine
from dfdlib.data import tables
from dfdlib.detector import own, registry
from dfdlib.errors import ParameterError, RunError
from dfdlib.experiment.places import Data
from dfdlib.training import recipe
from dfdlib.training.recipe import Natural, Positive

_PROFILES = importlib.resources.files("dfdlib.experiment") / "profiles"

_CLOCK = re.compile(r"[-+\d:._]+")

#: The rival that measures clips and does not listen: `shortcuts.detector`.
SHORTCUTS = "shortcuts"

NonNegative = Annotated[float, pydantic.Field(ge=0)]
Share = Annotated[float, pydantic.Field(gt=0, lt=1)]


class _Settings(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Scoring(_Settings):
    """How clips are scored, and in what `detector.precision`; published figures are of float32."""

    batch_size: Positive = 16
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"


class RecipeChange(_Settings):
    """What a recipe changes of the profile's, in words, settings of `finetune`, and what else it is trained on."""

    words: str = ""
    settings: dict[str, Any] = {}
    also: tuple[Literal["custom", "source"], ...] = ()

    def applied(self, base: recipe.Settings) -> recipe.Settings:
        """Return `base` with these settings."""
        return recipe.Settings.model_validate(base.model_dump() | self.settings)


class Uncertainty(_Settings):
    """Bootstrap intervals.

    ``target`` is what they speak for: other voices and sentences, or these voices and other sentences (`units`).
    """

    target: Literal["new-voices", "these-voices"] = "new-voices"
    resamples: Annotated[int, pydantic.Field(ge=100, strict=True)] = 1000
    level: Share = 0.95


class Criteria(_Settings):
    """The most that a validation of log-likelihood ratios allows (`forensic.MATRIX`), and shares of spoofs in use.

    The field has none that are agreed; whoever uses the figures sets them, before the result is seen.
    """

    cllr: NonNegative = 0.5
    min_cllr: NonNegative = 0.4
    loss: NonNegative = 0.1
    misleading: NonNegative = 0.1
    tenfold: NonNegative = 0.05
    warnings: Natural = 0
    prevalences: tuple[Share, ...] = (0.01, 0.1, 0.5)


class Profile(_Settings):
    """One experiment."""

    name: str
    title: str
    seed: Natural = 0  #: of everything random in a run
    device: Literal["auto", "cpu", "cuda"] = "auto"
    #: A name of `dfd detectors`, or one of somebody's own (`detector.own`), which is reported as it is: it has no
    #: `checkpoint` and is not fine-tuned.
    detector: str
    #: The baseline's weights; ``{detector}`` in it stands for the detector's name. ``{frontend: FILE}`` is a
    #: pre-trained front end alone, whose back end begins with random weights by the seed.
    checkpoint: Path
    checkpoint_holds: Literal["detector", "frontend"] = "detector"  #: which of the two it is
    data: Data
    preprocessing: Literal["corrected", "original"] = "corrected"
    window: Literal["fixed", "full"] = "fixed"
    limit: Positive | None = None  #: at most so many clips of each split, for a quick look; the report says so
    #: Go on where training, validation and testing have a sound in common, which is refused else; the report says so.
    allow_shared_clips: bool = False
    scoring: Scoring = Scoring()
    finetune: recipe.Settings = recipe.Settings()
    recipes: dict[str, RecipeChange] = {}  #: ways of fine-tuning that are compared; the first is the reference
    recipe: str | None = None  #: the one that the report fine-tunes by; none: the settings of `finetune` as they are
    rivals: tuple[str, ...] = ()  #: other detectors, compared before fine-tuning: as `rivals.find` takes them
    seeds: Positive = 1  #: trainings of each recipe, with `seed` and the numbers after it
    #: Of the processor, for training; by default torch decides, and figures may depend on the number of cores.
    threads: Positive | None = None
    uncertainty: Uncertainty = Uncertainty()
    criteria: Criteria = Criteria()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _take_checkpoint(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if isinstance(name := values.get("detector"), str) and own.is_own(name):
            return values | {"checkpoint": own.place(name)}
        given = values.get("checkpoint")
        if not isinstance(given, dict):
            return values
        if set(given) != {"frontend"}:
            raise ValueError("checkpoint: expected a file, or {frontend: FILE} for a pre-trained front end alone")
        return values | {"checkpoint": given["frontend"], "checkpoint_holds": "frontend"}

    @pydantic.field_validator("detector")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            return name if own.is_own(name) else registry.plain(name)
        except ParameterError as error:
            raise ValueError(str(error)) from error

    @pydantic.field_validator("rivals")
    @classmethod
    def _rivals_are_known(cls, rivals: tuple[str, ...]) -> tuple[str, ...]:
        for text in rivals:
            if text != SHORTCUTS and Path(text).suffix.lower() not in tables.TABLES:
                cls._is_known(text)
        if len({Path(text).name for text in rivals}) < len(rivals):
            raise ValueError(f"{', '.join(rivals)}: two are called the same; rename one")
        return rivals

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "Profile":
        if own.is_own(self.detector) and self.scoring.precision != "float32":
            raise ValueError(f"scoring.precision: {self.detector} computes in one of its own; leave this out")
        if self.scoring.precision in ("bfloat16", "float16"):
            from dfdlib.detector import configuration  # 2 s: torch

            if configuration.CONFIGURATIONS[self.detector].frontend is None:
                raise ValueError(f"scoring.precision: {self.detector} has no front end to compute so; leave this out")
        for name, change in self.recipes.items():
            try:
                change.applied(self.finetune)
            except pydantic.ValidationError as error:
                first = error.errors()[0]
                setting = ".".join(str(part) for part in first["loc"])
                raise ValueError(f"recipes.{name}.settings: {setting} = {first['input']!r}: {first['msg']}") from error
        if self.recipe is not None and self.recipe not in self.recipes:
            raise ValueError(
                f"recipe = {self.recipe!r} is none of {', '.join(self.recipes) or 'the recipes: there are none'}"
            )
        return self


def device(settings: Profile) -> str:
    """Return the device that a profile's tensors live on, "cpu" or "cuda", with "auto" decided."""
    return machine.device(settings.device)


#: The project's folder.
root = machine.root


def remembered() -> Path | None:
    """Return the file that keeps durations and fingerprints of sound files; None outside the project's folder."""
    try:
        return root() / "data" / "cache" / "files.sqlite"
    except RunError:
        return None


def names() -> list[str]:
    """Return the names of the profiles that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _PROFILES.iterdir() if entry.name.endswith(".yaml"))


def load(name_or_path: str | Path, *, overrides: Iterable[str] = ()) -> Profile:
    """Read a profile and change what `overrides` say.

    What is wrong is a ParameterError that names the key, where it came from and the closest valid names.

    Parameters
    ----------
    name_or_path : str or Path
        A name of `names`, or a YAML file.
    overrides : iterable of str
        ``key=value`` with a dotted key, as ``finetune.epochs=2`` or ``recipes.codec.settings.epochs=2``. The value of a
        setting that is a text or a path is taken as it stands, quotes and all; ``null`` or nothing is none where the
        setting may be none, and ``~`` at the beginning of a path is the home folder. Any other value is read as YAML.
    """
    origin, text = _text(str(name_or_path))
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParameterError(f"{origin}: is not YAML ({' '.join(str(error).split())}); correct it") from error
    if not isinstance(values, dict):
        raise ParameterError(f"{origin}: is not a profile; expected lines such as 'detector: mini'")
    origins: dict[str, str] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        key, where = key.strip(), f"--set {override}"
        if not equals or not key:
            raise ParameterError(f"{where}: expected KEY=VALUE, as in --set finetune.epochs=2")
        kind = _kind(key, where=where, recipes=values.get("recipes"))
        _put(values, key, _value(value, kind, where=where))
        origins[key] = where
    try:
        settings = Profile.model_validate(values)
    except pydantic.ValidationError as error:
        raise ParameterError(_one_line(error.errors()[0], origin=origin, origins=origins)) from error
    checkpoint = Path(str(settings.checkpoint).replace("{detector}", settings.detector))
    return settings.model_copy(update={"data": settings.data.mapped(_place), "checkpoint": _place(checkpoint)})


def _text(name: str) -> tuple[str, str]:
    if name in names():
        return f"profile {name}", (_PROFILES / f"{name}.yaml").read_text("utf-8")
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        try:
            return str(path), path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ParameterError(f"{path}: cannot be read as text ({error}); correct it or choose another") from error
    raise ParameterError(f"profile {name!r}: there is none of that name; choose {' or '.join(names())}, or a YAML file")


def _kind(key: str, *, where: str, recipes: Any) -> Any:
    """Return the type of a setting, given its dotted name; refuse a name that no setting has."""
    kind, done = Profile, []
    for part in key.split("."):
        fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel) else {}
        if done == ["recipes"]:
            # A new one is given as a whole, or a slip in the name of an old one would make one more to train.
            if part not in (recipes or {}) and key != f"recipes.{part}":
                there_are = ", ".join(recipes or {}) or "none"
                raise ParameterError(
                    f"{where}: no recipe is called {part!r}; there are {there_are}. A new one is given whole, as in "
                    f"--set 'recipes.{part}={{settings: {{epochs: 2}}}}'"
                )
            kind = RecipeChange
        elif typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
        elif part in fields:
            kind = recipe.Settings if (kind, part) == (RecipeChange, "settings") else fields[part].annotation
        else:
            inside = _keys(kind, "".join(f"{name}." for name in done)) if fields else []
            raise ParameterError(_unknown(key, where=where, known=inside))
        done.append(part)
    return kind


def _value(text: str, kind: Any, *, where: str) -> Any:
    """Return the value that a text stands for where a setting is of a type."""
    kinds = _kinds(kind)
    may_be_none = type(None) in kinds
    kinds.discard(type(None))
    as_it_stands = all(one in (str, Path) or typing.get_origin(one) is Literal for one in kinds)
    # A place may be a path, and one in braces is score files or a public corpus.
    if not (as_it_stands or Path in kinds) or (Path in kinds and text.lstrip().startswith("{")):
        try:
            number = _number(text)
            # YAML takes 1:30 for ninety.
            return number if number is not None else text if _CLOCK.fullmatch(text) else yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ParameterError(f"{where}: the value is not YAML ({' '.join(str(error).split())})") from error
    if may_be_none and text in ("", "null"):
        return None
    if Path in kinds and not text.strip():
        raise ParameterError(f"{where}: names no file or folder; give its place")
    return text


def _kinds(kind: Any) -> set:
    """Return the types of which a setting may be one."""
    if typing.get_origin(kind) is Annotated:
        return _kinds(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return set().union(*map(_kinds, typing.get_args(kind)))
    return {kind}


def _number(text: str) -> int | float | None:
    """Return the number that a text is in Python: YAML takes 1e-4 for text and 010 for eight."""
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        number = float(text)
        return int(number) if "e" in text.lower() and number.is_integer() else number
    return None


def _put(values: dict, key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        child = values.get(parent)
        values[parent] = child if isinstance(child, dict) else {}
        values = values[parent]
    values[leaf] = value


def _keys(model: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    """Return every dotted name that may be set."""
    found = []
    for name, field in model.model_fields.items():
        nested = isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel)
        found += _keys(field.annotation, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]
    return found


def _one_line(error: dict, *, origin: str, origins: dict[str, str]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    # A whole section may have been set, as in --set 'finetune={epochs: 2}'; the last one set is the one that holds.
    setters = [name for name in origins if key == name or key.startswith(f"{name}.")]
    where = origins[setters[-1]] if setters else origin
    if error["type"] == "extra_forbidden":
        return _unknown(key, where=where)
    if error["type"] == "missing":
        return f"{where}: the setting {key!r} is missing; add it"
    if error["type"] == "value_error":
        return f"{where}: {key + ': ' if key else ''}{' '.join(str(error['ctx']['error']).split())}"
    quotes = "; put it in quotes" if error["type"] in ("string_type", "path_type") and not setters else ""
    return f"{where}: {key} = {error['input']!r} is not allowed ({error['msg']}){quotes}"


def _unknown(key: str, *, where: str, known: Iterable[str] = ()) -> str:
    known = list(known) or _keys(Profile)
    close = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    close = close or [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known)}"
    return f"{where}: no setting is called {key!r}; {hint}"


def as_used(settings: Profile, *, changed: bool = False) -> dict[str, Any]:
    """Return a profile's settings, or those that are not the defaults, as plain values for JSON.

    Paths below the project's folder are relative to it.
    """

    def shown(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shown(one) for name, one in value.items()}
        if isinstance(value, Path):
            return str(value.relative_to(root()) if value.is_relative_to(root()) else value)
        return list(value) if isinstance(value, tuple) else value

    return shown(settings.model_dump(exclude_defaults=changed))


def _place(path: Path) -> Path:
    """Return a path made absolute, from the project's folder."""
    try:
        return root() / path.expanduser()
    except RuntimeError as error:  # nobody of that name has a home
        raise ParameterError(f"{path}: {error}; give the whole path") from error
