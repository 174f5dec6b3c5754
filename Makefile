# Each target does the set-up it needs; a set-up that is complete takes seconds.
SHELL := /bin/sh
BIN := .venv/bin
STAMP := .venv/.lock-$(shell sha256sum requirements.lock pyproject.toml | sha256sum | cut -c1-16)

# Tests start Python hundreds of times: let it write its bytecode, also where the environment forbids it.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup setup-forge demo zoo sandbox sandbox-down test test-fast fuzz faults reliability soak lint bench down
help:
	@echo 'make demo         set up a CI host on this machine; two recipes pass, a broken one is caught'
	@echo 'make test         all tests and checks except the long fault tests'
	@echo 'make test-fast    the tests that need neither Swarm nor forge'
	@echo 'make lint         the static checks'
	@echo 'make sandbox      start Gitea, Drone and the bridge, to try !testme in a browser'
	@echo 'make sandbox-down stop and remove them'
	@echo 'make zoo          run all broken recipes; each must be caught at its stage and for its reason'
	@echo 'make bench        compare the time of a cold run with that of the same steps in plain Docker'
	@echo 'make soak         run the demo recipes COUNT=100 times (half an hour) and report leaks'
	@echo 'make fuzz         random input to every parser, at least 10,000 inputs'
	@echo 'make faults       attacks, killed processes, full disks and more on the real Swarm (half an hour)'
	@echo 'make reliability  write the figures of the last make faults into docs/reliability.md'
	@echo 'make setup        the set-up alone'
	@echo 'make down         remove proxy and backup bot'

$(STAMP):
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or later is needed'; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	@echo 'creating the virtual environment …'
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

# Fast tests first. Runs on the Swarm share the machine's two slots, so those tests run one by one.
test: setup setup-forge lint test-fast
	@$(BIN)/pytest tests -n 3 -m '(forge or fuzz) and not swarm and not faults'
	@$(BIN)/pytest tests -m 'swarm and not faults'

test-fast: $(STAMP)
	@$(BIN)/pytest tests -n 4 -m 'not swarm and not forge and not fuzz and not faults'

fuzz: $(STAMP)
	@FUZZ_INPUTS=600 $(BIN)/pytest tests/adversarial/fuzz -m fuzz --durations=5

FIGURES := $(CURDIR)/.bench/figures.jsonl
ATTACKS := tests/integration/forge/test_survival.py tests/integration/forge/test_service.py tests/adversarial
faults: setup setup-forge
	@rm -f $(FIGURES)
	@FUZZ_INPUTS=600 CCCI_FIGURES=$(FIGURES) $(BIN)/pytest $(ATTACKS) -m 'not faults' -q
	@CCCI_FIGURES=$(FIGURES) $(BIN)/pytest tests -m faults -v --durations=15; exit_code=$$?; \
	$(BIN)/python -m tests.faults.reliability table $(FIGURES) > .bench/reliability.md; exit $$exit_code

reliability: $(STAMP)
	@$(BIN)/python -m tests.faults.reliability document $(FIGURES) docs/reliability.md

COUNT := 100
soak: setup
	@$(BIN)/python -m sandbox soak --count $(COUNT) --file .bench/soak.jsonl; exit_code=$$?; \
	CCCI_FIGURES=$(FIGURES) $(BIN)/python -m tests.faults.soak .bench/soak.jsonl; exit $$exit_code

bench: setup
	@$(BIN)/python -m sandbox bench

down: $(STAMP)
	@$(BIN)/python -m sandbox down
