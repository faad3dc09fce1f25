"""Answers that an object computes once."""

import functools
import inspect
from collections.abc import Callable


def once(method: Callable) -> Callable:
    """Let a method compute its answer to the same arguments once; the object keeps the answers as long as it lives."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def answer(self, *args, **kwargs):
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        answers = vars(self).setdefault("_answers", {})
        key = (method.__name__, *list(bound.arguments.values())[1:])
        if key not in answers:
            answers[key] = method(self, *args, **kwargs)
        return answers[key]

    return answer
