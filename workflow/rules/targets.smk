# The names that people ask for. They mean the study of config.yaml; a file of any study can be asked for by its path. A study has no more
# of them than its benchmarks give: without MT-Bench no Figure 2, without the paper's numbers no comparison.
from edge2giant.plan import targets

PRINTED = "<figures>/published"


rule all:
    input:
        targets.overlap(PLAN),
        studies.tables(PLAN),
        studies.figure2(PLAN.study),
        targets.answers(PLAN),
    localrule: True


rule table1:
    input:
        studies.tables(PLAN, [1]),
    localrule: True


rule table2:
    input:
        studies.tables(PLAN, [2]),
    localrule: True


rule fidelity:
    input:
        studies.tables(PLAN, [10]),
        studies.fidelity(PLAN),
    localrule: True


rule figure2:
    input:
        studies.figure2(PLAN.study),
    localrule: True


rule cells:
    input:
        targets.cells(PLAN),
    localrule: True


rule checkpoints:
    input:
        targets.checkpoints(PLAN),
    localrule: True


rule published:
    input:
        expand(
            "<figures>/published/table{number}.{form}",
            number=studies.printed_tables(PLAN),
            form=["csv", "tex", "html", "md"],
        ),
        multiext(f"{PRINTED}/figure2", ".pdf", ".png", ".svg"),
    localrule: True


rule audit:
    input:
        f"{PRINTED}/audit.html",
        f"{PRINTED}/claims.html",
        f"{PRINTED}/tradeoffs",
    localrule: True


rule claims:
    input:
        f"{PRINTED}/claims.html",
    localrule: True


rule analysis:
    input:
        studies.analysis(PLAN),
        targets.noise(PLAN),
        targets.inspections(PLAN),
    localrule: True


rule plan:
    log:
        f"logs/{config['study']}/plan.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        study=config["study"],
        cluster=f"--cluster {PLAN.run.cluster}" if PLAN.run.cluster else "",
        out=f"{RESULTS}/{config['study']}/plan.csv",
    message:
        "Plan of study {params.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.plan.overview --study {params.study} {params.cluster}"
        " --out {params.out} 2>&1 | tee {log}"


rule train_miniature:
    input:
        expand("<results>/miniature/trained/{model}", model=["tiny-0.4m", "tiny-2m"]),
    localrule: True
