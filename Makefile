# `make demo`, `make test` and `make bench` do everything, set-up included, on a Debian with git,
# make, gcc and rustup. All build with one profile, so that RocksDB is compiled once.

.PHONY: demo test bench bench-users simulate soak fuzz swarm planted setup format lint unit simulated fuzzed
.PHONY: clients page documentation purity swarm-build programs
.NOTPARALLEL:

CARGO_FLAGS := --release --locked

# More arguments, such as: make demo ARGS='--partners 5 --import chat.jsonl.xz'
#                      or: make bench ARGS='--rows streaming --events 10000'
ARGS ?=

demo: setup
	cargo run $(CARGO_FLAGS) --bin comity -- demo $(ARGS)

test: setup format lint unit clients page simulated fuzzed documentation purity
	@$(call stage,all tests passed)

# What replication costs, beside floors and peers; docs/performance.md explains the rows.
bench: setup
	cargo build $(CARGO_FLAGS) --bin comity
	cargo bench --profile release --locked --bench mesh -- $(ARGS)

# The same through what users use, beside ejabberd and Prosody on this machine; takes root. A short
# run; more by arguments, such as: make bench-users ARGS=--full
bench-users: setup
	cargo build $(CARGO_FLAGS) --bin comity
	tests/bench/run.sh --comity $(TARGET)/release/comity $(ARGS)

# How long the harness plays, in minutes; how long `make soak` does, in hours; how long every decoder
# is fed, in seconds. What fails is written to FOUND.
MINUTES ?= 2
HOURS ?= 8
SECONDS ?= 60
FOUND ?= found

# After a soak hostile clients play on two nodes for a tenth of its time.
SOAK_SECONDS = $(shell echo $$(( 360 * $(HOURS) )))

TARGET := $(or $(CARGO_TARGET_DIR),target)
SWARM := $(TARGET)/swarm/release/swarm
SIMULATE := $(TARGET)/release/simulate --swarm $(SWARM) --planted $(SWARM) --write $(FOUND)

# All that plays with faults, on all cores: prints how far it has come on standard error and one line
# of JSON in the end. docs/simulation.md explains the figures. More arguments: make simulate ARGS=...
simulate: setup programs swarm-build
	@$(SIMULATE) --minutes $(MINUTES) $(ARGS)

# The same for hours, in rounds.
soak: MINUTES = $(shell echo $$(( 60 * $(HOURS) )))
soak: simulate
	@tests/clients/fuzz_api.py $(TARGET)/release/comity --seconds $(SOAK_SECONDS)

# Changes of the corpus, fed to every decoder.
fuzz: setup programs
	@$(TARGET)/release/fuzz --seconds $(SECONDS) --write $(FOUND)/fuzz $(ARGS)

# As the tests build them, for a node's libraries depend on what is built beside them: so neither is
# compiled twice.
programs:
	@cargo build $(CARGO_FLAGS) --workspace --bins --test simulate

# Stand-ins for keys and deliberate faults that can be switched on are flags of the compiler, which no
# other build has, and with which the node's crate does not compile: so in a directory of its own.
swarm-build:
	@RUSTFLAGS='--cfg stand_in --cfg planted' cargo build $(CARGO_FLAGS) \
	  --package comity-simulation --bin swarm --target-dir $(TARGET)/swarm

# Random meshes under every fault, from seeds; docs/simulation.md explains them.
# More arguments, such as: make swarm ARGS='--minutes 12'
swarm: swarm-build
	$(SWARM) $(or $(ARGS),--seeds 400)

# The same with one deliberate fault in the machines at a time, all of which must be found.
planted: swarm-build
	$(SWARM) --planted $(ARGS)

# Says how long it has taken so far: where a test run is cut off, its output shows what took long.
BEGUN := $(shell date +%s)
stage = echo "== $$(( $$(date +%s) - $(BEGUN) )) s: $(1)"

# Installs what cargo cannot: clang and libclang, with which the bindings of RocksDB are made, a C++
# compiler for RocksDB and for the tests' file system that loses power, and the ip command, by which
# tests make hosts of their own. Asks nothing; where
# it cannot install, it says what to install.
LIBCLANG := $(foreach dir,/usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib /usr/lib64,\
  $(wildcard $(dir)/libclang.so* $(dir)/libclang-[0-9]*.so*))
PACKAGES := $(strip \
  $(if $(shell command -v c++),,g++) \
  $(if $(shell command -v clang),,clang) \
  $(if $(LIBCLANG_PATH)$(LIBCLANG),,libclang-dev) \
  $(if $(shell command -v ip),,iproute2))
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n)

