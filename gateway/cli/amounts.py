"""Amounts on the command line, as argparse takes them."""

from argparse import ArgumentTypeError


def duration(text: str) -> float:
    """Seconds, longer than 0, from text such as 250ms or 20s; mere digits are seconds."""
    from gateway.amounts import duration as parse

    try:
        seconds = parse(f"{text}s" if text.isdecimal() else text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise ArgumentTypeError(f"{text} is no time at all; write it like 250ms or 20s")
    return seconds


def count(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no count; write 1 or more")
    return int(text)
