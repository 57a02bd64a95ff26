"""Every stock lm-eval task over rows of the real data sets: loaded, run, scored (shared samples; never committed)."""

import pytest
import yaml
from edge2giant import engine
from edge2giant.specs.evaluate import BenchmarkSpec, TasksSpec
from edge2giant.specs.variant import Variant
from shared import ROOT, shared
from stock_agreement import make_store

pytestmark = pytest.mark.toolkit("main")
MODEL = ROOT / "workflow/demo/models/tiny-0.4m"
BENCHMARKS, PROTOCOLS = (
    yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8")) for name in ("benchmarks", "protocols")
)
# The rows of the samples are questions; perplexity needs whole pages (tests/test_divergence.py and the smoke study score it).
SAMPLED = {name: entry for name, entry in BENCHMARKS["benchmarks"].items() if "tasks" in entry and name != "wikitext"}
SEEDS = {"python": 0, "numpy": 1234, "torch": 1234, "fewshot": 1234}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store") / "store", shared("datasets"), tuple(SAMPLED))


@pytest.fixture(scope="module")
def lm(store):
    with engine.open_engine("hf", MODEL, {"dtype": "float32", "batch_size": 8, "max_model_len": 4096}) as lm:
        yield lm


@pytest.mark.parametrize("name", SAMPLED)
def test_a_stock_task_runs_on_rows_of_the_real_set(store, lm, tmp_path, name):
    from edge2giant.evaluate import tasks
    from edge2giant.scoring import cell
    from edge2giant.specs.score import LmEvalMetric, ScoreSpec

    entry = SAMPLED[name] | PROTOCOLS["paper"]["benchmarks"].get(name, {})
    order = "stable" if entry.get("shuffled") else "lm-eval"
    wanted = TasksSpec(tuple(sorted(entry["tasks"])), entry["folder"], entry["num_fewshot"], False, False, 1, SEEDS, order)
    variant = Variant("tiny-0.4m", "fp16", "w16a16")
    made = tasks.answer(lm, variant, BenchmarkSpec(name, (f"datasets/{name}.lock.json",), wanted), store, tmp_path)
    assert set(made["task_versions"]) == set(wanted.names)
    metrics = tuple(LmEvalMetric(metric["name"], metric["filter"]) for metric in entry["metrics"])
    names = {key: entry[key] for key in ("suite", "tasks", "aggregation", "normalise")} | {"clip": True, "judged": False}
    spec = ScoreSpec(
        "paper", variant, name, toolkit="none", protocol="paper", stack="cpu", metrics=metrics, printed=None, **names
    )
    score = cell.score_tasks(tmp_path, spec)
    assert 0 <= score.estimate.value <= 100
    assert score.estimate.n == len(wanted.names)
    assert len({row["doc_hash"] for row in score.rows}) == score.estimate.n


def test_templates_are_compiled_once_and_render_the_same():
    import lm_eval.utils
    from edge2giant.evaluate import tasks

    template = "{{question.strip()}}\nA. {{choices[0]}}\nAnswer:"
    documents = [{"question": f" Why {at}? ", "choices": [str(at)]} for at in range(5)]
    plain = lm_eval.utils.env.overlay()
    tasks.compile_templates_once()
    tasks.compile_templates_once()
    before = lm_eval.utils.env.from_string.cache_info().misses
    rendered = [lm_eval.utils.apply_template(template, one) for one in documents]
    assert rendered == [plain.from_string(template).render(**one) for one in documents]
    assert lm_eval.utils.env.from_string.cache_info().misses == before + 1