setup:
	@command -v cargo >/dev/null || { \
	  echo 'cargo is missing: install Rust with rustup (https://rustup.rs)' >&2; exit 1; }
	@test -z '$(PACKAGES)' || command -v apt-get >/dev/null || { \
	  echo 'install with this system'\''s package manager: $(PACKAGES)' >&2; exit 1; }
	@test -z '$(PACKAGES)' || $(AS_ROOT) true || { \
	  echo 'run as root: apt-get install $(PACKAGES)' >&2; exit 1; }
	@test -z '$(PACKAGES)' || { \
	  $(AS_ROOT) apt-get update >&2 && \
	  $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive \
	    apt-get install --yes --no-install-recommends $(PACKAGES) >&2; }

format:
	@$(call stage,format)
	cargo fmt --all --check

lint:
	@$(call stage,lint)
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- --deny warnings

# The nodes of the tests write to memory where there is room for it. They sync every write, some
# hundred thousand in all, and what a disk does with that is no part of what they show: where power
# is cut, a file system of their own drops what was not synced.
ROOM := $(shell df --output=avail --block-size=1G /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 >= 4')
unit simulate simulated: export TMPDIR := $(if $(ROOM),/dev/shm,$(or $(TMPDIR),/tmp))
unit:
	@$(call stage,tests: compiling)
	cargo test $(CARGO_FLAGS) --workspace --no-run
	@$(call stage,tests: running)
	cargo test $(CARGO_FLAGS) --workspace

# Clients of Mattermost that others wrote, each at two partners of a demonstration; they are installed
# once, outside the tree.
CLIENT_PACKAGES := $(strip \
  $(if $(shell command -v npm),,nodejs npm) \
  $(if $(shell command -v python3),,python3) \
  $(if $(shell python3 -c 'import venv, ensurepip' 2>/dev/null && echo yes),,python3-venv))

clients: programs
	@$(call stage,clients that others wrote)
	@test -z '$(CLIENT_PACKAGES)' || { \
	  $(AS_ROOT) apt-get update >&2 && \
	  $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive \
	    apt-get install --yes --no-install-recommends $(CLIENT_PACKAGES) >&2; }
	@FUZZ_SECONDS=$(SECONDS) tests/clients/run.sh $(TARGET)/release/comity

# The page in a real browser at real nodes; docs/page.md. More arguments, such as:
# make page ARGS='--only screens --shots shots'
PAGE_PACKAGES := $(strip \
  $(if $(shell command -v npm),,nodejs npm) \
  $(if $(CHROMIUM)$(shell command -v chromium chromium-browser google-chrome),,chromium))

page: programs
	@$(call stage,the page)
	@test -z '$(PAGE_PACKAGES)' || { \
	  $(AS_ROOT) apt-get update >&2 && \
	  $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive \
	    apt-get install --yes --no-install-recommends $(PAGE_PACKAGES) >&2; }
	@tests/page/run.sh $(TARGET)/release/comity \
	  $(or $(ARGS),--only talk --only hostile --only keyboard --only peering)

# What the tests have built is run, for as long as MINUTES and SECONDS say.
simulated: programs swarm-build
	@$(call stage,simulation: $(MINUTES) minutes)
	@$(SIMULATE) --minutes $(MINUTES)

fuzzed: programs
	@$(call stage,fuzzing: $(SECONDS) seconds)
	@$(TARGET)/release/fuzz --seconds $(SECONDS) --write $(FOUND)/fuzz

documentation:
	@$(call stage,documentation)
	RUSTDOCFLAGS='--deny warnings' cargo doc $(CARGO_FLAGS) --workspace --no-deps

# The cores compute and nothing else: nothing they are built from does I/O, keeps time or draws
# random numbers from the system. (Clippy's lists in their .clippy.toml hold their own code.)
IMPURE := tokio|mio|quinn|quinn-proto|rocksdb|librocksdb-sys|socket2|getrandom|rand|fastrand|chrono|time

purity:
	@for crate in comity-crypto comity-protocol; do \
	  impure=$$(cargo tree --locked --package $$crate --edges normal --prefix none --format '{p}' \
	    | grep -E '^($(IMPURE)) ' | sort -u); \
	  test -z "$$impure" || { printf '%s is not pure:\n%s\n' "$$crate" "$$impure" >&2; exit 1; }; \
	  echo "$$crate is pure"; \
	done
	@! grep -rnE 'cfg[= "]+(planted|stand_in)' .cargo/config.toml build.rs */build.rs 2>/dev/null \
	  || { echo 'deliberate faults or stand-in keys are switched on for all builds' >&2; exit 1; }
	@for flag in planted stand_in; do \
	  rustc --edition 2024 --crate-type lib --cfg $$flag --emit metadata --out-dir /tmp \
	    node/src/lib.rs 2>&1 | grep -q 'has neither deliberate faults nor stand-in keys' \
	    || { echo "the node's crate compiles with --cfg $$flag" >&2; exit 1; }; \
	  echo "the node's crate refuses --cfg $$flag"; \
	done
