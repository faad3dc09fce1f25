"""Audio deepfake detection: how well does this detector tell real speech from synthetic, before and after fine-tuning?

Polarity, here and everywhere: label 1 is bona fide (real), 0 is spoof (fake); a higher score means bona fide.

Import the modules themselves: ``from dfdlib import metrics``. This package imports none of them, so that asking for one
does not bring the rest.
"""
