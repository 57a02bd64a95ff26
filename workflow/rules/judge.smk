# MT-Bench: the answers as FastChat's tools read them, the judge's ratings, their noise, and the page that shows them.
from edge2giant.plan import judge as judging

BESIDE_FP16 = {
    "answers": "<results>/{study}/answers/{model}/{method}/{bits}.jsonl",
    "judgments": "<results>/{study}/judgments/{model}/{method}/{bits}.jsonl",
    "baseline": "<results>/{study}/judgments/{model}/fp16/w16a16.jsonl",
    "baseline_answers": "<results>/{study}/answers/{model}/fp16/w16a16.jsonl",
}


rule extract_answers:
    input:
        PLAN.ask(batches.manifest),
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
        benchmark=PLAN.ask(judging.benchmark),
    shell:
        "workflow/in-env {params.env} python -m edge2giant.evaluate answers --benchmark {params.benchmark} --manifest {input}"
        " --answer-cache {params.answer_cache} --out {output} >{log} 2>&1"


# `service` is a path without a digest: the judge's address, price and limits make no job run again.
rule judge:
    input:
        answers="<results>/{study}/answers/{model}/{method}/{bits}.jsonl",
        lock=PLAN.ask(judging.lock),
    output:
        "<results>/{study}/judgments/{model}/{method}/{bits}.jsonl",
    log:
        "logs/{study}/judge/{model}/{method}/{bits}.log",
    wildcard_constraints:
        study=judging.studies(PLAN, on_gpus=False),
    localrule: True
    conda:
        environment_file
    resources:
        gpu=0,
        node_gpus=0,
    params:
        **PLAN.spec(judging.spec),
        env="workflow",
        service=PLAN.ask(judging.service),
        data=PLAN.ask(judging.data),
        judgment_cache=f"{RESULTS}/judgment_cache",
        failures=f"{RESULTS}/failures",
        code=PLAN.code_of("judge"),
    message:
        "Judging {wildcards.model} {wildcards.method}/{wildcards.bits}"
    shell:
        "EDGE2GIANT_LOG={log} workflow/with-gpus {resources.node_gpus} workflow/in-env {params.env}"
        " python -m edge2giant.judge rate --spec {params.spec} --spec-digest {params.digest} --service {params.service}"
        " --answers {input.answers} --data {params.data} --judgment-cache {params.judgment_cache}"
        " --failures {params.failures} --out {output} >{log} 2>&1"


# The same for a judge that the job itself serves, on GPUs of its own.
use rule judge as judge_by_served_model with:
    wildcard_constraints:
        study=judging.studies(PLAN, on_gpus=True),
    localrule: False
    threads: resources.threads(PLAN, resources.judge)
    resources:
        **resources.of(PLAN, resources.judge),
    params:
        env=PLAN.ask(evaluate.environment),


rule measure_judge_noise:
    input:
        **BESIDE_FP16,
    output:
        json="<results>/{study}/noise/{model}/{method}/{bits}.json",
        csv="<results>/{study}/noise/{model}/{method}/{bits}.csv",
    log:
        "logs/{study}/noise/{model}/{method}/{bits}.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        code=PLAN.code,
    message:
        "Noise of the judge on {wildcards.model} {wildcards.method}/{wildcards.bits}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.judge noise --judgments {input.judgments} --answers {input.answers}"
        " --baseline {input.baseline} --baseline-answers {input.baseline_answers} --out-json {output.json}"
        " --out-csv {output.csv} >{log} 2>&1"


# Of a study without a judge it shows the answers alone.
rule inspect_answers:
    input:
        answers=BESIDE_FP16["answers"],
        judgments=PLAN.ask(judging.ratings),
        baseline=PLAN.ask(judging.baseline_ratings),
        baseline_answers=BESIDE_FP16["baseline_answers"],
    output:
        "<figures>/{study}/inspection/{model}/{method}/{bits}.html",
    log:
        "logs/{study}/inspection/{model}/{method}/{bits}.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        code=PLAN.code,
        data=PLAN.ask(judging.data),
    message:
        "Page of answers: {wildcards.model}, FP16 beside {wildcards.method}/{wildcards.bits}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.judge inspect --data {params.data}"
        " --answers-a {input.baseline_answers} --judgments-a {input.baseline}"
        " --answers-b {input.answers} --judgments-b {input.judgments} --out {output} >{log} 2>&1"
