"""What a detector is made of, and the configurations that this project knows by name."""

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from dfdlib.data.audio import RATE
from dfdlib.detector import aasist, frontend, registry
from dfdlib.detector.backends import conformer, mean, nes2net, raw_aasist, rawnet2, resnet, sls
from dfdlib.errors import ParameterError

#: What decides: a name for files, the settings, and the network. Those with `inputs` stand behind a front end; those
#: without read waveforms.
BACKENDS: dict[str, tuple[type, type[torch.nn.Module]]] = {
    "aasist": (aasist.AasistConfiguration, aasist.Aasist),
    "raw-aasist": (raw_aasist.RawAasistConfiguration, raw_aasist.RawAasist),
    "rawnet2": (rawnet2.RawNet2Configuration, rawnet2.RawNet2),
    "resnet": (resnet.ResNetConfiguration, resnet.ResNet),
    "sls": (sls.SlsConfiguration, sls.Sls),
    "nes2net": (nes2net.Nes2NetConfiguration, nes2net.Nes2Net),
    "conformer": (conformer.ConformerConfiguration, conformer.Conformer),
    "mean": (mean.MeanConfiguration, mean.Mean),
}
_KINDS = {configuration: kind for kind, (configuration, _) in BACKENDS.items()}

#: What detectors that read waveforms have in place of frames, in samples: 20 ms.
_FRAME = 320


