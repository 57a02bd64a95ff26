"""What `rules/judge.smk` needs: MT-Bench's files, the judge's spec and how it is reached."""

from dataclasses import fields
from typing import Any

from edge2giant.config.judges import Judge
from edge2giant.plan import evaluate, paths
from edge2giant.specs.judge import JudgeService, JudgeSpec
from edge2giant.specs.study import FP16
from edge2giant.specs.variant import Variant

NO_STUDY = "(?!)"


def spec(plan, wildcards) -> JudgeSpec:
    """What decides the ratings of a variant's answers."""
    judge = entry(plan, wildcards)
    variant = Variant(wildcards.model, wildcards.method, wildcards.bits)
    return JudgeSpec(study=wildcards.study, variant=variant, judge=name(plan, wildcards), **shared(judge, JudgeSpec))


def service(plan, wildcards) -> str:
    """Path of the file that says how the judge is reached."""
    judge = entry(plan, wildcards)
    found = JudgeService(
        judge=name(plan, wildcards),
        usd_per_1k_prompt_tokens=judge.price_usd_per_1k_tokens.prompt,
        usd_per_1k_completion_tokens=judge.price_usd_per_1k_tokens.completion,
        **shared(judge, JudgeService),
    )
    return plan.service(found.judge, found)


def shared(judge: Judge, kind: type) -> dict[str, Any]:
    """What a judge's entry and a dataclass name alike."""
    return {one.name: getattr(judge, one.name) for one in fields(kind) if one.name in Judge.model_fields}


def name(plan, wildcards) -> str:
    """The judge of a study."""
    return plan.config.study(wildcards.study).judge


def entry(plan, wildcards) -> Judge:
    return plan.config.judges[name(plan, wildcards)]


def benchmark(plan, wildcards) -> str:
    """The judged benchmark of a study."""
    return plan.config.study(wildcards.study).judged_benchmark


def ratings(plan, wildcards) -> list[str]:
    """The judge's ratings of a variant; none in a study without a judge."""
    return _ratings(plan, wildcards, Variant(wildcards.model, wildcards.method, wildcards.bits))


def baseline_ratings(plan, wildcards) -> list[str]:
    """Those of the unquantized model."""
    return _ratings(plan, wildcards, Variant(wildcards.model, *FP16))


def _ratings(plan, wildcards, variant: Variant) -> list[str]:
    rated = plan.config.study(wildcards.study).judge
    return [f"<results>/{wildcards.study}/judgments/{variant.path}.jsonl"] if rated else []


def data(plan, wildcards) -> str:
    """Folder of questions, reference answers and judge prompts."""
    return f"{evaluate.store(plan, wildcards)}/datasets/{benchmark(plan, wildcards)}"


def lock(plan, wildcards) -> str:
    """Lock of these files."""
    return paths.store(plan.config.study(wildcards.study).source, f"datasets/{benchmark(plan, wildcards)}.lock.json")


def studies(plan, on_gpus: bool) -> str:
    """Pattern of the studies whose judge does, or does not, take GPUs of the job."""
    config = plan.config
    judged = [(name, study) for name, study in config.studies.items() if study.judge]
    return "|".join(n for n, study in judged if bool(config.judges[study.judge].gpus) == on_gpus) or NO_STUDY
