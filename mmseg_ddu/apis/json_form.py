"""Whether JSON that anybody may have written has the form it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Form = dict | list | Callable[[Any], bool]


def has_form(value: Any, form: Form) -> bool:
    """Whether JSON from anywhere is as a form has it.

    A form is a test; a list with the form of all items; or a dict with the
    forms of keys that have to be there.
    """
    if isinstance(form, list):
        (item,) = form
        return isinstance(value, list) and all(
            has_form(each, item) for each in value
        )
    if not isinstance(form, dict):
        return form(value)
    return isinstance(value, dict) and all(
        name in value and has_form(value[name], inner)
        for name, inner in form.items()
    )


def is_text(value: Any) -> bool:
    """Whether JSON is a string."""
    return isinstance(value, str)


def is_index(value: Any) -> bool:
    """Whether JSON is a whole number from 0 on."""
    return type(value) is int and value >= 0


def is_number(value: Any) -> bool:
    """Whether JSON is a number, and not true or false."""
    return type(value) in (int, float)
