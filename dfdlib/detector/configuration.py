"""What a detector is made of, and the configurations that this project knows by name."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from dfdlib.data.audio import RATE
from dfdlib.detector import aasist, frontend
from dfdlib.errors import ParameterError


@dataclass(frozen=True, kw_only=True)
class DetectorConfiguration:
    """What a detector is made of.

    Parameters
    ----------
    name : str
        What to call it.
    frontend : FrontendConfiguration
        The wav2vec 2.0 network.
    backend : AasistConfiguration
        The graph-attention network.
    rate : int
        Sampling rate of the waveforms, in hertz.
    """

    name: str
    frontend: frontend.FrontendConfiguration
    backend: aasist.AasistConfiguration
    rate: int = RATE

    @property
    def least_samples(self) -> int:
        """The shortest clip the detector can take, in samples."""
        return self.frontend.samples(self.backend.least_frames)

    def check(self, shape: tuple[int, ...]) -> None:
        """Make sure that waveforms of this shape are a batch that the detector can take.

        Raises
        ------
        ParameterError
            The shape is not (B, n), or n is below `least_samples`.
        """
        if len(shape) != 2:
            raise ParameterError(f"waveforms of shape {tuple(shape)}: expected (clips, samples)")
        if shape[1] < self.least_samples:
            raise ParameterError(
                f"waveforms of {shape[1]} samples: the detector {self.name} needs at least {self.least_samples} "
                f"({1000 * self.least_samples / self.rate:.0f} ms); repeat the clip or leave it out"
            )

    def to_dict(self) -> dict:
        """Return the configuration as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping) -> "DetectorConfiguration":
        """Return the configuration that `to_dict` was called on.

        Raises
        ------
        ParameterError
            A key is missing or unknown, or a value is out of range.
        """
        inner = _checked(cls, values)
        front = _checked(frontend.FrontendConfiguration, inner["frontend"])
        back = _checked(aasist.AasistConfiguration, inner["backend"])
        if not isinstance(inner["name"], str) or inner["rate"] != RATE:
            raise ParameterError(f"name={inner['name']!r}, rate={inner['rate']!r}: expected a text and {RATE}")
        return cls(
            name=inner["name"],
            frontend=frontend.FrontendConfiguration(**front),
            backend=aasist.AasistConfiguration(**back),
        )


def _checked(kind: type, values: object) -> dict:
    """Return `values` with lists as tuples, having made sure that its keys are the fields of `kind`."""
    if not isinstance(values, Mapping):
        raise ParameterError(f"configuration: expected the settings of {kind.__name__}, found {values!r:.60}")
    names = {field.name for field in dataclasses.fields(kind)}
    if wrong := sorted(names ^ set(values)):
        raise ParameterError(f"configuration: missing or unknown settings of {kind.__name__}: {', '.join(wrong)}")
    return {name: _as_tuple(value) for name, value in values.items()}


def _as_tuple(value: object) -> object:
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


CONFIGURATIONS = {
    "xlsr-300m": DetectorConfiguration(name="xlsr-300m", frontend=frontend.XLSR_300M, backend=aasist.FULL),
    "mini": DetectorConfiguration(name="mini", frontend=frontend.MINI, backend=aasist.SMALL),
}
