# Pass, warn, inconclusive or block for each variant, by a policy of config/policies.yaml.
from edge2giant.plan import gate as gates


rule judge_variants:
    input:
        statistics="<figures>/{study}/statistics.json",
        cells=PLAN.ask(studies.cells),
    output:
        "<figures>/{study}/gate/{policy}.json",
    log:
        "logs/{study}/gate/{policy}.log",
    wildcard_constraints:
        study="|".join(PLAN.config.studies),
        policy="|".join(PLAN.config.policies),
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(gates.spec),
        env="workflow",
        code=PLAN.code,
        answer_cache=f"{RESULTS}/answer_cache",
    message:
        "Holding the variants of study {wildcards.study} to policy {wildcards.policy}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.gate judge --spec {params.spec} --spec-digest {params.digest}"
        " --statistics {input.statistics} --cells {input.cells} --answer-cache {params.answer_cache} --out {output} >{log} 2>&1"


# Ends with an error where a variant has a verdict at which the policy fails.
rule gate:
    input:
        f"<figures>/{config['study']}/gate/{PLAN.run.policy}.json",
    log:
        f"logs/{config['study']}/gate.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
    message:
        "Verdicts: {input}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.gate show {input} 2>&1 | tee {log}"
