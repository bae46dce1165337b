"""What other sets call the classes, and what a user says they are."""

import pytest

from mgajax.data.class_words import ClassWords, read_class_words
from mgajax.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("covid", 1),
        ("COVID-19", 1),
        ("Covid_19", 1),
        ("healthy", 0),
        ("NORMAL", 0),
        ("1NonCOVID", 0),
        ("cap", 2),
        ("Pneumonia", 2),
        ("community acquired pneumonia", 2),
    ],
)
def test_known_words(word: str, code: int) -> None:
    assert ClassWords().code(word) == code


def test_a_users_words_come_first() -> None:
    words = read_class_words("pneumonia=COVID-19,Non COVID=Normal, masks=none")
    codes = words.codes(["Pneumonia", "non-covid", "masks", "cap"], where="set", kind="folder")
    assert codes == {"Pneumonia": 1, "non-covid": 0, "masks": None, "cap": 2}


def test_all_unknown_words_are_named_with_the_option() -> None:
    with pytest.raises(DataError) as error:
        ClassWords().codes(["covid", "non-covid", "b"], where="set", kind="folder")
    message = str(error.value)
    assert "folder 'non-covid', 'b'" in message
    assert "--classes non-covid=Normal" in message
    assert "healthy" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("covid", "expected NAME=CLASS"),
        ("=CAP", "expected NAME=CLASS"),
        ("a=flu", "no class 'flu'; valid: Normal, COVID-19, CAP, none"),
        ("a=CAP,A=Normal", "'A' stands there twice"),
    ],
)
def test_words_that_say_nothing(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_class_words(text)


def test_a_word_that_the_set_lacks_is_a_slip() -> None:
    with pytest.raises(ConfigError, match="set has no folder of this name; it has covid"):
        read_class_words("helthy=Normal").codes(["covid"], where="set", kind="folder")
