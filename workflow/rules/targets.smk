# The names that people ask for. They mean the study of config.yaml; a file of any study can be asked for by its path.
from edge2giant.plan import targets

FIGURES = f"<figures>/{config['study']}"
PRINTED = "<figures>/published"


rule all:
    input:
        targets.overlap(PLAN),
        studies.tables(PLAN.study),
        studies.figure2(PLAN.study),
        targets.answers(PLAN),
    localrule: True


rule table1:
    input:
        multiext(f"{FIGURES}/table1", ".csv", ".tex", ".html", ".md"),
    localrule: True


rule table2:
    input:
        multiext(f"{FIGURES}/table2", ".csv", ".tex", ".html", ".md"),
    localrule: True


rule fidelity:
    input:
        multiext(f"{FIGURES}/table10", ".csv", ".tex", ".html", ".md"),
        multiext(f"{FIGURES}/fidelity", ".svg", ".png", ".csv"),
    localrule: True


rule figure2:
    input:
        multiext(f"{FIGURES}/figure2", ".pdf", ".png", ".svg"),
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
        f"{FIGURES}/claims.html",
        f"{FIGURES}/comparison.csv",
        f"{FIGURES}/statistics.csv",
        f"{FIGURES}/tradeoffs",
        studies.figure2(PLAN.study, "_all", "_intervals"),
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
