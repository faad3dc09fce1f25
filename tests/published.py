"""Networks of AntiDeepfake in the sizes of the golden numbers, and with their weights."""

import dataclasses

import torch
from deterministic_weights import fill

from dfdlib.detector import frontend, network
from dfdlib.detector.backends import mean
from dfdlib.detector.configuration import DetectorConfiguration

TINY = dataclasses.replace(
    frontend.XLSR_1B,
    convolutions=tuple((32, kernel, stride) for _, kernel, stride in frontend.XLSR_1B.convolutions),
    width=64,
    layers=2,
    heads=4,
    feed_forward=128,
    final_width=32,
)
ANTIDEEPFAKE = {
    "tiny_prenorm": TINY,
    "tiny_postnorm": dataclasses.replace(TINY, convolution_bias=False, group_norm=True, norm_first=False),
    "tiny_hubert": dataclasses.replace(TINY, convolution_bias=False, quantize_targets=False, code_words=504),
    "w2v_small": frontend.WAV2VEC2_BASE,
}


def filled(name: str) -> network.Detector:
    """Return a front end, mean over time and a linear layer, with the golden numbers' weights."""
    front, back = ANTIDEEPFAKE[name], mean.MeanConfiguration()
    configuration = DetectorConfiguration(name=name, frontend=front, backend=back, normalise=True)
    model = network.skeleton(configuration)
    # Values go by the published names.
    theirs = {key.replace("ssl_model.", "m_ssl."): value for key, value in model.state_dict().items()}
    holder = torch.nn.Module()
    holder.state_dict, holder.load_state_dict = lambda: theirs, lambda entries, assign: theirs.update(entries)
    fill(holder, salt="antideepfake")
    model.load_state_dict({key.replace("m_ssl.", "ssl_model."): value for key, value in theirs.items()}, assign=True)
    return model.eval()
