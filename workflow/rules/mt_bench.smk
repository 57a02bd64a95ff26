# MT-Bench: the answers as FastChat's tools read them, and the judge's ratings.


rule extract_answers:
    input:
        JOBS.manifest_of_cell,
    output:
        "<results>/{study}/answers/{model}/{method}/{bits}.jsonl",
    log:
        "logs/{study}/answers/{model}/{method}/{bits}.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        answer_cache=f"{RESULTS}/answer_cache",
    shell:
        "workflow/in-env {params.env} python -m edge2giant.evaluate answers --manifest {input}"
        " --answer-cache {params.answer_cache} --out {output} >{log} 2>&1"


rule judge:
    input:
        answers="<results>/{study}/answers/{model}/{method}/{bits}.jsonl",
        lock=JOBS.mt_bench_lock,
    output:
        "<results>/{study}/judgments/{model}/{method}/{bits}.jsonl",
    log:
        "logs/{study}/judge/{model}/{method}/{bits}.log",
    wildcard_constraints:
        study=JOBS.studies_judged(on_gpus=False),
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        judge=JOBS.judge,
        settings=JOBS.judge_settings,
        data=JOBS.mt_bench_data,
        journal=f"{RESULTS}/journal/judgments",
        code=JOBS.code("judge"),
        failures=f"{RESULTS}/failures",
    message:
        "Judging {wildcards.model} {wildcards.method}/{wildcards.bits} by {params.judge}"
    shell:
        "EDGE2GIANT_LOG={log} workflow/in-env {params.env} python -m edge2giant.judge rate --answers {input.answers} --data {params.data}"
        " --judge {params.judge} --config config/judges.yaml --journal {params.journal} --out {output}"
        " --failures {params.failures} --row {wildcards.study}/{wildcards.model}/{wildcards.method}/{wildcards.bits} >{log} 2>&1"


# The same for a judge that the job itself serves, on GPUs of its own.
use rule judge as judge_by_served_model with:
    wildcard_constraints:
        study=JOBS.studies_judged(on_gpus=True),
    localrule: False
    threads: 8
    resources:
        gpu=JOBS.judge_gpus,
        mem_mb=64000,
        runtime=240,
    params:
        env=JOBS.evaluate_environment,
        judge=JOBS.judge,
        settings=JOBS.judge_settings,
        data=JOBS.mt_bench_data,
        journal=f"{RESULTS}/journal/judgments",
        code=JOBS.code("judge"),
        failures=f"{RESULTS}/failures",
