"""The demonstration's data: deterministic, in the real schemas, disjoint, gradable."""

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import shared as samples
from demo import bbh, hub, ids, ifeval, install, lock, mt_bench, questions, text, words
from edge2giant import store as locks
from edge2giant.errors import UserError

# Columns that hold a question, by hub id: what must not occur in two pools.
QUESTION = {
    "allenai/ai2_arc": ("question",),
    "openai/gsm8k": ("question",),
    "Rowan/hellaswag": ("ctx",),
    "cais/mmlu": ("question", "choices"),
    "truthfulqa/truthful_qa": ("question",),
    "allenai/winogrande": ("sentence",),
    "SaylorTwift/bbh": ("input",),
    "Idavidrein/gpqa": ("Question", "Correct Answer", "Incorrect Answer 1"),
    "wis-k/instruction-following-eval": ("prompt",),
    "DigitalLearningGmbH/MATH-lighteval": ("problem",),
    "TIGER-Lab/MMLU-Pro": ("question", "options"),
    "TAUR-Lab/MuSR": ("narrative", "question"),
    "EleutherAI/wikitext_document_level": ("page",),
}
SCORED = ("test", "validation", "murder_mysteries", "object_placements", "team_allocation")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    hub.write_store(folder)
    return folder


def _bytes(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _is_scored(identifier: str, split: str) -> bool:
    if identifier == "TIGER-Lab/MMLU-Pro":
        return split == "test"
    if identifier == "allenai/ai2_arc":
        return split == "test"
    if identifier in ("Idavidrein/gpqa", "wis-k/instruction-following-eval"):
        return True
    return split in SCORED


def _questions(store: Path, identifier: str, scored: bool) -> list[str]:
    found = []
    for path in sorted((store / "datasets" / identifier).rglob("*.parquet")):
        if _is_scored(identifier, path.name.split("-")[0]) is scored:
            rows = pq.read_table(path).to_pylist()
            found += [" | ".join(str(row[c]) for c in QUESTION[identifier]) for row in rows]
    return found


def test_same_bytes_each_time_and_other_bytes_for_another_seed(store, tmp_path):
    hub.write_store(tmp_path / "again")
    assert _bytes(tmp_path / "again") == _bytes(store)
    hub.write_store(tmp_path / "other", seed=1)
    assert _bytes(tmp_path / "other") != _bytes(store)


@pytest.mark.parametrize("benchmark", ids.IDS)
def test_lock_names_every_file(store, benchmark):
    path = store / f"datasets/{benchmark}.lock.json"
    entry = locks.check(path, path.parent, hashes=True)
    below = {p.relative_to(path.parent).as_posix() for p in (path.parent / ids.IDS[benchmark]).rglob("*") if p.is_file()}
    assert set(entry.files) == below
    assert entry.source == lock.SOURCE


def _kind(value) -> str:
    if isinstance(value, dict):
        return "struct"
    if isinstance(value, list):
        return f"list of {_kind(value[0])}" if value else "list"
    return type(value).__name__


@pytest.mark.parametrize("identifier", hub.SCHEMAS)
def test_schema_is_that_of_the_real_rows(store, identifier):
    folder = samples.shared("datasets") / identifier
    for real in sorted(folder.rglob("*.jsonl")):
        split = real.name.removesuffix(".jsonl")
        mine = store / "datasets" / identifier / real.parent.name / f"{split}-00000-of-00001.parquet"
        if identifier == "SaylorTwift/bbh" and real.parent.name not in bbh.SUBTASKS:
            continue
        row = json.loads(real.read_text(encoding="utf-8").splitlines()[0])
        made = pq.read_table(mine).to_pylist()[0]
        assert list(made) == list(row), mine
        for column in set(row) - {"kwargs"}:
            assert _kind(made[column]) == _kind(row[column]), column


def test_every_config_and_split_of_the_real_samples_is_there(store):
    real = samples.shared("datasets")
    for identifier in hub.SCHEMAS:
        for path in (real / identifier).rglob("*.jsonl"):
            config = path.parent.name
            if identifier == "SaylorTwift/bbh" and config not in bbh.SUBTASKS:
                continue
            split = path.name.removesuffix(".jsonl")
            assert (store / "datasets" / identifier / config / f"{split}-00000-of-00001.parquet").is_file()


@pytest.mark.parametrize("identifier", hub.SCHEMAS)
def test_scored_and_shown_questions_are_disjoint(store, identifier):
    assert not set(_questions(store, identifier, True)) & set(_questions(store, identifier, False))


@pytest.mark.parametrize("benchmark", [b for b in ids.IDS if b != "gpqa"])
def test_scored_questions_are_not_repeated(store, benchmark):
    found = _questions(store, ids.IDS[benchmark], True)
    assert len(found) == len(set(found)) or benchmark in ("mmlu",)


def test_gpqa_sets_are_nested(store):
    ids = [
        {r["Record ID"] for r in pq.read_table(path).to_pylist()}
        for name in ("diamond", "main", "extended")
        for path in (store / "datasets/Idavidrein/gpqa" / f"gpqa_{name}").glob("*.parquet")
    ]
    assert ids[0] < ids[1] < ids[2]


def test_a_question_has_one_pool_and_each_pool_its_share():
    pools = [words.pool_of(f"question {i}") for i in range(2000)]
    shares = {pool: pools.count(pool) / 2000 for pool in words.POOLS}
    assert shares["training"] > 0.4 and min(shares.values()) > 0.05
    assert set(shares) == set(pools)


def test_calibration_text_holds_no_question_of_a_data_set(store):
    lines = (store / "calibration/miniature/text.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    for benchmark in ("arc_challenge", "gsm8k", "bbh", "truthfulqa", "winogrande", "hellaswag"):
        for rows in hub.splits(benchmark, random.Random(f"0/{benchmark}")).values():
            for row in rows:
                context, answer = text.SHAPES[benchmark](row, random.Random(0))
                assert not any(context + answer in t for t in texts), context


def test_held_out_text_shares_no_line_with_calibration(store):
    texts = {
        name: {json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()}
        for name in ("miniature", "heldout")
        for path in [store / "calibration" / name / "text.jsonl"]
    }
    assert len(texts["heldout"]) == 64
    assert not texts["miniature"] & texts["heldout"]
    assert all("Answer" not in t for t in texts["heldout"])


@pytest.mark.parametrize("benchmark", sorted(text.makers()))
def test_every_shape_ends_in_its_answer(benchmark):
    rng = random.Random(0)
    for config, _ in text.makers()[benchmark][:3]:
        for context, answer in text.examples(benchmark, config, "training", 3, rng):
            assert context and answer.strip()
            assert benchmark == "ifeval" or answer.startswith(" ")


def test_bbh_targets_are_among_the_lettered_options():
    rng = random.Random(0)
    for name, make in bbh.SUBTASKS.items():
        for row in words.take(make, "training", 10, rng):
            if row["target"].startswith("("):
                assert f"{row['target']} " in row["input"], name


def test_boolean_expressions_have_pythons_value():
    rng = random.Random(0)
    for row in words.take(bbh.boolean_expressions, "training", 50, rng):
        assert str(eval(row["input"].removesuffix(" is"))) == row["target"]


def test_musr_has_the_real_number_of_choices():
    rng = random.Random(0)
    for split, number in (("murder_mysteries", 2), ("object_placements", 5), ("team_allocation", 3)):
        for row in words.take(questions.MUSR[split], "test", 20, rng):
            choices = json.loads(row["choices"].replace("'", '"'))
            assert len(choices) == number and choices[row["answer_index"]] == row["answer_choice"]


def test_too_small_a_world_is_said():
    with pytest.raises(RuntimeError, match="no more than"):
        words.take(lambda rng: ("the same question", {}), words.pool_of("the same question"), 2, random.Random(0))


def test_mt_bench_has_fastchats_form(store):
    rows = [json.loads(line) for line in (store / "datasets/mt_bench/question.jsonl").read_text().splitlines()]
    assert [r["question_id"] for r in rows] == list(range(81, 97))
    assert all(len(r["turns"]) == 2 and r["turns"][0] != r["turns"][1] for r in rows)
    assert [r["category"] for r in rows] == [c for c in mt_bench.CATEGORIES for _ in range(2)]
    references = [json.loads(line) for line in (store / "datasets/mt_bench/reference_answer.jsonl").read_text().splitlines()]
    needed = {r["question_id"] for r in rows if r["category"] in mt_bench.REFERENCE_CATEGORIES}
    assert {r["question_id"] for r in references} == needed
    assert all(words.pool_of(turn) == "test" for r in rows for turn in r["turns"])


def test_judge_prompts_have_fastchats_names_keys_and_placeholders(store):
    real = samples.shared("datasets/mt_bench") / "judge_prompts.jsonl"
    theirs = {r["name"]: r for r in map(json.loads, real.read_text(encoding="utf-8").splitlines())}
    mine = [json.loads(line) for line in (store / "datasets/mt_bench/judge_prompts.jsonl").read_text().splitlines()]
    filled = dict.fromkeys([f"{a}{b}" for a in ("question", "answer", "ref_answer") for b in ("", "_1", "_2")], "@")
    for row in mine:
        real_row = theirs[row["name"]]
        assert set(row) == set(real_row)
        marks = [t.replace("{{", "").count("{") for t in (row["prompt_template"], real_row["prompt_template"])]
        assert marks[0] == marks[1]
        assert "@" in row["prompt_template"].format(**filled)
        both = row["system_prompt"] + row["prompt_template"]
        assert row["output_format"] in both


def test_install_copies_what_was_shipped(tmp_path):
    shipped = tmp_path / "shipped" / "toy"
    shipped.mkdir(parents=True)
    (shipped / "config.json").write_text("{}", encoding="utf-8")
    record = {"sha256": {"config.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}
    (shipped / "trained.json").write_text(json.dumps(record), encoding="utf-8")
    folder = install.run("toy", tmp_path / "store", tmp_path / "shipped")
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "trained.json"]
    entry = locks.check(folder.parent / "toy.lock.json", folder.parent, hashes=True)
    assert "toy/config.json" in entry.files
    (shipped / "config.json").write_text("{ }", encoding="utf-8")
    with pytest.raises(UserError, match="differs from the digest"):
        install.run("toy", tmp_path / "store", tmp_path / "shipped")
    (shipped / "config.json").unlink()
    with pytest.raises(UserError, match="missing"):
        install.run("toy", tmp_path / "store", tmp_path / "shipped")
    with pytest.raises(UserError, match="no shipped weights"):
        install.run("other", tmp_path / "store", tmp_path / "shipped")


@pytest.mark.parametrize("model", ["tiny-0.4m", "tiny-2m"])
def test_shipped_models_install(tmp_path, model):
    folder = install.run(model, tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["hidden_size"] % 128 == 0 and config["intermediate_size"] % 128 == 0
    assert config["head_dim"] == 64


def test_shipped_models_are_small():
    files = [p for p in install.SHIPPED.rglob("*") if p.is_file()]
    assert files and sum(p.stat().st_size for p in files) < 5_000_000


def test_ifeval_arguments_are_columns_of_the_schema(store):
    path = next((store / "datasets/wis-k/instruction-following-eval").rglob("*.parquet"))
    for row in pq.read_table(path).to_pylist():
        assert len(row["kwargs"]) == len(row["instruction_id_list"])
        assert set(row["kwargs"][0]) == set(ifeval.KWARGS)
