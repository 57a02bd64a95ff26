# Bring models and data into the store at locked revisions. The only phase that touches the network; its rules run where snakemake runs.
# A fetch keeps to config/lock/hub/<path>.lock.json where that exists, and writes it where it does not: commit these files.
# `source` is a path without a digest: another mirror or token makes no job run again.
from edge2giant.plan import acquire as fetching

HUB = "<results>/store/hub"


rule acquire_model:
    output:
        model=directory(f"{HUB}/models/{{model}}"),
        lock=f"{HUB}/models/{{model}}.lock.json",
    log:
        "logs/acquire/models/{model}.log",
    retries: 3
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(fetching.model),
        env="workflow",
        source=PLAN.ask(fetching.source),
        pins="config/lock/hub",
        store=PLAN.ask(fetching.store),
    message:
        "Fetching model {wildcards.model}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.store fetch --spec {params.spec} --spec-digest {params.digest}"
        " --source {params.source} --pins {params.pins} --store {params.store} >{log} 2>&1"


use rule acquire_model as acquire_published with:
    output:
        checkpoint=directory(f"{HUB}/published/{{owner}}/{{repository}}"),
        lock=f"{HUB}/published/{{owner}}/{{repository}}.lock.json",
    log:
        "logs/acquire/published/{owner}/{repository}.log",
    wildcard_constraints:
        owner="[^/]+",
        repository="[^/]+",
    params:
        **PLAN.spec(fetching.published),
    message:
        "Fetching the published checkpoint {wildcards.owner}/{wildcards.repository}"


use rule acquire_model as acquire_dataset with:
    output:
        f"{HUB}/datasets/{{data}}.lock.json",
    log:
        "logs/acquire/datasets/{data}.log",
    params:
        **PLAN.spec(fetching.dataset),
    message:
        "Fetching the data of {wildcards.data}"


use rule acquire_model as acquire_calibration with:
    output:
        text=f"{HUB}/calibration/{{name}}/text.jsonl",
        lock=f"{HUB}/calibration/{{name}}.lock.json",
    log:
        "logs/acquire/calibration/{name}.log",
    params:
        **PLAN.spec(fetching.calibration),
    message:
        "Fetching calibration set {wildcards.name}"


use rule acquire_model as acquire_nltk with:
    output:
        folder=directory(f"{HUB}/nltk"),
        lock=f"{HUB}/nltk.lock.json",
    log:
        "logs/acquire/nltk.log",
    params:
        **PLAN.spec(fetching.nltk),
    message:
        "Fetching nltk's sentence tables"


# A checkpoint, so that `acquire` fetches nothing before it is known that everything can be fetched and the disk holds it. The fetches
# do not depend on it: one cell's model can be fetched without access to all the others.
checkpoint plan_acquisition:
    output:
        "<results>/{study}/acquisition.json",
    log:
        "logs/{study}/acquisition.log",
    localrule: True
    conda:
        environment_file
    params:
        **PLAN.spec(fetching.spec),
        env="workflow",
        source=PLAN.ask(fetching.source),
        pins="config/lock/hub",
        store=PLAN.ask(fetching.store),
    message:
        "Surveying what study {wildcards.study} will fetch"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.store survey --spec {params.spec} --spec-digest {params.digest}"
        " --source {params.source} --pins {params.pins} --store {params.store} --out {output} 2>&1 | tee {log}"


rule acquire:
    input:
        lambda _: (
            checkpoints.plan_acquisition.get(study=config["study"]),
            fetching.locks(PLAN, config["study"]),
        )[1],
    localrule: True


# No input: this reports what is missing and does not fetch it.
rule verify:
    log:
        f"logs/{config['study']}/verify.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        locks=[
            lock.replace("<results>", RESULTS)
            for lock in fetching.locks(PLAN, config["study"])
        ],
        store=f"{RESULTS}/store/{PLAN.study.source}",
        pins=f"config/lock/{PLAN.study.source}",
    message:
        "Checking the store against its locks"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.store verify {params.locks} --pins {params.pins}"
        " --store {params.store} 2>&1 | tee {log}"
