"""Errors that the mathematics raises."""


class NotFittedError(ValueError, AttributeError):
    """A density was asked for a score before it was fitted.

    Inherits from both bases for the same reason as scikit-learn's class of
    this name: either ``except`` clause catches it.
    """


def require(good: bool, expected: str, value: object) -> None:
    """Raise ValueError, 'Expected …, but got …', unless ``good``."""
    if not good:
        raise ValueError(f'Expected {expected}, but got {value!r:.80}.')
