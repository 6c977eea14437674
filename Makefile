# make demo: label a real clip.  make test: every check, cheapest first.
# make test-web: the pages alone, in a browser.
# make dist: what is passed on (a portable program, a .deb, a wheel), on Debian 12.  make test-dist: that in bare roots, as root.
# make test-cluster: the Python package inside Ray, Daft and Spark (5 GB of packages).
# make test-reference: what Hugging Face transformers answers, against what is recorded of it (5 GB of packages).

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR

CLASSIFY := $(CARGO_TARGET_DIR)/release/classify
CLIP := samples/jumping_jacks.mp4

.PHONY: demo test test-python test-web test-cluster test-reference build packages test-packages dist test-dist

demo: build
	@echo
	@echo '$$ classify --model ucf14-lite0-lstm $(CLIP)'
	@$(CLASSIFY) --model ucf14-lite0-lstm $(CLIP)
	@echo
	@echo '$$ classify $(CLIP)'
	@$(CLASSIFY) $(CLIP)

build: packages
	cargo build --release --locked

test: test-packages
	cargo fmt --all --check
	scripts/deny.sh
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	cargo clippy --release --locked --lib --no-default-features -- -D warnings
	cargo test --release --locked --workspace
	scripts/python.sh
	scripts/cuda.sh

# The Python package alone.
test-python: test-packages
	scripts/python.sh

test-cluster:
	scripts/packages.sh cluster
	scripts/cluster.sh

# Pages in a browser, which is installed.
test-web:
	scripts/packages.sh web
	cargo test --release --locked --test annotate --test serve -- --nocapture

test-reference:
	tests/reference/transformers/check.sh $(CARGO_TARGET_DIR)/reference-venv

dist:
	scripts/dist/build.sh

test-dist:
	scripts/dist/bare_roots.sh

packages:
	@scripts/packages.sh

test-packages:
	@scripts/packages.sh web
