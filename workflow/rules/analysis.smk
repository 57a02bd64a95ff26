# Checks of the numbers: audit of the printed tables, claims, comparison, paired statistics, trade-offs.
from edge2giant.plan import audit


rule audit_published:
    input:
        multiext(
            "config/published/",
            "scores.csv",
            "mt_bench.csv",
            "benchmarks.csv",
        ),
    output:
        html=report(
            "<figures>/published/audit.html",
            caption="../report/audit.rst",
            category="4 Audit and claims",
            labels={"study": "published", "what": "audit"},
        ),
        csv=multiext(
            "<figures>/published/audit",
            ".csv",
            "_grids.csv",
            "_storage.csv",
            "_rounding.csv",
            "_checks.csv",
        ),
    log:
        "logs/published/audit.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(audit.spec),
        env="workflow",
        code=PLAN.code,
        prefix=subpath(output.html, strip_suffix=".html"),
    message:
        "Auditing the printed tables"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.audit --spec {params.spec} --spec-digest {params.digest}"
        " --published config/published --out-prefix {params.prefix} 2>&1 | tee {log}"


rule judge_published_claims:
    input:
        **PRINTED_CSV,
    output:
        html=report(
            "<figures>/published/claims.html",
            caption="../report/claims.rst",
            category="4 Audit and claims",
            labels={"study": "published", "what": "claims"},
        ),
        text=multiext("<figures>/published/claims", ".csv", ".md"),
    log:
        "logs/published/claims.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.claims),
        env="workflow",
        code=PLAN.code,
        published=subpath(input.scores, parent=True),
        prefix=subpath(output.html, strip_suffix=".html"),
    message:
        "Judging the paper's claims by its printed numbers"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.claims --spec {params.spec} --spec-digest {params.digest}"
        " --published {params.published} --out-prefix {params.prefix} 2>&1 | tee {log}"


rule judge_claims:
    input:
        **PRINTED_CSV,
        cells=PLAN.ask(studies.cells),
    output:
        html=report(
            "<figures>/{study}/claims.html",
            caption="../report/claims.rst",
            category="4 Audit and claims",
            labels={"study": "{study}", "what": "claims"},
        ),
        text=multiext("<figures>/{study}/claims", ".csv", ".md"),
    log:
        "logs/{study}/claims.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.claims),
        env="workflow",
        code=PLAN.code,
        published=subpath(input.scores, parent=True),
        prefix=subpath(output.html, strip_suffix=".html"),
    message:
        "Judging the paper's claims by study {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.claims --spec {params.spec} --spec-digest {params.digest}"
        " --published {params.published} --cells {input.cells} --out-prefix {params.prefix} 2>&1 | tee {log}"


rule compare_with_published:
    input:
        **PRINTED_CSV,
        cells=PLAN.ask(studies.cells),
    output:
        csv="<figures>/{study}/comparison.csv",
        figures=multiext(
            "<figures>/{study}/comparison",
            "_heatmap.svg",
            "_heatmap.png",
            "_intervals.svg",
            "_intervals.png",
        ),
    log:
        "logs/{study}/comparison.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.spec),
        env="workflow",
        code=PLAN.code,
        published=subpath(input.scores, parent=True),
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Comparing study {wildcards.study} with the printed numbers"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper compare --spec {params.spec} --spec-digest {params.digest}"
        " --published {params.published} --cells {input.cells} --out-prefix {params.prefix} >{log} 2>&1"


rule test_pairs:
    input:
        PLAN.ask(studies.cells),
    output:
        multiext("<figures>/{study}/statistics", ".csv", ".json"),
    log:
        "logs/{study}/statistics.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(score.statistics),
        env="workflow",
        code=PLAN.code_of("stats", "scoring"),
        prefix=subpath(output[0], strip_suffix=".csv"),
    message:
        "Paired statistics of study {wildcards.study}: every variant against FP16"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.stats family --spec {params.spec}"
        " --spec-digest {params.digest} --cells {input} --out-prefix {params.prefix} >{log} 2>&1"


rule draw_tradeoffs:
    input:
        **PRINTED_CSV,
        cells=PLAN.ask(studies.cells),
    output:
        directory("<figures>/{study}/tradeoffs"),
    log:
        "logs/{study}/tradeoffs.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.spec),
        env="workflow",
        code=PLAN.code,
        published=subpath(input.scores, parent=True),
    message:
        "Trade-off views of study {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper tradeoffs --spec {params.spec} --spec-digest {params.digest}"
        " --published {params.published} --cells {input.cells} --out-dir {output} >{log} 2>&1"


rule draw_published_tradeoffs:
    input:
        **PRINTED_CSV,
    output:
        directory("<figures>/published/tradeoffs"),
    log:
        "logs/published/tradeoffs.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.paper),
        env="workflow",
        code=PLAN.code,
        published=subpath(input.scores, parent=True),
    message:
        "Trade-off views of the printed numbers"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper tradeoffs --spec {params.spec} --spec-digest {params.digest}"
        " --published {params.published} --out-dir {output} >{log} 2>&1"
