# Bring models and data into the store at locked revisions. The only phase that touches the network; its rules run where snakemake runs.
# A fetch keeps to config/lock/hub/<path>.lock.json where that exists, and writes it where it does not: commit these files.
from edge2giant.plan import acquire as fetching

HUB = fetching.HUB
STORE = "workflow/in-env {params.env} python -m edge2giant.store"


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
        env="workflow",
        repository=PLAN.ask(fetching.model),
    message:
        "Fetching model {wildcards.model}"
    shell:
        f"{STORE} model {{params.repository}} --into {{output.model}} --lock {{output.lock}} >{{log}} 2>&1"


rule acquire_published:
    output:
        checkpoint=directory(f"{HUB}/published/{{owner}}/{{repository}}"),
        lock=f"{HUB}/published/{{owner}}/{{repository}}.lock.json",
    log:
        "logs/acquire/published/{owner}/{repository}.log",
    wildcard_constraints:
        owner="[^/]+",
        repository="[^/]+",
    retries: 3
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        repository=PLAN.ask(fetching.published),
    message:
        "Fetching the published checkpoint {wildcards.owner}/{wildcards.repository}"
    shell:
        f"{STORE} model {{params.repository}} --into {{output.checkpoint}} --lock {{output.lock}} >{{log}} 2>&1"


rule acquire_dataset:
    output:
        f"{HUB}/datasets/{{benchmark}}.lock.json",
    log:
        "logs/acquire/datasets/{benchmark}.log",
    retries: 3
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        repository=PLAN.ask(fetching.dataset),
        into=PLAN.ask(fetching.dataset_folder),
    message:
        "Fetching the data of {wildcards.benchmark}"
    shell:
        f"{STORE} dataset {{params.repository}} --into {{params.into}} --lock {{output}} >{{log}} 2>&1"


rule acquire_calibration:
    output:
        text=f"{HUB}/calibration/{{name}}/text.jsonl",
        lock=f"{HUB}/calibration/{{name}}.lock.json",
    log:
        "logs/acquire/calibration/{name}.log",
    retries: 3
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        repository=PLAN.ask(fetching.calibration),
        into=subpath(output.text, parent=True),
    message:
        "Fetching calibration set {wildcards.name}"
    shell:
        f"{STORE} calibration {{params.repository}} --into {{params.into}} --lock {{output.lock}} >{{log}} 2>&1"


rule acquire_mt_bench:
    output:
        folder=directory(f"{HUB}/mt_bench"),
        lock=f"{HUB}/mt_bench.lock.json",
    log:
        "logs/acquire/mt_bench.log",
    retries: 3
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        repository=PLAN.ask(fetching.mt_bench_files),
    message:
        "Fetching MT-Bench's questions, references and judge prompts"
    shell:
        f"{STORE} mt-bench {{params.repository}} --into {{output.folder}} --lock {{output.lock}} >{{log}} 2>&1"


rule acquire_nltk:
    output:
        folder=directory(f"{HUB}/nltk"),
        lock=f"{HUB}/nltk.lock.json",
    log:
        "logs/acquire/nltk.log",
    retries: 3
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        repository=PLAN.ask(fetching.nltk),
    message:
        "Fetching nltk's sentence tables"
    shell:
        f"{STORE} nltk {{params.repository}} --into {{output.folder}} --lock {{output.lock}} >{{log}} 2>&1"


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
        source=fetching.source(PLAN),
        store=f"{config['results']}/store/hub",
    message:
        "Surveying what study {wildcards.study} will fetch"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.store survey --spec {params.spec} --spec-digest {params.digest}"
        " --store {params.store} --pins config/lock/hub {params.source}"
        " --out {output} 2>&1 | tee {log}"


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
            lock.replace("<results>", config["results"])
            for lock in fetching.locks(PLAN, config["study"])
        ],
        store=f"{config['results']}/store/{PLAN.study.source}",
        pins=f"config/lock/{PLAN.study.source}",
    message:
        "Checking the store against its locks"
    shell:
        f"{STORE} verify {{params.locks}} --pins {{params.pins}} --store {{params.store}} 2>&1 | tee {{log}}"
