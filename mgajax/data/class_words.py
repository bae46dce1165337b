"""What other sets call the classes: a folder's name, or a label in a table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mgajax.errors import ConfigError, DataError
from mgajax.schema import CLASS_NAMES

CLASS_WORDS: Mapping[str, tuple[str, ...]] = {
    "Normal": ("Normal", "healthy", "control", "controls", "no finding", "1NonCOVID"),
    "COVID-19": ("COVID-19", "COVID", "COVID positive", "SARS-CoV-2", "2COVID"),
    "CAP": ("CAP", "pneumonia", "community-acquired pneumonia", "3CAP"),
}
"""What stands for each class; case, spaces, `-` and `_` do not matter. (`1NonCOVID` is the published
set's folder of its Normal slices. Of others nobody knows what "non-COVID" people have.)"""

LEFT_OUT = "none"
"""In the place of a class: what is called so is no slice."""

OPTION = "--classes"


@dataclass(frozen=True)
class ClassWords:
    """Which class a word stands for: `CLASS_WORDS`, and before them what a user says.

    Attributes:
      users: class codes by word as `_plain` makes it; None for what is left out.
    """

    users: Mapping[str, int | None] = field(default_factory=dict)

    def code(self, word: str) -> int | None:
        """The class of a word; None if it is to be left out.

        Raises:
          KeyError: nobody knows it.
        """
        plain = _plain(word)
        return self.users[plain] if plain in self.users else KNOWN[plain]

    def codes(self, words: Sequence[str], *, where: str, kind: str) -> dict[str, int | None]:
        """The classes of all words of a set.

        Args:
          where: the folder or the table.
          kind: what the words are: "folder" or "label".

        Raises:
          DataError: words that nobody knows, all of them named.
          ConfigError: a word of the user's that is none of these.
        """
        unused = sorted(self.users.keys() - set(map(_plain, words)))
        if unused:
            raise ConfigError(
                f"{OPTION} {unused[0]}=…: {where} has no {kind} of this name; it has "
                f"{', '.join(words) or 'none'}"
            )
        codes: dict[str, int | None] = {}
        unknown = []
        for word in words:
            try:
                codes[word] = self.code(word)
            except KeyError:
                unknown.append(word)
        if unknown:
            listed = ", ".join(repr(word) for word in unknown)
            raise DataError(
                f"{where}: {kind} {listed}: which class is it? {known_words()}. Say it: {OPTION} "
                f"{_quote(unknown[0])}={CLASS_NAMES[0]} ({' or '.join(CLASS_NAMES)}, or {LEFT_OUT} to leave "
                "it out; several after commas)"
            )
        return codes


def read_class_words(text: str) -> ClassWords:
    """What a user writes as `covid=COVID-19,healthy=Normal,masks=none`.

    Raises:
      ConfigError: not of this form, an unknown class, or one word twice.
    """
    codes: dict[str, int | None] = {}
    for part in text.split(","):
        word, equals, name = part.partition("=")
        plain = _plain(name)
        if not equals or not _plain(word):
            raise ConfigError(f"{OPTION} {part!r}: expected NAME=CLASS, as covid=COVID-19")
        if plain != LEFT_OUT and plain not in KNOWN:
            valid = ", ".join((*CLASS_NAMES, LEFT_OUT))
            raise ConfigError(f"{OPTION} {part}: no class {name!r}; valid: {valid}")
        if _plain(word) in codes:
            raise ConfigError(f"{OPTION}: {word!r} stands there twice; keep one of them")
        codes[_plain(word)] = None if plain == LEFT_OUT else KNOWN[plain]
    return ClassWords(codes)


def known_words() -> str:
    """The table in a line."""
    return "; ".join(f"{name}: {', '.join(words)}" for name, words in CLASS_WORDS.items())


def _plain(word: str) -> str:
    return re.sub(r"[\s_-]+", "", word).casefold()


def _quote(word: str) -> str:
    return f"'{word}'" if re.search(r"\s", word) else word


KNOWN: Mapping[str, int] = {
    _plain(word): CLASS_NAMES.index(name) for name, words in CLASS_WORDS.items() for word in words
}
