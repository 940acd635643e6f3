# The door. What is behind it: Meson, ninja, and scripts/.
PREFIX ?= /usr/local

.PHONY: all setup demo check soak models check-programs bench bench-swap tidy format install clean

all: setup
	@scripts/build build

setup:
	@scripts/setup

demo: all
	@scripts/demo

check: setup
	@scripts/check

soak: setup
	@scripts/soak

models: setup
	@scripts/models

check-programs:
	@scripts/setup programs
	@scripts/check-programs

fidelity: setup
	@scripts/fidelity

bench: all
	@scripts/bench

bench-swap: all
	@scripts/bench-swap

tidy:
	@scripts/setup tidy
	@scripts/tidy

format: setup
	@scripts/format

install: setup
	@scripts/build build --prefix="$(abspath $(PREFIX))"
	@meson install -C build --no-rebuild --quiet

clean:
	rm -rf build build-check
