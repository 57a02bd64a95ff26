"""The script that makes one cell again, and what it says of differences."""

from dataclasses import replace
from types import SimpleNamespace

from edge2giant import config, records, rerun, specs
from edge2giant.plan import Plan, evaluate, quantize
from factories import cell_record


def test_the_script_asks_for_the_cell_alone_at_its_commit():
    record = cell_record(study="smoke", provenance={"git_commit": "c" * 40, "git_dirty": True})
    lines = rerun.script(record, "results/smoke/cells/m/fp16/w16a16/arc_challenge.json")
    text = "\n".join(lines)
    assert f"git checkout {'c' * 40}" in text and "not committed" in text
    assert "batch=benchmark -- results/smoke/cells/m/fp16/w16a16/arc_challenge.json" in text
    assert "score 53.125" in text


def test_names_from_a_record_cannot_run_as_commands():
    record = cell_record(study="smoke; rm -rf /")
    assert "study='smoke; rm -rf /'" in "\n".join(rerun.script(record, "x"))


def test_a_record_cannot_leave_its_comment(tmp_path, capsys):
    path = tmp_path / "cell.json"
    record = cell_record(study="smoke", provenance={"host": "here\nrm -rf /"})
    records.write(path, record)
    rerun.main([str(path)])
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("rm")]


def test_differences_of_code_and_packages_are_named(tmp_path):
    record = cell_record(study="smoke", model="tiny-0.4m", provenance={"git_commit": "c" * 40, "packages": {"lm_eval": "0.4.4"}})
    found = "\n".join(rerun.differences(record, config.load(), tmp_path))
    assert "the cell is of " + "c" * 40 in found
    assert "lm_eval 0.4.4 is pinned as" in found
    assert "unknown study 'gone'" in rerun.differences(cell_record(study="gone"), config.load(), tmp_path)[-1]


def test_what_a_job_was_told_otherwise_is_named(tmp_path):
    loaded = config.load()
    wildcards = SimpleNamespace(study="smoke", model="tiny-0.4m", method="fp16", bits="w16a16", batch="arc_challenge")
    evaluation = evaluate.spec(Plan(loaded, None), wildcards)
    checkpoint = quantize.checkpoint_spec(loaded, loaded.study("smoke"), evaluation.variant)
    digest = specs.write(replace(checkpoint, result_version=0), tmp_path)
    record = cell_record(study="smoke", model="tiny-0.4m", checkpoint={"recipe": {"spec": digest}})
    entry = tmp_path / "answer_cache" / record.provenance.fingerprint / "entry.json"
    records.write_json(entry, {"identity": evaluation.of(evaluation.benchmarks[0])})
    found = [line for line in rerun.differences(record, loaded, tmp_path) if line.startswith(("checkpoint", "evaluation"))]
    assert found == [f"checkpoint: result_version was 0, is {checkpoint.result_version} now"]


def test_the_command_prints_a_shell_script(tmp_path, capsys):
    path = tmp_path / "cell.json"
    records.write(path, cell_record(study="smoke"))
    rerun.main([str(path)])
    lines = capsys.readouterr().out.splitlines()
    commands = [line for line in lines if not line.startswith("#")]
    assert commands[0] == "set -e" and commands[-1].startswith("snakemake ")
    assert any(line.startswith("# engine hf") for line in lines)
