"""What `rules/judge.smk` needs: MT-Bench's files, the judge's spec and how it is reached."""

from pathlib import Path
from typing import TYPE_CHECKING

from edge2giant import specs
from edge2giant.plan import evaluate, paths
from edge2giant.plan.members import variant_of
from edge2giant.records import atomic
from edge2giant.specs.judge import JudgeService, JudgeSpec

if TYPE_CHECKING:
    from edge2giant.config.judges import Judge

NO_STUDY = "(?!)"


def spec(plan, wildcards) -> JudgeSpec:
    """What decides the ratings of a variant's answers."""
    judge = entry(plan, wildcards)
    return JudgeSpec(
        study=wildcards.study,
        variant=variant_of(wildcards),
        judge=name(plan, wildcards),
        model=judge.model,
        repeats=judge.repeats,
        temperature=judge.temperature,
        max_tokens=judge.max_tokens,
        extra_body=dict(judge.extra_body),
    )


def service(plan, wildcards) -> str:
    """Path of the file that says how the judge is reached, which is written.

    The path has the judge's name and no digest, so that another address, price or limit makes no job run again.
    """
    judge, target = entry(plan, wildcards), Path(plan.results) / "services" / f"{name(plan, wildcards)}.json"
    text = specs.text(
        JudgeService(
            judge=name(plan, wildcards),
            base_url=judge.base_url,
            usd_per_1k_prompt_tokens=judge.price_usd_per_1k_tokens.prompt,
            usd_per_1k_completion_tokens=judge.price_usd_per_1k_tokens.completion,
            limit_usd=judge.limit_usd,
            concurrency=judge.concurrency,
            serve=tuple(judge.serve),
            ready_timeout_s=judge.ready_timeout_s,
            key_file=judge.key_file,
            key_env=judge.key_env,
            timeout_s=judge.timeout_s,
            attempts=judge.attempts,
            longest_wait_s=judge.longest_wait_s,
            give_up_after=judge.give_up_after,
            token_limit_parameter=judge.token_limit_parameter,
        )
    )
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        with atomic(target) as stream:
            stream.write(text)
    return target.as_posix()


def name(plan, wildcards) -> str:
    """The judge of a study."""
    return plan.config.study(wildcards.study).judge


def entry(plan, wildcards) -> "Judge":
    return plan.config.judges[name(plan, wildcards)]


def data(plan, wildcards) -> str:
    """Folder of questions, reference answers and judge prompts."""
    return f"{evaluate.store(plan, wildcards)}/mt_bench"


def lock(plan, wildcards) -> str:
    """Lock of these files."""
    return paths.benchmark_lock(plan.config.study(wildcards.study).source, "mt_bench")


def studies(plan, on_gpus: bool) -> str:
    """Pattern of the studies whose judge does, or does not, take GPUs of the job."""
    config = plan.config
    return "|".join(n for n, study in config.studies.items() if bool(config.judges[study.judge].gpus) == on_gpus) or NO_STUDY
