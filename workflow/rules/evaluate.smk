# A batch of benchmarks on one checkpoint, loaded once. Finished benchmarks lie in the answer cache; the batch's only output is its manifest.
from edge2giant.plan import batches, evaluate


rule evaluate:
    input:
        checkpoint=PLAN.ask(quantize.checkpoint),
        datasets=PLAN.ask(evaluate.datasets),
        references=PLAN.ask(evaluate.references),
    output:
        "<results>/{study}/evaluations/{model}/{method}/{bits}/{batch}.json",
    log:
        "logs/{study}/evaluate/{model}/{method}/{bits}/{batch}.log",
    priority: 1  # before further checkpoints are made: those that wait cost disk
    conda:
        environment_file
    threads: resources.threads(PLAN, resources.evaluate)
    resources:
        **resources.of(PLAN, resources.evaluate),
        check=PLAN.run.check_checkpoints,  # a resource, since it decides no result
    params:
        **PLAN.spec(evaluate.spec),
        env=PLAN.ask(evaluate.environment),
        store=PLAN.ask(evaluate.store),
        answer_cache=f"{RESULTS}/answer_cache",
        failures=f"{RESULTS}/failures",
        cache=f"{RESULTS}/cache",
    message:
        "Evaluating {wildcards.model} {wildcards.method}/{wildcards.bits}, batch {wildcards.batch}"
    shell:
        "copy=$(workflow/staged {input.checkpoint} '{resources.scratch}') &&"
        " EDGE2GIANT_LOG={log} workflow/with-gpus {resources.node_gpus} workflow/in-env {params.env} workflow/on-nodes"
        " python -m edge2giant.evaluate batch --spec {params.spec} --spec-digest {params.digest}"
        " --checkpoint {input.checkpoint} --copy $copy --check {resources.check} --store {params.store}"
        " --answer-cache {params.answer_cache} --failures {params.failures} --cache {params.cache}"
        " --parallel {resources.parallel} --planned '{resources.engine}' --references {input.references}"
        " --out {output} >{log} 2>&1"


# The unquantized model's distributions, which every variant of it is compared with: its own batch computes them, and this says where.
rule record_reference:
    input:
        PLAN.ask(batches.reference_manifest),
    output:
        "<results>/{study}/references/{model}/{benchmark}.json",
    log:
        "logs/{study}/references/{model}/{benchmark}.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        answer_cache=f"{RESULTS}/answer_cache",
    shell:
        "workflow/in-env {params.env} python -m edge2giant.evaluate reference --benchmark {wildcards.benchmark}"
        " --manifest {input} --answer-cache {params.answer_cache} --out {output} >{log} 2>&1"
