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
        env="workflow",
        code=PLAN.code,
        **PLAN.spec(audit.spec),
        prefix=subpath(output.html, strip_suffix=".html"),
    message:
        "Auditing the printed tables"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.audit --spec {params.spec} --spec-digest {params.digest}"
        " --published $(dirname {input[0]}) --out-prefix {params.prefix} 2>&1 | tee {log}"


rule judge_published_claims:
    input:
        "config/published/claims.yaml",
        "config/published/scores.csv",
        "config/published/mt_bench.csv",
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
        env="workflow",
        code=JOBS.code("claims"),
        prefix=subpath(output.html, strip_suffix=".html"),
    message:
        "Judging the paper's claims by its printed numbers"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.claims --source published --out-prefix {params.prefix}"
        " 2>&1 | tee {log}"


rule judge_claims:
    input:
        cells=JOBS.all_cells,
        published=multiext(
            "config/published/", "claims.yaml", "scores.csv", "mt_bench.csv"
        ),
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
        env="workflow",
        code=JOBS.code("claims"),
        prefix=subpath(output.html, strip_suffix=".html"),
    message:
        "Judging the paper's claims by study {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.claims --source cells --cells {input.cells}"
        " --out-prefix {params.prefix} 2>&1 | tee {log}"


rule compare_with_published:
    input:
        JOBS.all_cells,
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
        env="workflow",
        code=JOBS.code("paper"),
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Comparing study {wildcards.study} with the printed numbers"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper compare --cells {input} --out-prefix {params.prefix}"
        " >{log} 2>&1"


rule test_pairs:
    input:
        JOBS.all_cells,
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
        cells=JOBS.all_cells,
        rows="<results>/{study}/rows.json",
    output:
        directory("<figures>/{study}/tradeoffs"),
    log:
        "logs/{study}/tradeoffs.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        code=JOBS.code("paper"),
    message:
        "Trade-off views of study {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper tradeoffs --source cells --cells {input.cells}"
        " --expected {input.rows} --out-dir {output} >{log} 2>&1"


rule draw_published_tradeoffs:
    input:
        "config/published/scores.csv",
    output:
        directory("<figures>/published/tradeoffs"),
    log:
        "logs/published/tradeoffs.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        code=JOBS.code("paper"),
    message:
        "Trade-off views of the printed numbers"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper tradeoffs --source published --out-dir {output} >{log} 2>&1"
