# The front door: meson and ninja do the work. `make help` lists what there is.
# Variables: PREFIX and DESTDIR (install), PYTHON (tests), FUZZ_SECONDS (fuzz), JOBS (compilers at once).

PREFIX ?= /usr/local
DESTDIR ?=
# Debian's own Python: it is the one that python3-pytest and python3-boto3 belong to.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
FUZZ_SECONDS ?= 60
JOBS ?= $(shell nproc)
MESON_OPTIONS ?=

BUILD := build
ASAN := build-asan
FUZZ := build-fuzz
INSTALL := install
SHARE = $(DESTDIR)$(PREFIX)/share/hearth

.DEFAULT_GOAL := build
.PHONY: build setup run test check-fast asan fuzz bench soak format lint docs install uninstall clean help

build: $(BUILD)/build.ninja ## build/hearth (the default)
	@ninja -C $(BUILD) -j $(JOBS)

# Says what is missing, and how to get it, before meson does so in its own words.
$(BUILD)/build.ninja: | check-packages
	@meson setup --prefix $(PREFIX) $(MESON_OPTIONS) $(BUILD)

# gcc brings the sanitizers' runtimes with it; nothing more to install.
$(ASAN)/build.ninja: | check-packages
	@meson setup -Db_sanitize=address,undefined -Db_lundef=false $(MESON_OPTIONS) $(ASAN)

.PHONY: check-packages
check-packages:
	@scripts/setup --check build

setup: ## install what is missing on this machine: packages (asked once), runtimes
	@scripts/setup all

run: ## set up if needed, build, start a throw-away server with a first function in it
	@scripts/setup run
	@$(MAKE) --no-print-directory build
	@exec scripts/run-example $(BUILD)/hearth

test: ## set up if needed, build, run every test; ends with "N passed, N failed"
	@scripts/setup test
	@PATH="/usr/bin:$$PATH" $(PYTHON) scripts/test all

check-fast: ## the tests that fit into two minutes
	@PATH="/usr/bin:$$PATH" $(PYTHON) scripts/test fast

asan: ## unit tests under AddressSanitizer and UBSan
	@PATH="/usr/bin:$$PATH" $(PYTHON) scripts/test asan

fuzz: ## each fuzz target for FUZZ_SECONDS with libFuzzer (clang)
	@scripts/setup --check all
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz $(FUZZ)

bench: build ## the figures of docs/performance.md
	@scripts/setup --check all
	@$(PYTHON) bench/run.py $(BENCH_ARGS)

soak: build ## ten minutes at half load, then 500 functions with versions and aliases under 10,000 calls
	@scripts/setup --check all
	@$(PYTHON) tests/soak/soak.py $(SOAK_ARGS)
	@HEARTH_MIX=full HEARTH_BINARY=$(CURDIR)/$(BUILD)/hearth $(PYTHON) -m pytest -q tests/integration/test_leftovers.py -k many_functions

format: ## clang-format over all C
	@git ls-files -z -- 'src/*.[ch]' 'tests/*.[ch]' 'runtimes/*.[ch]' | xargs -0r clang-format -i

lint: $(BUILD)/build.ninja ## clang-format (check only), clang-tidy, shellcheck where it is installed
	@git ls-files -z -- 'src/*.[ch]' 'tests/*.[ch]' 'runtimes/*.[ch]' | xargs -0r clang-format --dry-run -Werror
	@git ls-files -z -- 'src/*.c' | xargs -0r -n 4 -P $(JOBS) clang-tidy --quiet -p $(BUILD)
	@if command -v shellcheck >/dev/null; then shellcheck scripts/setup scripts/run-example scripts/fuzz .ci/run; fi

docs: build ## write docs/configuration.md, docs/limits.md and docs/compatibility.md anew from the sources
	@$(BUILD)/hearth serve --help-markdown >docs/configuration.md.new
	@mv docs/configuration.md.new docs/configuration.md
	@$(PYTHON) scripts/limits.py >docs/limits.md.new
	@mv docs/limits.md.new docs/limits.md
	@$(PYTHON) scripts/compatibility.py --binary $(BUILD)/hearth

install: build ## into $(DESTDIR)$(PREFIX): the binary, the bootstraps, the unit, the man page
	@meson configure $(BUILD) --prefix $(PREFIX)
	@DESTDIR=$(abspath $(DESTDIR)) meson install -C $(BUILD) --quiet
	@$(INSTALL) -d $(SHARE)/apparmor $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/man/man1
	@sed 's|@PREFIX@|$(PREFIX)|g' packaging/hearth.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/hearth.service
	@sed 's|@BINARY@|$(PREFIX)/bin/hearth|g' packaging/hearth.apparmor >$(SHARE)/apparmor/hearth
	@$(INSTALL) -m 644 docs/hearth.1 $(DESTDIR)$(PREFIX)/share/man/man1/hearth.1
	@echo 'installed: $(DESTDIR)$(PREFIX)/bin/hearth; `hearth doctor` says what this machine still lacks'

uninstall: ## what install put there; data and added runtimes stay
	rm -rf $(SHARE)
	rm -f $(DESTDIR)$(PREFIX)/bin/hearth $(DESTDIR)$(PREFIX)/lib/systemd/system/hearth.service \
	    $(DESTDIR)$(PREFIX)/share/man/man1/hearth.1

clean: ## what was built here
	rm -rf $(BUILD) $(ASAN) $(FUZZ)

help: ## this list
	@echo 'make [target]:'
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14
