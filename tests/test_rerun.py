"""The script that makes one cell again, and what it says of differences."""

import json

from edge2giant import config, rerun
from factories import make_cell


def test_the_script_asks_for_the_cell_alone_at_its_commit():
    record = make_cell(study="smoke", provenance={"git_commit": "c" * 40, "git_dirty": True})
    lines = rerun.script(record, "results/smoke/cells/m/fp16/w16a16/arc_challenge.json")
    text = "\n".join(lines)
    assert f"git checkout {'c' * 40}" in text and "not committed" in text
    assert "batch=benchmark -- results/smoke/cells/m/fp16/w16a16/arc_challenge.json" in text
    assert "score 53.125" in text


def test_names_from_a_record_cannot_run_as_commands():
    record = make_cell(study="smoke; rm -rf /")
    assert "study='smoke; rm -rf /'" in "\n".join(rerun.script(record, "x"))


def test_a_record_cannot_leave_its_comment(tmp_path, capsys):
    path = tmp_path / "cell.json"
    record = make_cell(study="smoke", provenance={"host": "here\nrm -rf /"})
    path.write_text(json.dumps(record))
    rerun.main([str(path)])
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("rm")]


def test_differences_are_named(tmp_path):
    record = make_cell(study="smoke", provenance={"git_commit": "c" * 40, "packages": {"lm_eval": "0.4.4"}})
    found = "\n".join(rerun.differences(record, config.load()))
    assert "the cell is of " + "c" * 40 in found
    assert "lm_eval 0.4.4 is pinned as" in found
    assert "study gone is not in config/studies" in rerun.differences(make_cell(study="gone"), config.load())


def test_the_command_prints_a_shell_script(tmp_path, capsys):
    path = tmp_path / "cell.json"
    path.write_text(json.dumps(make_cell(study="smoke")))
    rerun.main([str(path)])
    lines = capsys.readouterr().out.splitlines()
    commands = [line for line in lines if not line.startswith("#")]
    assert commands[0] == "set -e" and commands[-1].startswith("snakemake ")
    assert any(line.startswith("# engine hf") for line in lines)
