# A batch of benchmarks on one checkpoint, loaded once. Finished benchmarks lie in the answer cache; the batch's only output is its manifest.


rule evaluate:
    input:
        checkpoint=JOBS.checkpoint_of_row,
        datasets=JOBS.dataset_locks,
    output:
        "<results>/{study}/evaluations/{model}/{method}/{bits}/{batch}.json",
    log:
        "logs/{study}/evaluate/{model}/{method}/{bits}/{batch}.log",
    priority: 1  # before further checkpoints are made: those that wait cost disk
    conda:
        environment_file
    threads: JOBS.evaluate_threads
    resources:
        **JOBS.site("evaluate"),
        mem_mb=JOBS.evaluate_memory,
        runtime=JOBS.evaluate_minutes,
        gpu=JOBS.evaluate_gpus,
    params:
        env=JOBS.evaluate_environment,
        benchmarks=JOBS.benchmarks_of_batch,
        settings=JOBS.evaluation_settings,
        version=evaluate.RESULT_VERSION,
        store=JOBS.store,
        answer_cache=f"{RESULTS}/answer_cache",
        failures=f"{RESULTS}/failures",
        cache=f"{RESULTS}/cache",
    message:
        "Evaluating {wildcards.model} {wildcards.method}/{wildcards.bits}: {params.benchmarks}"
    shell:
        "checkpoint=$(workflow/staged {input.checkpoint} '{resources.scratch}') &&"
        " EDGE2GIANT_LOG={log} workflow/with-gpus {resources.gpu} workflow/in-env {params.env} workflow/on-nodes"
        " python -m edge2giant.evaluate batch --parallel {resources.parallel} --planned '{resources.engine}'"
        " --study {wildcards.study} --model {wildcards.model} --method {wildcards.method} --bits {wildcards.bits}"
        " --batch {wildcards.batch} --benchmarks {params.benchmarks} --settings {params.settings}"
        " --checkpoint $checkpoint --store {params.store} --answer-cache {params.answer_cache}"
        " --cache {params.cache} --failures {params.failures}"
        " --out {output} >{log} 2>&1"
