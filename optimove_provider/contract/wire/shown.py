"""Texts from outside, as people may see them: a server's words, names of files, values of rows."""


def shown(text: str, most: int | None = None) -> str:
    """A text in one line, each character that does not show, or does more than show, as its escape.

    So a line feed begins no new line of a log, an escape sequence colours and links nothing in a terminal, and no
    direction mark turns what follows it around. Longer than `most` characters, it ends in dots.
    """
    if most is not None and len(text) > most:
        text = f"{text[:most]}..."
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def shown_lines(text: str) -> str:
    """The same of a text of several lines, which stay lines."""
    return "\n".join(map(shown, text.split("\n")))
