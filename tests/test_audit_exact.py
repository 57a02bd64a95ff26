"""Decimal and grid logic of the audit, on numbers that are made up or drawn at random."""

from fractions import Fraction

import pytest
from edge2giant.audit import corrections, exact, question_sets
from edge2giant.audit.constraints import Constraint, RuleOutcome, missing_ratings, rating_source
from edge2giant.errors import UserError
from hypothesis import given
from hypothesis import strategies as st

hundredths = st.integers(-10_000, 10_000).map(lambda step: f"{step / 100:.2f}")


def half_up(value: Fraction) -> str:
    return exact.show(Fraction(int(value * 100 + Fraction(1, 2)), 100))


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "1.2.3"])
def test_what_is_not_a_number_is_refused(text):
    with pytest.raises(UserError, match="not a printed number"):
        exact.number(text)


@pytest.mark.parametrize(
    ("value", "text", "how"),
    [
        (Fraction(53155, 1000), "53.16", exact.EXACT),
        (Fraction(53155, 1000), "53.15", exact.EXACT),  # a tie goes either way
        (Fraction(53159, 1000), "53.15", exact.TRUNCATED),
        (Fraction(53161, 1000), "53.15", exact.OFF),
        (Fraction(-315, 100), "-3.1", exact.EXACT),
        (Fraction(-319, 100), "-3.1", exact.TRUNCATED),
        (Fraction(-1, 1000), "0.00", exact.EXACT),
        (Fraction(1, 2), "-0.4", exact.OFF),
    ],
)
def test_prints(value, text, how):
    assert exact.prints(value, text) == how


@given(st.fractions(min_value=0, max_value=100))
def test_rounding_and_truncation_of_a_value_are_recognised(value):
    assert exact.prints(value, half_up(value)) == exact.EXACT
    truncated = exact.show(Fraction(int(value * 100), 100))
    assert exact.prints(value, truncated) in (exact.EXACT, exact.TRUNCATED)
    beyond = exact.show(Fraction(int(value * 100) + 2, 100))
    assert exact.prints(value, beyond) == exact.OFF


@given(st.lists(hundredths, min_size=6, max_size=6), st.lists(st.integers(-4, 4), min_size=6, max_size=6))
def test_unprinted_digits_never_make_a_true_average_off(cells, unprinted):
    """Whatever digits stood behind the cells, the average of the full numbers is not called off."""
    full = [exact.number(cell) + Fraction(tail, 1000) for cell, tail in zip(cells, unprinted, strict=True)]
    mean = sum(exact.number(cell) for cell in cells) / 6
    true = sum(full) / 6
    text = exact.show(Fraction(round(true * 100), 100))
    assert exact.agreement(mean, text, Fraction(1, 200)) != exact.OFF


@given(hundredths)
def test_edits_change_exactly_one_thing(text):
    for edit in exact.digit_edits(text):
        assert len(edit) == len(text)
        assert sum(a != b for a, b in zip(edit, text, strict=True)) == 1
    leading = len(text.lstrip("+-").partition(".")[0]) > 1  # no table prints 05.20
    assert len(exact.digit_edits(text)) == 9 * sum(c.isdigit() for c in text) - leading
    for edit in exact.swap_edits(text):
        assert sorted(edit) == sorted(text)
        assert edit != text


def test_only_a_printed_sign_can_turn_round():
    assert exact.arrow_edits("-0.06") == ["+0.06"]
    assert exact.arrow_edits("+1.00") == ["-1.00"]
    assert exact.arrow_edits("0.00") == []


@given(st.integers(2, 3000), st.data(), st.sampled_from([Fraction(0), Fraction(1, 4), Fraction(1, 10)]))
def test_every_score_of_a_set_lies_on_its_grid(n, data, chance):
    candidate = question_sets.QuestionSet("g", "g", ((n, chance),))
    score = candidate.score(data.draw(st.integers(0, n)))
    assert candidate.holds(half_up(score)) == exact.EXACT
    assert candidate.holds(exact.show(Fraction(int(score * 100), 100))) != exact.OFF


@given(st.integers(2, 1500), st.integers(0, 10_000))
def test_holds_agrees_with_trying_every_count(n, step):
    candidate, text = question_sets.QuestionSet("g", "g", ((n, Fraction(0)),)), f"{step // 100}.{step % 100:02d}"
    tried = {exact.prints(Fraction(100 * k, n), text) for k in range(n + 1)}
    expected = next((how for how in (exact.EXACT, exact.TRUNCATED) if how in tried), exact.OFF)
    assert candidate.holds(text) == expected
    rounded, truncated = candidate.reach
    assert (rounded[step] or truncated[step]) == (expected != exact.OFF)


