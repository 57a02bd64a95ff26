"""The gate: verdicts by a policy, from paired statistics and written answers."""

import json
from types import SimpleNamespace

import pytest
from edge2giant import config, plan, records, specs
from edge2giant.errors import UserError
from edge2giant.gate import __main__ as command
from edge2giant.gate import answers, verdicts
from edge2giant.plan import gate as planned
from edge2giant.records.cell import CellRecord
from edge2giant.specs.gate import GateSpec, Limits, LossLimit
from edge2giant.specs.variant import Variant
from edge2giant.stats import family, samples
from test_stats import gsm8k, loaded

AWQ = Variant("llama-3.1-8b-it", "awq", "w4a16")
HALF = LossLimit(5.0, 0.95, False)


def statistics(folder, lost: int, questions: int) -> dict:
    """The row of GSM8K where so many of the questions, all right at first, are lost, and a tenth as many found."""
    found = lost // 10
    a = [1] * (questions - found) + [0] * found
    b = [0] * lost + [1] * (questions - lost)
    pair = (samples.read(gsm8k(folder, name, side)) for name, side in (("fp16", a), ("awq", b)))
    rows = [family.compare(*pair, resamples=50)]
    family.correct(rows)
    return json.loads(json.dumps(family.as_json(rows[0])))


@pytest.mark.parametrize(
    ("lost", "questions", "verdict", "says"),
    [
        (2, 1000, "pass", "limit 5"),
        (30, 1000, "warn", "within it, and significant"),
        (5, 80, "inconclusive", "not enough questions"),
        (200, 1000, "block", "loss 18.00"),
        (0, 1000, "pass", "loss 0.00"),
        (0, 40, "inconclusive", "not enough questions"),
    ],
)
def test_the_verdict_of_a_loss_follows_its_interval(tmp_path, lost, questions, verdict, says):
    found = verdicts.check_loss("gsm8k", HALF, statistics(tmp_path, lost, questions), False)
    assert found.verdict == verdict and says in found.why
    assert found.low <= found.value <= found.high


def test_more_confidence_asks_for_more_questions(tmp_path):
    row = statistics(tmp_path, 30, 1000)
    low, high = (verdicts.check_loss("gsm8k", LossLimit(5.0, one, False), row, False).high for one in (0.9, 0.999))
    assert low < high
    # one side of 97.5 % is one end of a t interval of 95 %
    half = verdicts.check_loss("gsm8k", LossLimit(5.0, 0.975, False), row, False).high - 2.7
    assert half == pytest.approx(1.962 * row["error"], rel=1e-3)


def test_where_less_is_better_a_rise_is_the_loss(tmp_path):
    row = statistics(tmp_path, 200, 1000)
    assert verdicts.check_loss("gsm8k", HALF, row, True).value == pytest.approx(-18)


def test_what_was_not_measured_does_not_pass():
    assert verdicts.check_loss("gsm8k", HALF, None, False).verdict == "inconclusive"
    assert verdicts.check_loss("gsm8k", LossLimit(5.0, 0.95, True), None, False) is None
    assert verdicts.check_wire("loops", Limits(0.1, None, False), None).verdict == "inconclusive"
    assert verdicts.check_wire("loops", Limits(0.1, None, True), None) is None
    assert verdicts.judge(GateSpec("s", "p", "t"), AWQ, {}, {}).verdict == "inconclusive"


@pytest.mark.parametrize(("value", "verdict"), [(0.05, "pass"), (0.1, "pass"), (0.2, "warn"), (0.6, "block")])
def test_a_trip_wire_warns_and_blocks(value, verdict):
    assert verdicts.check_wire("divergence", Limits(0.1, 0.5, False), value).verdict == verdict


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("The answer is 42." * 5, True),
        ("So we go on. " + "and on and " * 40, True),
        ("x" * 80, True),
        ("x" * 79, False),
        ("A sound answer with words that do not repeat. " * 3, False),
        ("The answer is 42. " * 5 + "So it is 42.", False),
        ("", False),
    ],
)
def test_loops(text, says):
    assert answers.loops(text) is says


def test_a_loop_is_found_wherever_it_is_cut():
    assert all(answers.loops(("first words. " + "and so on, " * 60)[:cut]) for cut in range(200, 300))


SOUND = {number: f"Answer {number}: " + "".join(map(chr, range(65, 91))) for number in range(20)}


