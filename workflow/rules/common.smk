# Reads and checks the config; the rules ask JOBS what a job needs. No rule here.
import sys

sys.path.insert(0, str(workflow.basedir))

from edge2giant import dag, errors, evaluate

try:
    JOBS = dag.open_jobs(config)
except errors.UserError as error:
    raise WorkflowError(str(error)) from None

RESULTS = JOBS.config["results"]  # in params, where path variables are not replaced


wildcard_constraints:
    study="|".join(JOBS.house.studies),
    source="hub|miniature",
    model="[a-z0-9][a-z0-9._-]*",
    method="[a-z0-9-]+",
    bits=r"w\d+a\d+",
    digest="[0-9a-f]{12}",
    benchmark="[a-z0-9_]+",
    batch="[a-z0-9_]+",


def environment_file(wildcards, params):
    return f"../../envs/{params.env}.yaml"
