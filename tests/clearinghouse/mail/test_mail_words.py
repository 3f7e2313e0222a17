"""The sentences of the mails: complete in both languages, and safe to put data into."""

from string import Formatter

import pytest

from cleanbots.clearinghouse.mail.words import WORDS, languages


def places(phrase: str) -> set[str]:
    """Give the named places of a phrase."""
    return {name for _, name, _, _ in Formatter().parse(phrase) if name is not None}


def test_languages_have_the_same_sentences() -> None:
    """Each sentence is there in both languages, with the same places for values."""
    nl, en = WORDS["nl"].phrases, WORDS["en"].phrases

    assert set(nl) == set(en)
    for key, phrase in nl.items():
        assert places(phrase) == places(en[key]), key
        assert "!" not in phrase + en[key], key


def test_values_are_no_format() -> None:
    """What is put into a sentence is never read as a format, and stays on one line."""
    assert WORDS["en"]("reference", reference="{hub} %s\n{0}") == "Reference: {hub} %s {0}"


@pytest.mark.parametrize(
    ("seconds", "span", "every"),
    [
        (3600, "1 uur", "elke 1 uur"),
        (86400, "1 dag", "elke dag"),
        (72 * 3600, "72 uur", "elke 72 uur"),
        (7 * 86400, "7 dagen", "elke 7 dagen"),
        (100 * 3600, "100 uur", "elke 100 uur"),
    ],
)
def test_spans(seconds: float, span: str, every: str) -> None:
    """Time spans are written in the largest unit that people use for them."""
    assert (WORDS["nl"].span(seconds), WORDS["nl"].every(seconds)) == (span, every)


def test_both_languages() -> None:
    """``nl+en`` asks for both, Dutch first."""
    assert [words.language for words in languages("nl+en")] == ["nl", "en"]
