# Cells: the raw answers as scores on the paper's scale, with their errors, samples, cost and provenance.


rule score_cell:
    input:
        manifest=PLAN.ask(evaluate.manifest),
        judgments=JOBS.judgments_of_cell,
    output:
        cell="<results>/{study}/cells/{model}/{method}/{bits}/{benchmark}.json",
        samples="<results>/{study}/cells/{model}/{method}/{bits}/{benchmark}.samples.parquet",
    log:
        "logs/{study}/cells/{model}/{method}/{bits}/{benchmark}.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        answer_cache=f"{RESULTS}/answer_cache",
        scoring=JOBS.scoring,
        code=JOBS.code("score"),
        judgments=JOBS.judgments_argument,
    shell:
        "workflow/in-env {params.env} python -m edge2giant.score --study {wildcards.study} --model {wildcards.model}"
        " --method {wildcards.method} --bits {wildcards.bits} --benchmark {wildcards.benchmark} --manifest {input.manifest}"
        " --answer-cache {params.answer_cache} {params.judgments} --out {output.cell} --samples {output.samples} >{log} 2>&1"