def test_loops_and_length_are_of_the_questions_that_both_answered():
    looping = SOUND | {0: "no, " * 50, 99: "left out"}
    spec = GateSpec("s", "p", "t", trip_wires={"loops": Limits(0.01, 0.2, False), "length": Limits(1.2, 2.0, False)})
    found = {one.name: one for one in verdicts.judge(spec, AWQ, {}, {"gsm8k": (SOUND, looping)}).checks}
    assert found["loops"].value == pytest.approx(1 / 20) and found["loops"].verdict == "warn"
    sizes = [sum(len(side[number]) for number in SOUND) for side in (SOUND, looping)]
    assert found["length"].value == pytest.approx(sizes[1] / sizes[0]) and found["length"].verdict == "warn"


def cached(folder, cell, texts):
    """An entry of the answer cache for a cell, with these answers."""
    record = records.read_json(cell)
    record["provenance"]["fingerprint"] = records.digest(str(cell))
    records.write_json(cell, record)
    jsonl_path = folder / record["provenance"]["fingerprint"] / "samples_gsm8k.jsonl"
    jsonl_path.parent.mkdir(parents=True)
    lines = [
        {"doc_id": n, "filter": name, "resps": [[text]], "filtered_resps": ["x"]}
        for n, text in enumerate(texts)
        for name in ("a", "b")
    ]
    jsonl_path.write_text("\n".join(map(json.dumps, lines)) + "\n")


@pytest.mark.parametrize(("fails", "lost", "code"), [(("block",), 8, 2), (("block",), 0, 0), (("block", "inconclusive"), 0, 2)])
def test_the_command_judges_shows_and_fails_as_the_policy_says(tmp_path, capsys, fails, lost, code):
    a, b = [1] * 40, [0] * lost + [1] * (40 - lost)
    cells = [gsm8k(tmp_path, "fp16", a), gsm8k(tmp_path, "awq", b)]
    for cell, text in zip(cells, ("so it is", "so it is " * 20), strict=True):
        cached(tmp_path / "cache", cell, [text] * 40)
    rows = [family.compare(*map(samples.read, cells), resamples=50)]
    family.correct(rows)
    family.write(rows, [], [], tmp_path / "statistics")
    wires = {"loops": Limits(0.5, None, False), "length": Limits(2.0, None, False)}
    spec = GateSpec("paper", "mine", "what I allow", {"gsm8k": LossLimit(5.0, 0.95, False)}, trip_wires=wires, fails=fails)
    digest = specs.write(spec, tmp_path)
    named = ["--spec", str(specs.path(tmp_path, digest)), "--spec-digest", digest, "--answer-cache", str(tmp_path / "cache")]
    out = tmp_path / "gate.json"
    named += ["--statistics", str(tmp_path / "statistics.json"), "--cells", *map(str, cells), "--out", str(out)]
    command.main(["judge", *named])
    (judged,) = json.loads(out.read_text())["variants"]
    checks = {one["name"]: one["verdict"] for one in judged["checks"]}
    assert checks == {"gsm8k": "block" if lost else "inconclusive", "loops": "warn", "length": "warn"}
    try:
        command.main(["show", str(out)])
        assert code == 0
    except UserError as error:
        assert code == 2 and "1 of 1 variants fail: llama-3.1-8b-it/awq/w4a16" in str(error)
    shown = capsys.readouterr().out
    assert "study paper, policy mine: what I allow" in shown and f"llama-3.1-8b-it/awq/w4a16  {judged['verdict']}" in shown


def test_answers_that_are_gone_are_named(tmp_path):
    cell = records.read(gsm8k(tmp_path, "fp16", [1, 0]), CellRecord)
    with pytest.raises(UserError, match=r"has no answers of llama-3.1-8b-it/fp16/w16a16/gsm8k"):
        answers.written(cell, tmp_path)


def test_a_policy_is_written_out_for_the_study():
    found = loaded()
    run = config.RunSettings(study="paper", batch="suite", results="results", figures="paper_figures")
    spec = planned.spec(plan.Plan(found, run), SimpleNamespace(study="miniature", policy="usual"))
    assert set(spec.losses) == {"leaderboard_v1/average", "leaderboard_v2/average", "mt_bench"}
    assert spec.divergence == "divergence" and {"wikitext", "divergence"} <= set(spec.lower_is_better)
    strict = planned.spec(plan.Plan(found, run), SimpleNamespace(study="smoke", policy="strict"))
    assert set(strict.losses) == {"arc_challenge", "gpqa", "gsm8k", "ifeval"} and strict.divergence is None
    assert strict.fails == ("block", "inconclusive")
