# What goes into a paper, from cells and from the printed numbers, by the same code.


rule render_table:
    input:
        cells=JOBS.cells_of_table,
        rows="<results>/{study}/rows.json",
        published="config/published/scores.csv",
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
        env="workflow",
        code=JOBS.code("paper"),
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Table {wildcards.number} of study {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper table --number {wildcards.number} --source cells"
        " --beside-published --cells {input.cells} --expected {input.rows} --out-prefix {params.prefix} >{log} 2>&1"


rule draw_figure2:
    input:
        cells=JOBS.mt_bench_cells,
        rows="<results>/{study}/rows.json",
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
        env="workflow",
        code=JOBS.code("paper"),
        models=JOBS.figure2_models,
        prefix=subpath(output.pdf, strip_suffix=".pdf"),
    message:
        "Figure 2 of study {wildcards.study}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper figure2 --source cells --cells {input.cells}"
        " --expected {input.rows} --models {params.models} --out-prefix {params.prefix} >{log} 2>&1"


rule draw_figure2_more:
    input:
        cells=JOBS.mt_bench_cells,
        rows="<results>/{study}/rows.json",
    output:
        pdf="<figures>/{study}/figure2_{form}.pdf",
        png="<figures>/{study}/figure2_{form}.png",
        svg=report(
            "<figures>/{study}/figure2_{form}.svg",
            caption="../report/figure2_intervals.rst",
            category="2 Figures",
            labels={"study": "{study}", "figure": "Figure 2, {form}"},
        ),
    log:
        "logs/{study}/figure2_{form}.log",
    wildcard_constraints:
        form="all|intervals",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        code=JOBS.code("paper"),
        form=JOBS.figure2_form,
        prefix=subpath(output.pdf, strip_suffix=".pdf"),
    message:
        "Figure 2 of study {wildcards.study}, {wildcards.form}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper figure2 --source cells --cells {input.cells}"
        " --expected {input.rows} {params.form} --out-prefix {params.prefix} >{log} 2>&1"


rule list_rows:
    input:
        "config/models.yaml",
    output:
        "<results>/{study}/rows.json",
    log:
        "logs/{study}/rows.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        rows=JOBS.rows,
    shell:
        "workflow/in-env {params.env} python -m edge2giant.study rows --study {wildcards.study} --out {output} >{log} 2>&1"


rule render_published_table:
    input:
        "config/published/scores.csv",
        "config/published/mt_bench.csv",
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
        env="workflow",
        code=JOBS.code("paper"),
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Table {wildcards.number} as printed"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper table --number {wildcards.number} --source published"
        " --out-prefix {params.prefix} >{log} 2>&1"


rule draw_published_figure2:
    input:
        "config/published/mt_bench.csv",
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
        env="workflow",
        code=JOBS.code("paper"),
        prefix=subpath(output.pdf, strip_suffix=".pdf"),
    message:
        "Figure 2 as printed"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.paper figure2 --source published"
        " --out-prefix {params.prefix} >{log} 2>&1"
