# Each target does the set-up it needs; what is there already costs seconds.
SHELL := /bin/sh
BIN := .venv/bin
STAMP := .venv/.lock-$(shell sha256sum requirements.lock pyproject.toml | sha256sum | cut -c1-16)

# What is started a hundred times is compiled once, also where the environment says otherwise.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup setup-forge demo zoo sandbox sandbox-down test test-fast fuzz faults reliability soak lint bench down
help:
	@echo 'make demo       a CI host on this machine: two recipes green, one broken recipe caught'
	@echo 'make test       every check of this checkout but the long fault tests'
	@echo 'make test-fast  the checks that need neither Swarm nor forge'
	@echo 'make fuzz       every parser with at least 10,000 inputs, new ones each time'
	@echo 'make faults     attacks, deaths, signals, crowds and trouble, on the real Swarm: half an hour'
	@echo 'make reliability  docs/reliability.md from the figures of the last make faults'
	@echo 'make soak       the demo recipes again and again (COUNT=100: half an hour), the host compared before and after'
	@echo 'make zoo        every broken recipe, caught where and why it should be'
	@echo 'make sandbox    forge, Drone and bridge to try !testme on in a browser;  make sandbox-down: remove them'
	@echo 'make lint       static checks alone'
	@echo 'make bench      one cold run beside the same plan by bare Docker'
	@echo 'make setup      only the set-up;  make down: remove the proxy and the backup bot again'

$(STAMP):
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or later is needed'; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	@echo 'making the virtual environment …'
	@test -x $(BIN)/python || python3 -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f .venv/.lock-* && touch $@

setup: $(STAMP)
	@$(BIN)/python -m sandbox up

setup-forge: $(STAMP)
	@$(BIN)/python -m sandbox build-forge

demo: setup
	@$(BIN)/python -m sandbox demo

zoo: setup
	@$(BIN)/python -m sandbox zoo

sandbox: setup setup-forge
	@$(BIN)/python -m sandbox full-stack-up

sandbox-down: $(STAMP)
	@$(BIN)/python -m sandbox full-stack-down

lint: $(STAMP)
	@scripts/lint.sh

# What fails soonest comes first; runs on the Swarm share the machine's two slots, so they come one by one.
test: setup setup-forge lint test-fast
	@$(BIN)/pytest tests -n 3 -m '(forge or fuzz) and not swarm and not faults'
	@$(BIN)/pytest tests -m 'swarm and not faults'

test-fast: $(STAMP)
	@$(BIN)/pytest tests -n 4 -m 'not swarm and not forge and not fuzz and not faults'

fuzz: $(STAMP)
	@FUZZ_INPUTS=600 $(BIN)/pytest tests/adversarial/fuzz -m fuzz --durations=5

FIGURES := $(CURDIR)/.bench/figures.jsonl
ATTACKS := tests/integration/forge/test_survival.py tests/adversarial
faults: setup setup-forge
	@rm -f $(FIGURES)
	@FUZZ_INPUTS=600 CCCI_FIGURES=$(FIGURES) $(BIN)/pytest $(ATTACKS) -m 'not faults' -q
	@CCCI_FIGURES=$(FIGURES) $(BIN)/pytest tests -m faults -v --durations=15

reliability: $(STAMP)
	@$(BIN)/python -m tests.support.figures $(FIGURES) docs/reliability.md

COUNT := 100
soak: setup
	@$(BIN)/python -m sandbox soak --count $(COUNT) --file .bench/soak.jsonl; status=$$?; \
	CCCI_FIGURES=$(FIGURES) $(BIN)/python -m tests.faults.soak .bench/soak.jsonl; exit $$status

bench: setup
	@$(BIN)/python -m sandbox bench

down: $(STAMP)
	@$(BIN)/python -m sandbox down
