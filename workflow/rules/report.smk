# A study as pages to read without a network, and as files for other tools.
REPORT = "<figures>/{study}/report"


rule build_report:
    input:
        unpack(PLAN.ask(studies.report_input)),
        cells=PLAN.ask(studies.cells),
    output:
        index=f"{REPORT}/index.html",
        pages=directory(f"{REPORT}/cells"),
        assets=directory(f"{REPORT}/assets"),
    log:
        "logs/{study}/report.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.spec),
        env="workflow",
        code=PLAN.code,
        out=subpath(output.index, parent=True),
        analyses=lambda wildcards, input: studies.report_options(PLAN, wildcards, input),
    message:
        "Report of study {wildcards.study}: {output.index}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.report build --spec {params.spec} --spec-digest {params.digest}"
        " --published config/published --cells {input.cells} {params.analyses} --out {params.out} >{log} 2>&1"


rule export_scores:
    input:
        PLAN.ask(studies.cells),
    output:
        directory("<figures>/{study}/exports"),
    log:
        "logs/{study}/exports.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.spec),
        env="workflow",
        code=PLAN.code,
    message:
        "Scores of study {wildcards.study} for the Hugging Face hub, Every Eval Ever and as RO-Crate"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.report export --spec {params.spec} --spec-digest {params.digest}"
        " --cells {input} --out {output} >{log} 2>&1"


rule report_site:
    input:
        f"<figures>/{config['study']}/report/index.html",
    localrule: True


rule exports:
    input:
        f"<figures>/{config['study']}/exports",
    localrule: True


# Of a run that is not complete: what there is, and why the rest is missing. It makes nothing else.
rule partial_report:
    log:
        f"logs/{config['study']}/partial_report.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.spec),
        env="workflow",
        study=config["study"],
        results=RESULTS,
        out=f"{PLAN.figures}/{config['study']}/partial",
    message:
        "Report from the cells that exist: {params.out}/report/index.html"
    shell:
        "(workflow/in-env {params.env} python -m edge2giant.cluster partial --study {params.study}"
        " --results {params.results} --out {params.out}"
        " && mkdir -p {params.out}/failures {params.results}/{params.study}/cells"
        " && workflow/in-env {params.env} python -m edge2giant.report build --spec {params.spec} --spec-digest {params.digest}"
        " --published config/published --cells {params.results}/{params.study}/cells --failures {params.out}/failures"
        " --out {params.out}/report) 2>&1 | tee {log}"
