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
            "_marks.csv",
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


rule judge_claims:
    input:
        **PRINTED_CSV,
        marks=PLAN.ask(studies.marks),
        cells=PLAN.ask(studies.unless_printed(studies.cells)),
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
    wildcard_constraints:
        study=STUDY_OR_PRINTED,
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.claims),
        env="workflow",
        cells=PLAN.ask(studies.cells_option),
        code=PLAN.code,
        prefix=subpath(output.html, strip_suffix=".html"),
    message:
        "Judging the paper's claims by the numbers of {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.claims --spec {params.spec} --spec-digest {params.digest}"
        " --published config/published --marks {input.marks} {params.cells} {input.cells} --out-prefix {params.prefix}"
        " 2>&1 | tee {log}"


rule compare_with_published:
    input:
        **PRINTED_CSV,
        marks="config/published/marks.csv",
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
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Comparing study {wildcards.study} with the printed numbers"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper compare --spec {params.spec} --spec-digest {params.digest}"
        " --published config/published --cells {input.cells} --out-prefix {params.prefix} >{log} 2>&1"


rule test_pairs:
    input:
        cells=PLAN.ask(studies.cells),
        repeats=PLAN.ask(repeats.cells),
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
        " --spec-digest {params.digest} --cells {input.cells} --repeats {input.repeats} --out-prefix {params.prefix} >{log} 2>&1"


rule draw_differences:
    input:
        "<figures>/{study}/statistics.csv",
    output:
        png="<figures>/{study}/differences.png",
        svg=report(
            "<figures>/{study}/differences.svg",
            caption="../report/differences.rst",
            category="2 Figures",
            labels={"study": "{study}", "figure": "Differences from FP16"},
        ),
    log:
        "logs/{study}/differences.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.spec),
        env="workflow",
        code=PLAN.code,
        prefix=subpath(output.svg, strip_suffix=".svg"),
    message:
        "Differences of study {wildcards.study} from FP16, with intervals"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper differences --spec {params.spec} --spec-digest {params.digest}"
        " --published config/published --statistics {input} --out-prefix {params.prefix} >{log} 2>&1"


rule draw_tradeoffs:
    input:
        **PRINTED_CSV,
        marks="config/published/marks.csv",
        cells=PLAN.ask(studies.unless_printed(studies.cells)),
    output:
        directory("<figures>/{study}/tradeoffs"),
    log:
        "logs/{study}/tradeoffs.log",
    wildcard_constraints:
        study=STUDY_OR_PRINTED,
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.shown),
        env="workflow",
        cells=PLAN.ask(studies.cells_option),
        code=PLAN.code,
    message:
        "Trade-off views of {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper tradeoffs --spec {params.spec} --spec-digest {params.digest}"
        " --published config/published {params.cells} {input.cells} --out-dir {output} >{log} 2>&1"
