"""Study edge-ci, a real model on real questions: run whole from `make mirror`, and its scores are those of the committed list."""

import json
import re
import subprocess

import miniature_scores
import pytest
from shared import ROOT, shared
from test_end_to_end import cells, make_clone, run, succeeded

pytestmark = pytest.mark.e2e
EXPECTED = ROOT / "tests/data/edge_ci_cells.json"
PREFILL, WRITTEN = 60_000, 1_500
"""Tokens that the study may read, padding included, and write."""


def test_a_real_model_scores_as_committed(tmp_path):
    folders = shared("real/mirror"), shared("datasets")
    clone = make_clone(tmp_path / "edge2giant")
    command = ["make", "mirror", f"DATA={' '.join(map(str, folders))}"]
    made = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    if missing := re.search(r"error: .*pip cannot download it.*", made.stderr):
        pytest.skip(f"the real model cannot be had: {missing.group()}")
    assert made.returncode == 0, made.stderr[-3000:]
    settings = ("--cores", "2", "--config", "study=edge-ci", "batch=checkpoint", "mirror=results/mirror")
    succeeded(run(clone, "all", *settings))

    found = cells(clone, "edge-ci")
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    scores = miniature_scores.read_cells(clone / "results/edge-ci/cells")
    assert miniature_scores.differences(expected, scores) == []
    costs = [cell["cost"] for cell in found.values()]
    assert sum(cost["tokens_in"] for cost in costs) <= PREFILL
    assert sum(cost["tokens_out"] for cost in costs) <= WRITTEN
    assert (clone / "paper_figures/edge-ci/table10.csv").is_file()
    assert "Nothing to be done" in succeeded(run(clone, "all", *settings))
