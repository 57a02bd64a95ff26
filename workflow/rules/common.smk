# Reads and checks the configuration; the rules ask PLAN for specs, inputs and resources. No rule here.
import sys

sys.path.insert(0, str(workflow.basedir))

from edge2giant import errors, plan
from edge2giant.plan import quantize, repeats, resources

try:
    PLAN = plan.open_plan(config, workflow.is_main_process)
    quantize.check(PLAN.config)
    repeats.check(PLAN.config)
except errors.UserError as error:
    # Snakemake shows an exception with file and line of this rule file, which say nothing about the user's mistake.
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

RESULTS = PLAN.results  # in params, where path variables are not replaced


wildcard_constraints:
    study="|".join(PLAN.config.studies),
    source="hub|miniature",
    model="[a-z0-9][a-z0-9._-]*",
    method="[a-z0-9-]+",
    bits=r"w\d+a\d+",
    digest="[0-9a-f]{12}",
    benchmark="[a-z0-9_]+",
    batch="[a-z0-9_]+",


def environment_file(wildcards, params):
    return f"../../envs/{params.env}.yaml"
