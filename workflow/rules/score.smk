# Cells: the raw answers as scores on the paper's scale, with their errors, samples, cost and provenance.
from edge2giant.plan import score


rule score_cell:
    input:
        manifest=PLAN.ask(batches.manifest),
        judgments=PLAN.ask(score.judgments),
    output:
        cell="<results>/{study}/cells/{model}/{method}/{bits}/{benchmark}.json",
        samples="<results>/{study}/cells/{model}/{method}/{bits}/{benchmark}.samples.parquet",
    log:
        "logs/{study}/cells/{model}/{method}/{bits}/{benchmark}.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(score.spec),
        env="workflow",
        answer_cache=f"{RESULTS}/answer_cache",
        code=PLAN.code_of("scoring", "judge"),
    shell:
        "workflow/in-env {params.env} python -m edge2giant.scoring --spec {params.spec} --spec-digest {params.digest}"
        " --manifest {input.manifest} --answer-cache {params.answer_cache} --judgments {input.judgments}"
        " --out {output.cell} --samples {output.samples} >{log} 2>&1"
