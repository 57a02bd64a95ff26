# The demonstration's models and data, made by workflow/demo: a source of the store like the hub, without network or licence.
from pathlib import Path

from demo.ids import IDS
from edge2giant.records import tree_digest

DEMO_CODE = tree_digest(Path(workflow.basedir) / "demo", ("*.py",))[:16]
MINIATURE = "<results>/store/miniature"
SHARED = [
    name
    for name, entry in PLAN.config.benchmarks.items()
    if name not in IDS
    and len(entry.datasets) == 1
    and {*entry.datasets} <= {*IDS.values()}
]


rule make_miniature_data:
    output:
        datasets=expand(
            f"{MINIATURE}/datasets/{{benchmark}}.lock.json",
            benchmark=IDS,
        ),
        calibration=expand(
            f"{MINIATURE}/calibration/{{name}}.lock.json",
            name=["miniature", "heldout"],
        ),
        mt_bench=f"{MINIATURE}/datasets/mt_bench.lock.json",
        nltk=f"{MINIATURE}/nltk.lock.json",
    log:
        "logs/miniature/data.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        code=DEMO_CODE,
        store=subpath(output.nltk, parent=True),
    message:
        "Making the miniature data sets"
    shell:
        "workflow/in-env {params.env} python -m demo data --out {params.store} >{log} 2>&1"


# Another benchmark on one of these data sets; the lock's file names are relative to its folder.
rule share_miniature_data:
    input:
        lambda wildcards: [
            f"{MINIATURE}/datasets/{name}.lock.json"
            for name, repository in IDS.items()
            if repository in PLAN.config.benchmarks[wildcards.benchmark].datasets
        ],
    output:
        f"{MINIATURE}/datasets/{{benchmark}}.lock.json",
    log:
        "logs/miniature/{benchmark}.log",
    wildcard_constraints:
        benchmark="|".join(SHARED) or "(?!)",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
    message:
        "Sharing the miniature data of {wildcards.benchmark}"
    shell:
        "cp {input} {output} 2>{log}"


rule install_miniature_model:
    input:
        lambda wildcards: f"workflow/demo/models/{wildcards.model}/trained.json",
    output:
        model=directory(f"{MINIATURE}/models/{{model}}"),
        lock=f"{MINIATURE}/models/{{model}}.lock.json",
    log:
        "logs/miniature/{model}.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        code=DEMO_CODE,
        store=subpath(output.model, ancestor=2),
    message:
        "Installing the shipped weights of {wildcards.model}"
    shell:
        "workflow/in-env {params.env} python -m demo install --model {wildcards.model}"
        " --out {params.store} >{log} 2>&1"


rule train_miniature_model:
    output:
        directory("<results>/miniature/trained/{model}"),
    log:
        "logs/miniature/train/{model}.log",
    conda:
        environment_file
    threads: 1
    params:
        env="cpu/main",
        code=DEMO_CODE,
    message:
        "Training {wildcards.model} from scratch (some minutes)"
    shell:
        "workflow/in-env {params.env} python -m demo train --model {wildcards.model} --out {output} >{log} 2>&1"
