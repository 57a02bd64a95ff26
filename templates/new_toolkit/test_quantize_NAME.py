"""NAME for real on a tiny model, in its environment.

workflow/in-env cpu/main python -m pytest --toolkit main tests/test_quantize_NAME.py
"""

import pytest
from edge2giant import schemes
from edge2giant.quantize import toolkits
from quantize_model import run, spec, write_model, write_text, write_tokenizer

RECIPE = {"bits": 4, "group_size": 128, "ignore": ["lm_head"]}


@pytest.mark.toolkit("main")
def test_a_checkpoint_is_what_the_recipe_says_and_passes_its_validation(tmp_path):
    write_tokenizer(write_model(tmp_path / "model"))
    write_text(tmp_path / "heldout", 2)
    record = run(tmp_path, tmp_path / "out", spec("NAME", RECIPE, "w4a16"))
    assert schemes.of_checkpoint(tmp_path / "out") == toolkits.module("NAME").scheme(RECIPE)
    assert record["validation"]["layers"]["output"]["value"] < 1.5