@dataclass(frozen=True, kw_only=True)
class DetectorConfiguration:
    """What a detector is made of."""

    name: str  # what to call it
    frontend: frontend.FrontendConfiguration | None  # the wav2vec 2.0 network; None where the back end reads waveforms
    backend: object  # the settings of one of `BACKENDS`
    rate: int = RATE  # sampling rate of the waveforms, in hertz
    normalise: bool = False  # whether each clip is brought to a mean of zero and a variance of one first

    def __post_init__(self):
        if type(self.backend) not in _KINDS:
            raise ParameterError(f"backend={self.backend!r:.60}: expected the settings of {', '.join(BACKENDS)}")
        reads_waveforms = hasattr(self.backend, "least_samples")
        if reads_waveforms != (self.frontend is None):
            needs = "reads waveforms: it takes no front end" if reads_waveforms else "needs a front end"
            raise ParameterError(f"the back end {self.kind} {needs}")
        if (outputs := getattr(self.backend, "outputs", 2)) != 2:
            raise ParameterError(f"outputs={outputs}: a detector has two, spoof and bona fide")

    @property
    def kind(self) -> str:
        """The back end, as a key of `BACKENDS`."""
        return _KINDS[type(self.backend)]

    @property
    def least_samples(self) -> int:
        """The shortest clip the detector can take, in samples."""
        if self.frontend is None:
            return self.backend.least_samples
        return self.frontend.samples(self.backend.least_frames)

    @property
    def takes_layers(self) -> bool:
        """Whether the front end hands over what each of its layers gives, before its last norm."""
        return self.kind == "sls"

    @property
    def takes_any_length(self) -> bool:
        """Whether longer clips than the shortest will do."""
        return not hasattr(self.backend, "frames")

    def frames(self, samples: int) -> int:
        """Return how many frames the detector makes of `samples` samples, or about how many."""
        return max(1, samples // _FRAME) if self.frontend is None else self.frontend.frames(samples)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse waveforms of another shape than (B, n), too short, or of another length than the only one it takes."""
        if len(shape) != 2:
            raise ParameterError(f"waveforms of shape {tuple(shape)}: expected (clips, samples)")
        if shape[1] < self.least_samples:
            raise ParameterError(
                f"waveforms of {shape[1]} samples: the detector {self.name} needs at least {self.least_samples} "
                f"({1000 * self.least_samples / self.rate:.0f} ms); repeat the clip or leave it out"
            )
        if not self.takes_any_length and self.frames(shape[1]) != self.backend.frames:
            raise ParameterError(
                f"waveforms of {shape[1]} samples: the detector {self.name} takes one length only, as fixed windows "
                f"have ({self.backend.frames} frames); choose the window fixed"
            )

    def beside_weights(self) -> str:
        """Return, as JSON, the settings that weights do not tell, as where a norm stands; they decide as well.

        Empty for mini and xlsr-300m under any name: what was kept of them does not have it.
        """
        nameless = replace(self, name="")
        if nameless in (replace(CONFIGURATIONS[name], name="") for name in ("mini", "xlsr-300m")):
            return ""
        return json.dumps(nameless.to_dict(), sort_keys=True)

    def to_dict(self) -> dict:
        """Return the configuration as plain values, ready for JSON.

        What was added since files are written stands there only where it says something.
        """
        values = dataclasses.asdict(self)
        if not self.normalise:
            del values["normalise"]
        if self.frontend is not None:
            for name in _ADDED:
                if values["frontend"][name] == getattr(frontend.FrontendConfiguration, name):
                    del values["frontend"][name]
        if self.kind != "aasist":
            values["backend"] = {"kind": self.kind} | values["backend"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping) -> "DetectorConfiguration":
        """Return the configuration that `to_dict` was called on."""
        inner = _checked(cls, values, optional=("normalise",))
        front, back = inner["frontend"], inner["backend"]
        if front is not None:
            front = frontend.FrontendConfiguration(**_checked(frontend.FrontendConfiguration, front, optional=_ADDED))
        kind = back.get("kind", "aasist") if isinstance(back, Mapping) else "aasist"
        if not isinstance(kind, str) or kind not in BACKENDS:
            raise ParameterError(f"configuration: no back end is called {kind!r:.60}; there are {', '.join(BACKENDS)}")
        if isinstance(back, Mapping):
            back = {name: value for name, value in back.items() if name != "kind"}
        settings = _checked(BACKENDS[kind][0], back)
        _require_types(BACKENDS[kind][0], settings)
        backend = BACKENDS[kind][0](**settings)
        normalise = inner.get("normalise", False)
        if not isinstance(inner["name"], str) or inner["rate"] != RATE or not isinstance(normalise, bool):
            raise ParameterError(
                f"name={inner['name']!r}, rate={inner['rate']!r}, normalise={normalise!r}: expected a text, {RATE} and "
                "true or false"
            )
        return cls(name=inner["name"], frontend=front, backend=backend, normalise=normalise)


#: Settings of the front end that older files do not have.
_ADDED = ("convolution_bias", "group_norm", "norm_first", "code_words")


def _checked(kind: type, values: object, *, optional: tuple[str, ...] = ()) -> dict:
    """Return `values` with lists as tuples, having made sure that its keys are the fields of `kind`."""
    if not isinstance(values, Mapping):
        raise ParameterError(f"configuration: expected the settings of {kind.__name__}, found {values!r:.60}")
    names = {field.name for field in dataclasses.fields(kind)}
    if wrong := sorted(names - set(optional) - set(values) | set(values) - names):
        raise ParameterError(f"configuration: missing or unknown settings of {kind.__name__}: {', '.join(wrong)}")
    return {name: _as_tuple(value) for name, value in values.items()}


def _as_tuple(value: object) -> object:
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


def _require_types(backend: type, settings: Mapping) -> None:
    """Refuse values that are of another type than the field's, and sizes below one: files hold anything."""
    for field in dataclasses.fields(backend):
        value = settings[field.name]
        values = value if isinstance(value, tuple) else (value,)
        kind = field.type
        if typing.get_origin(kind) is tuple:
            kind, *others = typing.get_args(kind)
            fits = isinstance(value, tuple) and bool(value) and (Ellipsis in others or len(value) == 1 + len(others))
        else:
            fits = not isinstance(value, tuple)
        for one in values:
            if typing.get_origin(kind) is typing.Literal:
                fits &= isinstance(one, str) and one in typing.get_args(kind)
            elif kind is bool:
                fits &= isinstance(one, bool)
            else:
                # A share of 0 or 1 may be written as a whole number.
                number = isinstance(one, (int, float) if kind is float else int) and not isinstance(one, bool)
                fits &= number and (0 if kind is float else 1) <= one < 2**31
        if not fits:
            raise ParameterError(f"configuration: {field.name}={value!r:.60}: not a value of {backend.__name__}")


def _known() -> dict[str, DetectorConfiguration]:
    xlsr, mini = frontend.XLSR_300M, frontend.MINI
    plain = nes2net.Nes2NetConfiguration(stacked=False, dilation=1)
    small = conformer.ConformerConfiguration(width=48, blocks=2, kernel=15)
    parts = {
        "xlsr-300m": (xlsr, aasist.FULL),
        "mini-resnet": (None, resnet.ResNetConfiguration()),
        "mini": (mini, aasist.SMALL),
        "mini-nes2net": (mini, replace(plain, groups=4, inner_groups=4)),
        "mini-conformer": (mini, small),
        "mini-tcm": (mini, replace(small, head_tokens=True)),
        "mini-mean": (mini, mean.MeanConfiguration()),
        "mini-sls": (mini, sls.SlsConfiguration(frames=mini.frames(64_600), hidden=32)),
        "mini-rawnet2": (None, rawnet2.RawNet2Configuration(taps=129, channels=(20, 20, 64), recurrent=64)),
        "aasist": (None, raw_aasist.RawAasistConfiguration()),
        "aasist-l": (None, raw_aasist.LIGHT),
        "rawnet2": (None, rawnet2.RawNet2Configuration()),
        "rawnet2-asvspoof5": (None, rawnet2.RawNet2Configuration(norm_first=True)),
        "xlsr-sls": (xlsr, sls.SlsConfiguration()),
        "xlsr-nes2net": (xlsr, plain),
        "xlsr-nes2net-x": (xlsr, nes2net.Nes2NetConfiguration()),
        "xlsr-conformer": (xlsr, conformer.ConformerConfiguration()),
        "xlsr-tcm": (xlsr, conformer.ConformerConfiguration(head_tokens=True)),
        "antideepfake-small": (frontend.WAV2VEC2_BASE, mean.MeanConfiguration()),
        "antideepfake-300m": (xlsr, mean.MeanConfiguration()),
        "antideepfake-1b": (frontend.XLSR_1B, mean.MeanConfiguration()),
        "antideepfake-2b": (frontend.XLSR_2B, mean.MeanConfiguration()),
        "antideepfake-hubert-xl": (frontend.HUBERT_XL, mean.MeanConfiguration()),
    }
    return {
        name: DetectorConfiguration(name=name, frontend=front, backend=back, normalise=name.startswith("antideepfake-"))
        for name, (front, back) in parts.items()
    }


CONFIGURATIONS = _known()


def named(name: str) -> DetectorConfiguration:
    """Return one of `CONFIGURATIONS`."""
    return CONFIGURATIONS[registry.plain(name)]
