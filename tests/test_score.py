"""Cells out of lm-eval's raw files: values, predictions, integrity."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
from edge2giant import config, records
from edge2giant.errors import UserError
from edge2giant.plan import score as planned
from edge2giant.scoring import cell, samples
from edge2giant.specs.score import Grouping, LmEvalMetric, ScoreSpec
from edge2giant.specs.variant import Variant
from shared import shared

ACC_NORM = LmEvalMetric("acc_norm", "none")
TWO = ScoreSpec(
    study="s",
    variant=Variant("m", "fp16", "w16a16"),
    benchmark="two",
    suite="leaderboard_v2",
    judged=False,
    toolkit="none",
    protocol="paper",
    stack="cpu",
    tasks={"easy": 2, "hard": 4},
    metrics=(ACC_NORM,),
    aggregation="mean",
    normalise=True,
    clip=True,
    printed=None,
)


def choice(doc_id: int, value: float, lls: list[float], options: list[str]) -> dict:
    return {
        "doc_id": doc_id,
        "doc": {},
        "target": 0,
        "filter": "none",
        "arguments": [["Q:", f" {option}"] for option in options],
        "filtered_resps": [[ll, False] for ll in lls],
        "acc_norm": value,
        "doc_hash": f"d{doc_id}",
        "target_hash": "t",
        "prompt_hash": "p",
    }


def write(folder, task: str, rows: list[dict], metric: str, mean: float, name: str = "none") -> None:
    (folder / f"samples_{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "results.json"
    found = json.loads(path.read_text()) if path.exists() else {"results": {}}
    found["results"].setdefault(task, {})[f"{metric},{name}"] = mean
    path.write_text(json.dumps(found))


@pytest.fixture
def entry(tmp_path):
    easy = [choice(i, v, [-1.0, -2.0], ["a", "b"]) for i, v in enumerate([1.0, 1.0, 1.0, 0.0])]
    hard = [choice(i, v, [-4.0, -2.0], ["aaaa", "b"]) for i, v in enumerate([1.0, 0.0])]
    write(tmp_path, "easy", easy, "acc_norm", 0.75)
    write(tmp_path, "hard", hard, "acc_norm", 0.5)
    return tmp_path


def test_subtasks_are_normalised_each_then_averaged(entry):
    score = cell.score_tasks(entry, TWO)
    assert score.estimate.value == pytest.approx(((0.75 - 0.5) / 0.5 + (0.5 - 0.25) / 0.75) / 2 * 100)
    assert [part.normalised for part in score.parts] == pytest.approx([50, 100 / 3])
    assert score.estimate.n == 6


def test_size_weighted_is_taken_before_normalising(entry):
    scoring = replace(TWO, aggregation="size_weighted", tasks={"easy": 4, "hard": 4})
    assert cell.score_tasks(entry, scoring).estimate.value == pytest.approx((4 / 6 - 0.25) / 0.75 * 100)


def test_unlike_chance_levels_need_the_mean(entry):
    with pytest.raises(UserError, match="aggregation: mean"):
        cell.score_tasks(entry, replace(TWO, aggregation="size_weighted"))


def test_samples_that_do_not_give_lm_evals_mean_are_refused(entry):
    (entry / "results.json").write_text(json.dumps({"results": {t: {"acc_norm,none": 0.5} for t in ("easy", "hard")}}))
    with pytest.raises(UserError, match=r"easy: samples give acc_norm 0\.75, results\.json 0\.5"):
        cell.score_tasks(entry, TWO)


def test_the_chosen_option_is_per_character_where_normalised():
    sample = choice(0, 1.0, [-4.0, -2.0], ["aaaa", "b"])
    assert samples.chosen_option(sample, normalised=True) == 0
    assert samples.chosen_option(sample, normalised=False) == 1


def test_only_the_wanted_filter_counts(tmp_path):
    def row(doc_id, name, value):
        return choice(doc_id, 0, [0], ["x"]) | {"filter": name, "exact_match": value, "filtered_resps": ["42"]}

    rows = [row(0, "strict-match", 1.0), row(0, "flexible-extract", 0.0), row(1, "strict-match", 0.0)]
    write(tmp_path, "gsm8k", rows, "exact_match", 0.5, "strict-match")
    table = samples.read(tmp_path, ["gsm8k"], (LmEvalMetric("exact_match", "strict-match"),))
    assert [(r["doc_id"], r["value"], r["correct"], r["prediction"]) for r in table] == [
        (0, 1.0, True, "42"),
        (1, 0.0, False, "42"),
    ]


def test_instruction_level_counts_instructions_and_long_answers_are_hashed(tmp_path):
    row = choice(0, 0, [0], ["x"]) | {"inst_level_strict_acc": [True, False, True], "filtered_resps": ["word " * 50]}
    write(tmp_path, "ifeval", [row], "inst_level_strict_acc", 2 / 3)
    (found,) = samples.read(tmp_path, ["ifeval"], (LmEvalMetric("inst_level_strict_acc", "none"),))
    assert (found["value"], found["weight"], found["correct"]) == (pytest.approx(2 / 3), 3.0, None)
    assert found["prediction"].startswith("sha256:")


def test_mc2_is_a_share_even_where_it_is_whole():
    row = choice(0, 0, [-1.0], ["x"]) | {"acc": 1.0, "doc": {"mc2_targets": {}}}
    assert samples._row("truthfulqa_mc2", "acc", row)["correct"] is None


def test_the_same_samples_give_the_same_bytes(tmp_path, entry):
    rows = cell.score_tasks(entry, TWO).rows
    for name in ("a", "b"):
        samples.write(tmp_path / f"{name}.parquet", rows)
    assert records.file_sha256(tmp_path / "a.parquet") == records.file_sha256(tmp_path / "b.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").num_rows == 6


def test_the_printed_value_is_in_the_spec():
    found = config.load()
    paper, miniature = found.study("paper"), found.study("miniature")
    spec = planned.score_spec(found, paper, Variant("llama-3.1-8b-it", "gptq-autogptq", "w4a16"), "gsm8k")
    assert (spec.printed.value, spec.printed.place) == ("72.33", "Table 1")
    assert planned.score_spec(found, miniature, Variant("tiny-2m", "fp16", "w16a16"), "gsm8k").printed is None


# Questions that belong together


def test_questions_of_a_group_share_a_digest():
    story = (Grouping(("narrative",)),)
    one, same, other = (samples.cluster("t", {"narrative": text}, story) for text in ("A crime.", "A crime. ", "Another."))
    assert one == same != other and len(one) == 16
    assert samples.cluster("t", {"narrative": ""}, story) is None


def test_twins_share_their_options_in_whatever_order():
    twins = (Grouping(("option1", "option2")),)
    one, two = ({"option1": a, "option2": b} for a, b in (("bed", "blanket"), ("blanket", "bed")))
    assert samples.cluster("winogrande", one, twins) == samples.cluster("winogrande", two, twins)


def test_a_pattern_takes_the_passage_of_a_question_and_leaves_others_alone():
    groups = (Grouping(("input",), "(?s)^(.+)What is the date", ("dates",)),)
    tomorrow, yesterday = ({"input": f"Today is Monday. What is the date {day}?"} for day in ("tomorrow", "yesterday"))
    assert samples.cluster("dates", tomorrow, groups) == samples.cluster("dates", yesterday, groups)
    assert samples.cluster("dates", {"input": "How many?"}, groups) is None
    assert samples.cluster("other", tomorrow, groups) is None


def test_a_grouping_by_a_field_that_documents_lack_is_refused():
    with pytest.raises(UserError, match=r"documents of t have no field 'story'.*name one of: text"):
        samples.cluster("t", {"text": ""}, (Grouping(("story",)),))


DATASETS = Path(__file__).parents[2] / "shared/datasets"
GROUPED = {
    "musr": ("TAUR-Lab/MuSR/default/object_placements.jsonl", "leaderboard_musr_object_placements", 20, 5),
    "gpqa": ("Idavidrein/gpqa/gpqa_main/train.jsonl", "leaderboard_gpqa_main", 18, 18),
    "hellaswag": ("Rowan/hellaswag/default/validation.jsonl", "hellaswag", 100, 99),
    "winogrande": ("allenai/winogrande/winogrande_xl/validation.jsonl", "winogrande", 100, 74),
    "mmlu": ("cais/mmlu/high_school_world_history/test.jsonl", "mmlu_high_school_world_history", 10, 9),
    "bbh": ("SaylorTwift/bbh/date_understanding/test.jsonl", "leaderboard_bbh_date_understanding", 40, 26),
}


@pytest.mark.skipif(not DATASETS.is_dir(), reason="needs parts of the real data sets")
@pytest.mark.parametrize("name", GROUPED)
def test_groups_of_the_real_questions(name):
    path, task, questions, groups = GROUPED[name]
    found = config.load()
    spec = planned.score_spec(found, found.study("paper"), Variant("llama-3.1-8b-it", "fp16", "w16a16"), name)
    documents = [json.loads(line) for line in (DATASETS / path).read_text(encoding="utf-8").splitlines()]
    keys = [samples.cluster(task, one, spec.groupings) for one in documents]
    assert len(keys) == questions and None not in keys
    assert len(set(keys)) == groups


def test_the_score_of_guessing():
    found = config.load()

    def chance(name):
        spec = planned.score_spec(found, found.study("paper"), Variant("llama-3.1-8b-it", "fp16", "w16a16"), name)
        return cell.chance_of(spec, cell.aggregation_of(spec))

    wanted = {"arc_challenge": 25.0, "winogrande": 50.0, "truthfulqa": 44.8, "gsm8k": 0.0, "bbh": 0.0, "musr": 0.0}
    assert {name: chance(name) for name in wanted} == pytest.approx(wanted)


def test_the_chance_of_truthfulqa_is_the_mean_share_of_true_answers():
    import pandas as pd

    folder = shared("real/mirror/truthfulqa/truthful_qa/multiple_choice")
    questions = pd.concat(pd.read_parquet(path) for path in sorted(folder.glob("validation-*.parquet")))
    shares = [sum(targets["labels"]) / len(targets["labels"]) for targets in questions["mc2_targets"]]
    assert len(shares) == 817
    assert config.load().benchmarks["truthfulqa"].chance == pytest.approx(sum(shares) / len(shares), abs=0.0005)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_sample_that_is_no_number_is_no_score(tmp_path, number):
    sample = {"doc_id": 0, "doc": {}, "filter": "none", "acc": 1.0, "filtered_resps": [["-1.5", "False"], [number, "False"]]}
    sample |= {"doc_hash": "d", "prompt_hash": "p", "target_hash": "t", "target": "0"}
    (tmp_path / "samples_arc_challenge.jsonl").write_text(json.dumps(sample) + "\n")
    with pytest.raises(UserError, match="1 of 2 log-likelihoods are not finite; delete it and evaluate again"):
        samples.read(tmp_path, ["arc_challenge"], (LmEvalMetric("acc", "none"),))
