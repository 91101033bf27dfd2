# Every target makes the environment it needs, in .venv, and installs nothing a second time.

PYTHON ?= python3
PYTHON311 ?= python3.11
VENV ?= .venv
RUN = $(VENV)/bin/python
# What make demo segments at its end.
TOTALSEGMENTATOR = TotalSegmentator-2.4.0
EXAMPLE = $(VENV)/example/example_ct.nii.gz
# Whole files go to a process, in the order that tests/running.py gives them.
TWO_PROCESSES = --numprocesses=2 --dist=loadfile --no-loadscope-reorder

.PHONY: demo test test-slow test-docs test-addons lint bench bench-convert bench-pipeline bench-train bench-predict bench-evaluate bench-accuracy results reference site pictures help clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ :/'

demo: $(VENV)/.app $(EXAMPLE)  ## the whole line on phantoms, and a real scan, into demo/ (minutes)
	$(RUN) -m kits_tf.demo --flagfile=configs/smoke.flags --output_dir=demo --scan=$(EXAMPLE)

test: lint  ## ruff, mypy, and the tests that are not slow, in two processes
	$(RUN) -m pytest $(TWO_PROCESSES) --durations=15

test-slow: $(VENV)/.dev  ## the slow tests
	$(RUN) -m pytest $(TWO_PROCESSES) --durations=15 -m slow --hypothesis-profile=thorough

test-docs: $(VENV)/.dev  ## the command lines of all documents, each page's in their order
	$(RUN) -m pytest --durations=15 -m docs

test-addons: .venv-addons/.installed  ## our ops beside tensorflow-addons, which needs Python 3.11: PYTHON311=python3.11
	PYTHONPATH=. .venv-addons/bin/python -m pytest -c /dev/null --rootdir=. -p no:cacheprovider --disable-warnings tests_addons

lint: $(VENV)/.dev  ## ruff and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(VENV)/.bench  ## Dice of label round trips; DATA_DIR=folder of KiTS19 cases, CASES=0-59
	$(RUN) benchmarks/label_round_trip.py --data_dir=$(DATA_DIR) --cases=$(or $(CASES),0-59)

bench-convert: $(VENV)/.bench .venv-peers/.installed  ## cases a minute beside peers; DATA_DIR=folder of KiTS19 cases, CASES=0-19
	$(RUN) benchmarks/convert.py --data_dir=$(DATA_DIR) --cases=$(or $(CASES),0-19)

bench-pipeline: $(VENV)/.bench .venv-peers/.installed  ## warps and patches a second beside peers; DATA_DIR=folder of KiTS19 cases, CASES=0-15
	$(RUN) benchmarks/pipeline.py --data_dir=$(DATA_DIR) --cases=$(or $(CASES),0-15) --work_dir=$(or $(WORK_DIR),bench-work)

bench-train: $(VENV)/.bench .venv-peers/.installed  ## training step and inference beside PyTorch
	$(RUN) benchmarks/train.py

bench-predict: $(VENV)/.bench .venv-peers/.installed  ## a scan's file to its mask's beside peers; DATA_DIR=folder of KiTS19 cases, CASES=61,0,151
	$(RUN) benchmarks/predict.py --data_dir=$(DATA_DIR) --cases=$(or $(CASES),61,0,151)

bench-evaluate: $(VENV)/.bench .venv-peers/.installed  ## scores beside MONAI's; DATA_DIR=folder of KiTS19 cases, CASES=0-29
	$(RUN) benchmarks/evaluate.py --data_dir=$(DATA_DIR) --cases=$(or $(CASES),0-29)

bench-accuracy: $(VENV)/.bench .venv-peers/.installed  ## an hour of training beside MONAI; RECORDS_DIR=records of configs/body.flags
	$(RUN) benchmarks/accuracy.py --records_dir=$(RECORDS_DIR) --work_dir=$(or $(WORK_DIR),bench-work/accuracy) --minutes=$(or $(MINUTES),60)

results: $(VENV)/.report  ## docs/results.md's tables, in hours; stopped, it goes on. DATA_DIR=folder of KiTS19 cases 0 to 179, NOTE="simulated" for the reports
	$(RUN) benchmarks/results.py --data_dir=$(DATA_DIR) --work_dir=$(or $(WORK_DIR),results-work) --data_note="$(NOTE)"

reference: $(VENV)/.dev  ## docs/flags.md, and the reference in docs/api.md, out of the code
	$(RUN) docs/reference.py

site: $(VENV)/.dev  ## the documents as a site, into site/
	$(RUN) -m mkdocs build --strict --quiet

pictures: $(VENV)/.dev  ## README's pictures, out of demo/
	PYTHONPATH=tests $(RUN) docs/pictures.py demo $(EXAMPLE)

clean:  ## remove the environments and the demo
	rm -rf $(VENV) .venv-addons .venv-peers demo site

# One stamp an extra: it is newer than setup.py once the extra is installed.
$(VENV)/.%: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "kits_tf[$*] and what it needs are installed in $(VENV): a few minutes the first time"
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# A real scan of the abdomen: it comes with the source of TotalSegmentator, 8 MB, under Apache-2.0.
$(EXAMPLE): | $(VENV)/bin/python
	@echo "a real scan is fetched out of the source of $(TOTALSEGMENTATOR), which is under Apache-2.0"
	@mkdir -p $(dir $@)
	$(RUN) -m pip download --quiet --disable-pip-version-check --no-deps --no-binary=TotalSegmentator --dest=$(dir $@) $(subst -,==,$(TOTALSEGMENTATOR)) \
	  || (echo "error: expected a network to fetch it; make demo EXAMPLE= leaves it out" >&2; exit 1)
	tar -xzf $(dir $@)$(TOTALSEGMENTATOR).tar.gz -C $(dir $@) --strip-components=3 $(TOTALSEGMENTATOR)/tests/reference_files/$(notdir $@)
	@rm $(dir $@)$(TOTALSEGMENTATOR).tar.gz

.venv-peers/.installed: benchmarks/peers/requirements.txt
	@$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.venv-addons/.installed: tests_addons/requirements.txt
	@$(PYTHON311) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || (echo "error: make test-addons" \
	  "needs Python 3.11 for tensorflow-addons, which nothing newer runs: make PYTHON311=/path/to/python3.11 test-addons" >&2; exit 1)
	@$(PYTHON311) -m venv .venv-addons || (rm -rf .venv-addons; exit 1)
	.venv-addons/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 14) else \
	  f"kits_tf needs Python 3.10 to 3.13, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV) || (rm -rf $(VENV); echo "error: expected Python's venv module; on Debian: apt install python3-venv" >&2; exit 1)
