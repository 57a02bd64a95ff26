# Tables and Figure 2, from cells and from the printed numbers, by the same code.
from edge2giant.plan import study as studies

PRINTED_CSV = {name: f"config/published/{name}.csv" for name in ("scores", "mt_bench")}


rule render_table:
    input:
        **PRINTED_CSV,
        cells=PLAN.ask(studies.cells_of_table),
    output:
        csv="<figures>/{study}/table{number}.csv",
        tex="<figures>/{study}/table{number}.tex",
        html=report(
            "<figures>/{study}/table{number}.html",
            caption="../report/table.rst",
            category="1 Tables",
            labels={"study": "{study}", "table": "Table {number}"},
        ),
        md="<figures>/{study}/table{number}.md",
    log:
        "logs/{study}/table{number}.log",
    wildcard_constraints:
        number="[124567]",
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
        "Table {wildcards.number} of study {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper table --spec {params.spec} --spec-digest {params.digest}"
        " --number {wildcards.number} --published {params.published} --cells {input.cells} --out-prefix {params.prefix}"
        " >{log} 2>&1"


rule draw_figure2:
    input:
        **PRINTED_CSV,
        cells=PLAN.ask(studies.mt_bench_cells),
    output:
        pdf="<figures>/{study}/figure2.pdf",
        png="<figures>/{study}/figure2.png",
        svg=report(
            "<figures>/{study}/figure2.svg",
            caption="../report/figure2.rst",
            category="2 Figures",
            labels={"study": "{study}", "figure": "Figure 2"},
        ),
        csv="<figures>/{study}/figure2.csv",
    log:
        "logs/{study}/figure2.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.spec),
        env="workflow",
        code=PLAN.code,
        form="radar",
        published=subpath(input.scores, parent=True),
        prefix=subpath(output.pdf, strip_suffix=".pdf"),
    message:
        "Figure 2 of study {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper figure2 --spec {params.spec} --spec-digest {params.digest}"
        " --form {params.form} --published {params.published} --cells {input.cells} --out-prefix {params.prefix} >{log} 2>&1"


# Of every model, or with intervals and the printed panels below.
use rule draw_figure2 as draw_figure2_more with:
    output:
        pdf="<figures>/{study}/figure2_{form}.pdf",
        png="<figures>/{study}/figure2_{form}.png",
        svg=report(
            "<figures>/{study}/figure2_{form}.svg",
            caption="../report/figure2_intervals.rst",
            category="2 Figures",
            labels={"study": "{study}", "figure": "Figure 2, {form}"},
        ),
        csv="<figures>/{study}/figure2_{form}.csv",
    log:
        "logs/{study}/figure2_{form}.log",
    wildcard_constraints:
        form="all|intervals",
    params:
        **PLAN.spec(studies.spec),
        env="workflow",
        code=PLAN.code,
        form="{form}",
        published=subpath(input.scores, parent=True),
        prefix=subpath(output.pdf, strip_suffix=".pdf"),
    message:
        "Figure 2 of study {wildcards.study}, {wildcards.form}"


rule render_published_table:
    input:
        **PRINTED_CSV,
    output:
        csv="<figures>/published/table{number}.csv",
        tex="<figures>/published/table{number}.tex",
        html=report(
            "<figures>/published/table{number}.html",
            caption="../report/table.rst",
            category="3 As printed",
            labels={"study": "published", "table": "Table {number}"},
        ),
        md="<figures>/published/table{number}.md",
    log:
        "logs/published/table{number}.log",
    wildcard_constraints:
        number="[124567]",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.paper),
        env="workflow",
        code=PLAN.code,
        published=subpath(input.scores, parent=True),
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Table {wildcards.number} as printed"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper table --spec {params.spec} --spec-digest {params.digest}"
        " --number {wildcards.number} --published {params.published} --out-prefix {params.prefix} >{log} 2>&1"


rule draw_published_figure2:
    input:
        **PRINTED_CSV,
    output:
        pdf="<figures>/published/figure2.pdf",
        png="<figures>/published/figure2.png",
        svg=report(
            "<figures>/published/figure2.svg",
            caption="../report/figure2.rst",
            category="3 As printed",
            labels={"study": "published", "table": "Figure 2"},
        ),
        csv="<figures>/published/figure2.csv",
    log:
        "logs/published/figure2.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.paper),
        env="workflow",
        code=PLAN.code,
        published=subpath(input.scores, parent=True),
        prefix=subpath(output.pdf, strip_suffix=".pdf"),
    message:
        "Figure 2 as printed"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper figure2 --spec {params.spec} --spec-digest {params.digest}"
        " --published {params.published} --out-prefix {params.prefix} >{log} 2>&1"
