"""Back ends: features of a front end, or waveforms, to two logits (column 0 spoof, column 1 bona fide).

Parameters are called as in the published checkpoints, so that a state dict needs no translation. Each was written from
its paper and a description of the published network; where the two differ, the published network counts, and the
module says so.
"""
