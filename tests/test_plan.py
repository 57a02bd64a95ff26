"""`snakemake plan` of the paper's grid under each stack: recipes, reasons against each variant, disk."""

import csv
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from edge2giant import config, environments
from edge2giant.errors import UserError
from edge2giant.plan import overview, quantize
from edge2giant.quantize import preflight, toolkits
from edge2giant.schemes.integers import Integers
from shared import ROOT

OF_STACK = {"current": "paper", "paper2024": "paper2024", "cpu": "paper-cpu"}


@pytest.fixture(scope="module")
def loaded() -> config.Config:
    return config.load()


@pytest.fixture(scope="module")
def plans(loaded) -> dict[str, list[dict]]:
    """The plan of the paper's grid by stack."""
    cluster = loaded.cluster(None)
    return {stack: overview.Overview(loaded, loaded.study(name), cluster).lines for stack, name in OF_STACK.items()}


def variants_with(lines: list[dict], level: str) -> list[str]:
    return [line["variant"] for line in lines if f"{level}: " in line["verdict"]]


def test_the_papers_grid_is_there_for_every_stack(loaded):
    assert set(OF_STACK) == set(loaded.stacks) - {"cpu2024", "cpu-vllm"}  # a part of paper2024, and cpu with another engine
    for stack, name in OF_STACK.items():
        assert loaded.study(name).stack == stack
        assert loaded.study(name).cells == tuple(replace(cell, study=name) for cell in loaded.study("paper").cells)


def test_every_variant_has_a_recipe_an_environment_and_a_size(plans):
    for stack, lines in plans.items():
        assert len(lines) == 50
        assert len({line["checkpoint"] for line in lines}) == 50
        assert all(line["gigabytes"] > 1 for line in lines)
        assert all((ROOT / f"envs/{line['environment']}.yaml").is_file() for line in lines)
        assert all(line["environment"].startswith(f"{stack}/") for line in lines)


def test_current_runs_every_variant_and_names_its_fallbacks(plans):
    lines = plans["current"]
    assert variants_with(lines, "refused") == []
    assert variants_with(lines, "fallback") == ["gptq-autogptq/w4a16"] * 8
    named = next(line["verdict"] for line in lines if line["model"] == "llama-2-7b-chat" and "fallback" in line["verdict"])
    assert re.fullmatch(r"fallback: desc_act false, since vllm 0\.33 on cuda:\d\.\d: GPTQ with desc_act and a .*", named)


def test_the_papers_own_versions_need_no_fallback(plans):
    assert variants_with(plans["paper2024"], "refused") == variants_with(plans["paper2024"], "fallback") == []
    assert variants_with(plans["paper2024"], "degraded") == ["gptq-autogptq/w4a16"] * 2  # Llama 3, AutoGPTQ's issue 729


def test_a_cpu_blocks_variants_each_with_its_reason_and_hint(plans):
    blocked = [line for line in plans["cpu"] if "refused: " in line["verdict"]]
    assert sorted(line["variant"] for line in blocked) == ["awq/w4a16"] * 12 + ["gptq-autogptq/w4a16"] * 8
    for line in blocked:
        awq = line["variant"] == "awq/w4a16"
        assert ("cpu/main lacks gptqmodel and optimum (" if awq else "refuses to quantize without CUDA (") in line["verdict"]


def test_the_plan_of_a_blocked_study_fails_after_showing_every_reason(loaded, tmp_path, capsys):
    with pytest.raises(UserError, match="20 of 50 variants cannot run on stack cpu"):
        overview.show(overview.Overview(loaded, loaded.study("paper-cpu"), loaded.cluster(None)), tmp_path / "plan.csv")
    shown = capsys.readouterr().out
    assert shown.count("without CUDA") == 8
    assert "50 variants: 30 ok, 0 fallback, 0 degraded, 20 refused" in shown
    with (tmp_path / "plan.csv").open() as stream:
        assert sum("refused" in line["verdict"] for line in csv.DictReader(stream)) == 20


def test_disk_counts_links_once_and_says_what_false_saves(loaded, plans):
    half, quantized = (
        sum(line["gigabytes"] for line in plans["current"] if (line["variant"] == "fp16/w16a16") == unquantized)
        for unquantized in (True, False)
    )
    store, kept, freed = overview.Overview(loaded, loaded.study("paper"), loaded.cluster(None)).disk()
    assert store == f"disk: {half:,.1f} GB of unquantized models in the store, {quantized:,.1f} GB of 38 checkpoints made"
    assert kept.endswith(f"true   {half + quantized:,.1f} GB in the end")
    largest = max(line["gigabytes"] for line in plans["current"] if line["variant"] != "fp16/w16a16")
    assert f"false  {half:,.1f} GB in the end, at most {half + largest:,.1f} GB if one job runs at a time" in freed


def test_a_needed_package_is_looked_for_in_the_environments_pins():
    needs = preflight.check(Integers("awq", 4, 128, symmetric=False), "hf", "5.17", "cpu")
    assert [verdict.level for verdict in needs] == ["needs"]
    assert preflight.without_met_needs(needs, "cpu/gptqmodel", set(environments.distributions("cpu/gptqmodel"))) == []
    refused = preflight.without_met_needs(needs, "cpu/main", set(environments.distributions("cpu/main")))
    assert [verdict.level for verdict in refused] == ["refused"]
    assert refused[0].reason.endswith("cpu/main lacks gptqmodel and optimum")


def test_each_stack_puts_a_toolkit_where_its_packages_are(loaded):
    for stack, entry in loaded.stacks.items():
        for toolkit, name in entry.environments.items():
            if toolkit in toolkits.names() and (packages := toolkits.module(toolkit).PACKAGES):
                held = environments.distributions(loaded.environment(stack, toolkit))
                assert packages[0] in held, f"{stack}: {toolkit} in {name}"


def test_studies_share_a_checkpoint_when_recipe_model_and_environment_are_the_same(loaded):
    def path(name: str, variant) -> str:
        return quantize.checkpoint_spec(loaded, loaded.study(name), variant).path

    smoke, paper = loaded.study("smoke"), loaded.study("paper")
    assert [path("smoke", one) for one in smoke.variants] == [path("miniature", one) for one in smoke.variants]
    assert all(path("paper", one) != path("paper2024", one) for one in paper.variants)


@pytest.mark.parametrize("name", OF_STACK.values())
def test_all_of_the_papers_grid_dry_runs(name, tmp_path):
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--directory", str(tmp_path)]
    command += [
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--configfile",
        str(ROOT / "config/config.yaml"),
        "--config",
        f"study={name}",
    ]
    (tmp_path / "config").symlink_to(ROOT / "config")
    done = subprocess.run([*command, "--", "all"], capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))
    assert (jobs["quantize"], jobs["score_cell"]) == ("50", "636")
