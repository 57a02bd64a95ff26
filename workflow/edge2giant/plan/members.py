"""The study and the variant that a job's wildcards name."""

from edge2giant.config import Study
from edge2giant.errors import unknown
from edge2giant.plan import Plan
from edge2giant.specs.variant import Variant


def variant_of(wildcards) -> Variant:
    return Variant(wildcards.model, wildcards.method, wildcards.bits)


def member(plan: Plan, wildcards) -> tuple[Study, Variant]:
    """The study and its variant, or a `UserError` with the variants that the study has."""
    study, variant = plan.config.study(wildcards.study), variant_of(wildcards)
    if variant not in study.variants:
        raise unknown("variant", variant.path, [one.path for one in study.variants], f"config/studies/{study.name}.yaml")
    return study, variant
