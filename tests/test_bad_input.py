"""Every mistake of the table gets one clear line, exit code 2, and leaves nothing behind."""

import bad_input
import pytest
from bad_input import CASES


def name(one: bad_input.Case) -> str:
    return f"{one.area}: {one.mistake}"


@pytest.mark.parametrize("one", CASES, ids=name)
def test_a_mistake_is_one_clear_line(one, tmp_path):
    code, text, written = bad_input.run(one, tmp_path / "room")
    said = bad_input.message(text)
    assert "Traceback" not in text
    assert code == 2
    assert "error: " in said and said.isprintable()
    for part in one.says:
        assert part in said
    assert not written, "something was written"
    if not text.startswith("usage:"):
        lines = [line for line in text.strip().splitlines() if not line.startswith("warning: ")]
        assert len([line for line in lines if line.startswith("error: ")]) == 1 and len(lines) <= 2, text


def test_there_are_many_cases_in_every_area():
    assert len(CASES) >= 60
    assert {one.area for one in CASES} == set(bad_input.AREAS)
    assert len({name(one) for one in CASES}) == len(CASES)
