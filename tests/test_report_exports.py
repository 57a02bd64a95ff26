"""The exports, read back by the libraries of their formats."""

import json

import jsonschema
import pytest
import yaml
from edge2giant import records
from edge2giant.errors import UserError
from edge2giant.report import __main__ as cli
from edge2giant.report.exports import every_eval_ever
from factories import cell_record, make_cell, write_records
from huggingface_hub.repocard_data import model_index_to_eval_results
from rocrate.rocrate import ROCrate
from shared import ROOT
from study_specs import options_of, spec_of


def export(out, cells, study="miniature"):
    cli.main(["export", *options_of(spec_of(study), out.parent / "specs"), "--cells", *cells, "--out", str(out)])
    return out


@pytest.fixture
def real(tmp_path):
    name = {"study": "paper", "model": "llama-3.1-8b-it", "stack": "current"}
    made = [make_cell(**name, benchmark=benchmark) for benchmark in ("arc_challenge", "gpqa", "mt_bench")]
    made.append(make_cell(**name, method="awq", bits="w4a16", score=51.0, stderr=None))
    return export(tmp_path / "out", write_records(tmp_path / "in", made), "paper")


def test_the_model_index_is_read_back_by_the_hub_s_library(real):
    content = yaml.safe_load((real / "hugging_face/llama-3.1-8b-it/fp16/w16a16/model-index.yaml").read_text(encoding="utf-8"))
    name, results = model_index_to_eval_results(content["model-index"])
    assert name == "Llama-3.1-8B-it"
    assert {(r.dataset_type, r.metric_type, r.metric_value) for r in results} >= {("allenai/ai2_arc", "acc_norm", 53.125)}


def test_evaluation_results_are_read_back_by_the_hub_s_library(real):
    parse = pytest.importorskip("huggingface_hub").parse_eval_result_entries
    path = real / "hugging_face/llama-3.1-8b-it/fp16/w16a16/.eval_results/gpqa.yaml"
    (entry,) = parse(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("Idavidrein/gpqa", "gpqa", 53.125)
    assert "protocol paper" in entry.notes


def test_made_up_questions_do_not_pass_for_the_real_ones(tmp_path):
    out = export(tmp_path / "out", write_records(tmp_path / "in", [make_cell(model="tiny-2m")]))
    assert not list(out.rglob(".eval_results"))
    index = yaml.safe_load((out / "hugging_face/tiny-2m/fp16/w16a16/model-index.yaml").read_text(encoding="utf-8"))
    (result,) = index["model-index"][0]["results"]
    assert result["dataset"]["name"] == "ARC-c (made-up questions)" and "allenai" not in result["dataset"]["type"]
    (path,) = (out / "every_eval_ever").rglob("*.json")
    assert json.loads(path.read_text(encoding="utf-8"))["evaluation_results"][0]["source_data"]["source_type"] == "other"


def test_every_eval_ever_records_fit_the_schema(real):
    schema = records.read_json(ROOT / "tests/data/every_eval_ever.schema.json")
    paths = sorted((real / "every_eval_ever").rglob("*.json"))
    assert len(paths) == 2
    for path in paths:
        record = records.read_json(path)
        jsonschema.validate(record, schema)
        assert float(record["retrieved_timestamp"]) == 1767225610.0
    by_method = {r["model_info"]["additional_details"]["method"]: r for r in map(records.read_json, paths)}
    results = {r["evaluation_name"]: r for r in by_method["fp16"]["evaluation_results"]}
    assert results["mt_bench"]["metric_config"]["max_score"] == 10
    assert results["arc_challenge"]["score_details"]["uncertainty"] == {"standard_error": {"value": 1.5}, "num_samples": 1172}
    assert "uncertainty" not in by_method["awq"]["evaluation_results"][0]["score_details"]


def test_the_same_cells_are_the_same_record():
    row = [cell_record(study="paper", model="llama-3.1-8b-it", benchmark=name) for name in ("mmlu", "gpqa")]
    assert every_eval_ever.record_of(spec_of("paper"), row) == every_eval_ever.record_of(spec_of("paper"), row[::-1])


def test_the_crate_is_read_back_and_names_what_made_each_cell(real):
    crate = ROCrate(real)
    actions = crate.get_by_type("CreateAction")
    assert len(actions) == 4
    for action in actions:
        (result,) = action["result"]
        path = real / result.id
        assert path.is_file() and records.file_sha256(path) == result["sha256"]
        assert {thing["name"] for thing in action["instrument"]} == {"hf", "lm_eval"}
        assert len(action["object"]) == 2
    files = {entity.id for entity in crate.get_entities() if entity.type == "File"}
    assert all((real / name).is_file() for name in files)
    assert len(files) == len([p for p in real.rglob("*") if p.is_file()]) - 1
    assert crate.root_dataset["datePublished"] == "2026-01-01T00:00:10Z"


def test_no_cell_is_refused(tmp_path):
    with pytest.raises(UserError, match="no cell"):
        export(tmp_path, [])
    both = write_records(tmp_path / "in", [make_cell(), make_cell(study="smoke")])
    with pytest.raises(UserError, match="smoke"):
        export(tmp_path, both)
