# Beside and after a run: whose folder it is, what there is when variants failed, what it cost and will cost. These start no job of a study.
from edge2giant.cluster import owner


onstart:
    owner.claim(workflow.executor_plugin.name)


onsuccess:
    if workflow.executor_plugin.name == "slurm":
        owner.release()


onerror:
    shell(
        "mkdir -p logs; workflow/in-env workflow python -m edge2giant.cluster sweep --study {study} --results {results} || true;"
        " workflow/in-env workflow python -m edge2giant.cluster partial --study {study} --results {results}"
        " --out {figures}/{study}/partial 2>logs/{study}-partial.log || true".format(
            **config
        )
    )


rule partial:
    log:
        f"logs/{config['study']}/partial.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        study=config["study"],
        results=RESULTS,
        out=f"{PLAN.figures}/{config['study']}/partial",
    message:
        "Tables from the cells that exist: {params.out}"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.cluster partial --study {params.study}"
        " --results {params.results} --out {params.out} 2>&1 | tee {log}"


rule cost:
    log:
        f"logs/{config['study']}/cost.log",
    localrule: True
    conda:
        environment_file
    params:
        env="workflow",
        study=config["study"],
        batch=config["batch"],
        cluster=f"--cluster {config['cluster']}" if "cluster" in config else "",
        results=RESULTS,
        out=f"{PLAN.figures}/{config['study']}/cost",
    message:
        "Cost of study {params.study}: {params.out}.csv"
    shell:
        "workflow/in-env {params.env} python -m edge2giant.cluster cost --study {params.study} --batch {params.batch}"
        " {params.cluster} --results {params.results} --out-prefix {params.out} 2>&1 | tee {log}"
