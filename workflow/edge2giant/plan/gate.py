"""The spec of a gate: a policy, written out for the study that it judges."""

from edge2giant.specs.gate import GateSpec, Limits, LossLimit
from edge2giant.specs.study import AVERAGE

WIRES = ("divergence", "loops", "length")


def spec(plan, wildcards) -> GateSpec:
    study, policy, entries = plan.config.study(wildcards.study), plan.config.policies[wildcards.policy], plan.config.benchmarks
    return GateSpec(
        study=study.name,
        policy=wildcards.policy,
        title=policy.title,
        losses={_row_of(plan, study, name): LossLimit(**dict(one)) for name, one in (policy.suites | policy.benchmarks).items()},
        lower_is_better=tuple(name for name, entry in entries.items() if entry.lower_is_better),
        divergence=next((name for name in study.benchmarks if entries[name].divergence), None),
        trip_wires={name: Limits(**dict(one)) for name in WIRES if (one := getattr(policy, name))},
        fails=policy.fails,
    )


def _row_of(plan, study, name: str) -> str:
    """The row of the statistics that a limit is for: a benchmark, the only one of a suite, or the average of a suite."""
    if name not in plan.config.suites:
        return name
    members = [benchmark for benchmark in study.benchmarks if plan.config.benchmarks[benchmark].suite == name]
    return members[0] if len(members) == 1 else f"{name}/{AVERAGE}"