@given(st.integers(2, 9), st.integers(2, 9), st.data())
def test_a_mean_of_two_parts_lies_on_its_grid(a, b, data):
    candidate = question_sets.QuestionSet("g", "g", ((a, Fraction(1, 2)), (b, Fraction(0))))
    i, j = data.draw(st.integers(0, a)), data.draw(st.integers(0, b))
    score = (max(200 * Fraction(i, a) - 100, Fraction(0)) + 100 * Fraction(j, b)) / 2
    assert candidate.holds(half_up(score)) == exact.EXACT


def test_a_tie_prints_both_ways():
    rounded, truncated = question_sets.QuestionSet("g", "g", ((800, Fraction(0)),)).reach  # 1 of 800 is 0.125
    assert (rounded[12], rounded[13], truncated[12], truncated[13]) == (True, True, True, False)


def test_below_chance_is_clipped_to_zero():
    candidate = question_sets.QuestionSet("g", "g", ((546, Fraction(1, 4)),))
    assert candidate.score(100) == 0
    assert candidate.score(546) == 100


def test_weigh_tells_the_right_set_from_a_wrong_one():
    right, wrong = (question_sets.QuestionSet(str(n), str(n), ((n, Fraction(0)),)) for n in (1267, 1767))
    texts = [half_up(right.score(k)) for k in range(700, 1100, 8)]
    assert question_sets.weigh("w", right, texts).verdict == "fits"
    assert question_sets.weigh("w", wrong, texts).verdict == "rejected"
    assert question_sets.best([question_sets.weigh("w", one, texts) for one in (wrong, right)]).candidate is right


def test_a_grid_finer_than_the_print_has_no_power():
    candidate = question_sets.QuestionSet("fine", "fine", ((20_000, Fraction(0)),))
    assert question_sets.weigh("f", candidate, ["12.34", "56.78"]).verdict == "no power"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("7.85", "20 whole ratings"),
        ("7.83", "20 ratings, one with a half point"),
        ("3.74", "19 whole ratings"),
        ("9.99", "20 ratings, one with a tenth of a point"),
        ("10.20", None),
        ("0.80", None),
    ],
)
def test_rating_sources(text, source):
    assert rating_source(exact.number(text), exact.unit(text) / 2) == source


def test_missing_ratings_finds_the_fewest():
    # 80 ratings of 8 and 76 of 6 give 7.03, where 80 and 80 would give 7.00
    assert missing_ratings("8.00", "6.00", "7.03") == "it would take 4 of 80 ratings missing in turn 2"
    assert missing_ratings("8.00", "6.00", "9.00") is None


def sum_rule(name, parts, total):
    def check(texts):
        true = sum(exact.number(texts[key]) for key in parts)
        return RuleOutcome(texts[total], exact.show(true), exact.prints(true, texts[total]))

    return Constraint("sum", (name, "total", "value"), (*parts, total), check)


def key(name):
    return (name, "x", "value")


A, B, C, D = (key(name) for name in "abcd")


@pytest.mark.parametrize(
    ("rules", "texts", "changes"),
    [
        # a should be 2.00: then 2 + 3 = 5 and 2 + 2 = 4
        ([((A, B), C), ((A, A), D)], ("7.00", "3.00", "5.00", "4.00"), [(A, "2.00", 2)]),
        # rule one alone could be corrected in a, b or c; c stands in rule two, which holds
        ([((A, B), C), ((C, C), D)], ("1.00", "1.00", "4.00", "8.00"), [(A, "3.00", 1), (B, "3.00", 1)]),
        # one digit corrects nothing, so exchanged digits are tried
        ([((A,), C)], ("4.93", "0.00", "4.39", "0.00"), [(A, "4.39", 1), (C, "4.93", 1)]),
    ],
)
def test_corrections_resolve_most_rules_and_break_none(rules, texts, changes):
    made = [sum_rule(str(number), *rule) for number, rule in enumerate(rules)]
    found = corrections.Rulebook(made, dict(zip((A, B, C, D), texts, strict=True))).corrections(made[0])
    assert [(change.key, change.after, len(change.resolves)) for change in found] == changes
