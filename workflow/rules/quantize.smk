# A checkpoint out of a model and a scheme, by the toolkit and in the environment that the scheme names. Its record and model card are
# kept beside it too, so that they outlive the weights under `keep_checkpoints: false`.
CHECKPOINT = directory("<results>/checkpoints/{model}/{method}/{bits}/{digest}")


rule quantize:
    input:
        unpack(JOBS.model_of_checkpoint),
        unpack(JOBS.texts_of_checkpoint),
    output:
        checkpoint=CHECKPOINT if JOBS.keeps_checkpoints else temp(CHECKPOINT),
        record="<results>/checkpoints/{model}/{method}/{bits}/{digest}.json",
        card="<results>/checkpoints/{model}/{method}/{bits}/{digest}.md",
    log:
        "logs/quantize/{model}/{method}/{bits}/{digest}.log",
    conda:
        environment_file
    threads: JOBS.quantize_threads
    resources:
        **JOBS.site("quantize"),
        mem_mb=JOBS.quantize_memory,
        runtime=JOBS.quantize_minutes,
        gpu=JOBS.quantize_gpus,
    params:
        env=JOBS.quantize_environment,
        scheme=JOBS.scheme,
        texts=JOBS.text_arguments,
        base=JOBS.base_model,
        published=JOBS.published_argument,
        failures=f"{RESULTS}/failures",
    message:
        "Quantizing {wildcards.model} by {wildcards.method} to {wildcards.bits}"
    shell:
        "EDGE2GIANT_LOG={log} workflow/with-gpus {resources.gpu} workflow/in-env {params.env} python -m edge2giant.quantize run"
        " --model {input.model} --scheme-json {params.scheme:q} {params.texts} {params.base}"
        " {params.published}"
        " --lock {input.lock} --failures {params.failures} --out {output.checkpoint} >{log} 2>&1"
        " && cp {output.checkpoint}/checkpoint.json {output.record} && cp {output.checkpoint}/README.md {output.card}"


rule compare_calibration:
    input:
        calibration=JOBS.calibration_locks,
        datasets=JOBS.evaluated_locks,
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
        "Holding the calibration text of study {wildcards.study} against its benchmarks"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.store overlap --calibration {input.calibration}"
        " --datasets {input.datasets} --out {output} >{log} 2>&1"
