# `make demo`, `make test` and `make bench` do everything, set-up included, on a Debian with git,
# make, gcc and rustup. All build with one profile, so that RocksDB is compiled once.

.PHONY: demo test bench swarm planted setup format lint unit documentation purity
.NOTPARALLEL:

CARGO_FLAGS := --release --locked

# More arguments, such as: make demo ARGS='--partners 5 --import chat.jsonl.xz'
#                      or: make bench ARGS='--rows streaming --events 10000'
ARGS ?=

demo: setup
	cargo run $(CARGO_FLAGS) --bin comity -- demo $(ARGS)

test: setup format lint unit documentation purity
	@$(call stage,all tests passed)

# What replication costs, beside floors and peers; docs/performance.md explains the rows.
bench: setup
	cargo build $(CARGO_FLAGS) --bin comity
	cargo bench --profile release --locked --bench mesh -- $(ARGS)

# Random meshes under every fault, from seeds; docs/simulation.md explains them. Both targets use
# one build of their own, with stand-ins for keys and with deliberate faults that can be switched on:
# flags of the compiler, which no other build has, and with which the node's crate does not compile.
# More arguments, such as: make swarm ARGS='--minutes 12'
SWARM := RUSTFLAGS='--cfg stand_in --cfg planted' cargo run $(CARGO_FLAGS) \
  --package comity-simulation --bin swarm --target-dir target/swarm --

swarm:
	$(SWARM) $(or $(ARGS),--seeds 400)

# The same with one deliberate fault in the machines at a time, all of which must be found.
planted:
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
	  $(AS_ROOT) apt-get update && \
	  $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive \
	    apt-get install --yes --no-install-recommends $(PACKAGES); }

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
unit: export TMPDIR := $(if $(ROOM),/dev/shm,$(or $(TMPDIR),/tmp))
unit:
	@$(call stage,tests: compiling)
	cargo test $(CARGO_FLAGS) --workspace --no-run
	@$(call stage,tests: running)
	cargo test $(CARGO_FLAGS) --workspace

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
