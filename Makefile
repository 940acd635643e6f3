# The door. What is behind it: Meson, ninja, and scripts/.
PREFIX ?= /usr/local

.PHONY: all setup check format install clean

all: setup
	@scripts/build build

setup:
	@scripts/setup

check: setup
	@scripts/check

format: setup
	@scripts/format

install: setup
	@scripts/build build --prefix="$(abspath $(PREFIX))"
	@meson install -C build --no-rebuild --quiet

clean:
	rm -rf build build-check
