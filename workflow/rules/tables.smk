# Tables and Figure 2, from cells and from the printed numbers, by the same code: `published` in place of a study.
from edge2giant.plan import study as studies

PRINTED_CSV = {name: f"config/published/{name}.csv" for name in ("scores", "mt_bench")}
STUDY_OR_PRINTED = "|".join([*PLAN.config.studies, studies.PRINTED])


rule render_table:
    input:
        **PRINTED_CSV,
        marks=PLAN.ask(studies.marks),
        cells=PLAN.ask(studies.unless_printed(studies.cells_of_table)),
    output:
        csv="<figures>/{study}/table{number}.csv",
        tex="<figures>/{study}/table{number}.tex",
        html=report(
            "<figures>/{study}/table{number}.html",
            caption="../report/table.rst",
            category=studies.category("1 Tables"),
            labels={"study": "{study}", "table": "Table {number}"},
        ),
        md="<figures>/{study}/table{number}.md",
    log:
        "logs/{study}/table{number}.log",
    wildcard_constraints:
        study=STUDY_OR_PRINTED,
        number="[0-9]+",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.shown),
        env="workflow",
        code=PLAN.code,
        cells=PLAN.ask(studies.cells_option),
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Table {wildcards.number} of {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper table --spec {params.spec} --spec-digest {params.digest}"
        " --number {wildcards.number} --published config/published --marks {input.marks} {params.cells} {input.cells}"
        " --out-prefix {params.prefix} >{log} 2>&1"


rule draw_figure2:
    input:
        **PRINTED_CSV,
        cells=PLAN.ask(studies.unless_printed(studies.judged_cells)),
    output:
        pdf="<figures>/{study}/figure2.pdf",
        png="<figures>/{study}/figure2.png",
        svg=report(
            "<figures>/{study}/figure2.svg",
            caption="../report/figure2.rst",
            category=studies.category("2 Figures"),
            labels={"study": "{study}", "figure": "Figure 2"},
        ),
        csv="<figures>/{study}/figure2.csv",
    log:
        "logs/{study}/figure2.log",
    wildcard_constraints:
        study=STUDY_OR_PRINTED,
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.shown),
        env="workflow",
        code=PLAN.code,
        form="radar",
        cells=PLAN.ask(studies.cells_option),
        prefix=subpath(output.pdf, strip_suffix=".pdf"),
    message:
        "Figure 2 of {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper figure2 --spec {params.spec} --spec-digest {params.digest}"
        " --form {params.form} --published config/published {params.cells} {input.cells} --out-prefix {params.prefix} >{log} 2>&1"


# Perplexity, and divergence from the unquantized model, with 95% intervals.
rule draw_fidelity:
    input:
        PLAN.ask(studies.cells_of_fidelity),
    output:
        png="<figures>/{study}/fidelity.png",
        csv="<figures>/{study}/fidelity.csv",
        svg=report(
            "<figures>/{study}/fidelity.svg",
            caption="../report/fidelity.rst",
            category="2 Figures",
            labels={"study": "{study}", "figure": "Fidelity"},
        ),
    log:
        "logs/{study}/fidelity.log",
    wildcard_constraints:
        study="|".join(PLAN.config.studies),
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(studies.spec),
        env="workflow",
        code=PLAN.code,
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Perplexity and divergence of study {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper fidelity --spec {params.spec} --spec-digest {params.digest}"
        " --published config/published --cells {input} --out-prefix {params.prefix} >{log} 2>&1"


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
        study="|".join(PLAN.config.studies),
        form="all|intervals",
    params:
        form="{form}",
    message:
        "Figure 2 of study {wildcards.study}, {wildcards.form}"
