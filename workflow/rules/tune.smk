# A model made of another one, in the store beside those that were fetched: noise takes its weights off the grid of a 4-bit release,
# distillation repairs it. Its record lies beside it.
from edge2giant.plan import tune as tuning


ruleorder: tune_model > acquire_model


rule tune_model:
    input:
        unpack(PLAN.ask(tuning.inputs)),
    output:
        model=directory(f"{HUB}/models/{{model}}"),
        lock=f"{HUB}/models/{{model}}.lock.json",
        record=f"{HUB}/models/{{model}}.tuned.json",
    log:
        "logs/tune/{model}.log",
    wildcard_constraints:
        model=tuning.models(PLAN),
    conda:
        environment_file
    threads: resources.GPU_JOB_THREADS
    resources:
        **resources.of(PLAN, resources.tune),
    params:
        **PLAN.spec(tuning.spec),
        env=PLAN.ask(tuning.environment),
        texts=PLAN.ask(tuning.texts),
    message:
        "Tuning model {wildcards.model}"
    shell:
        "EDGE2GIANT_LOG={log} workflow/with-gpus {resources.node_gpus} workflow/in-env {params.env} python -m edge2giant.tune run"
        " --spec {params.spec} --spec-digest {params.digest} --model {input.model} --lock {input.lock} --texts {params.texts}"
        " --out {output.model} >{log} 2>&1"
