# A checkpoint of a variant, made by a toolkit in its environment and validated. Its record and model card are kept beside it too, so
# that they outlive the weights under `keep_checkpoints: false`.
from edge2giant.plan import quantize

CHECKPOINT = directory("<results>/checkpoints/{model}/{method}/{bits}/{digest}")


rule quantize:
    input:
        unpack(PLAN.ask(quantize.inputs)),
    output:
        checkpoint=CHECKPOINT if PLAN.run.keep_checkpoints else temp(CHECKPOINT),
        record="<results>/checkpoints/{model}/{method}/{bits}/{digest}.json",
        card="<results>/checkpoints/{model}/{method}/{bits}/{digest}.md",
    log:
        "logs/quantize/{model}/{method}/{bits}/{digest}.log",
    conda:
        environment_file
    threads: resources.threads(PLAN, resources.quantize)
    resources:
        **resources.of(PLAN, resources.quantize),
    params:
        **PLAN.spec(quantize.spec),
        env=PLAN.ask(quantize.environment),
        folders=PLAN.ask(quantize.folders),
        failures=f"{RESULTS}/failures",
        cache=f"{RESULTS}/validation_cache",
    message:
        "Quantizing {wildcards.model} by {wildcards.method} to {wildcards.bits}"
    shell:
        "EDGE2GIANT_LOG={log} workflow/with-gpus {resources.node_gpus} workflow/in-env {params.env} python -m edge2giant.quantize run"
        " --spec {params.spec} --spec-digest {params.digest} --model {input.model} --lock {input.lock} {params.folders}"
        " --failures {params.failures} --cache {params.cache} --out {output.checkpoint} >{log} 2>&1"
        " && cp {output.checkpoint}/checkpoint.json {output.record} && cp {output.checkpoint}/README.md {output.card}"


rule compare_calibration:
    input:
        calibration=PLAN.ask(quantize.calibration_locks),
        datasets=PLAN.ask(quantize.evaluated_locks),
    output:
        "<results>/{study}/overlap.json",
    log:
        "logs/{study}/overlap.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
    message:
        "Comparing the calibration text of study {wildcards.study} with its benchmarks"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.store overlap --calibration {input.calibration}"
        " --datasets {input.datasets} --out {output} >{log} 2>&1"
