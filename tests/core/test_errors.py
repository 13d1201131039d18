"""Values, names and other programs' messages in a sentence: on one line, and not endless."""

import pytest

from drumgan_jax.core.errors import brief, first_line, listed, shown

LONG = "x" * 50_000


@pytest.mark.parametrize("value", [LONG, f"two lines\n{LONG}", [LONG] * 100, {LONG: LONG}, 10**4000, LONG.encode()])
def test_a_value_is_short(value: object) -> None:
    assert 0 < len(shown(value)) <= 120
    assert "\n" not in shown(value)


def test_usual_values_are_whole() -> None:
    name = "~/recordings/of drums/kick and snare/2019 (second take).wav"
    assert shown(name) == repr(name)
    assert shown([1, 2.5, None, "a"]) == "[1, 2.5, None, 'a']"


def test_names_are_listed_as_far_as_a_line_goes() -> None:
    assert listed([]) == ""
    assert listed(["kick", "snare"]) == "kick, snare"
    assert listed(["a\nb", "\x1b[31m"]) == "a b, \\x1b[31m"
    many = listed(f"class {number}" for number in range(1000))
    assert many.startswith("class 0, class 1, ")
    assert many.endswith("others")
    shown_names = many.rpartition(" and ")[0].split(", ")
    assert many.endswith(f" and {1000 - len(shown_names)} others")
    assert len(many) < 600
    assert len(listed([LONG, LONG])) < 450


def test_a_message_is_its_first_line() -> None:
    assert first_line(ValueError("One.\nTwo.")) == "One"
    assert first_line(ValueError()) == "ValueError"
    assert first_line(ValueError(LONG)) == "x" * 196 + " ..."
    assert first_line(KeyError("\x00")) == r"'\x00'"


def test_a_text_of_spaces_alone_is_seen() -> None:
    assert brief("\n") == r"'\n'"
    assert brief("") == "''"
