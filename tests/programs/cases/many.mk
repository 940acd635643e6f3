# Twelve objects and a recursive make.
objects := $(foreach n,1 2 3 4 5 6 7 8 9 10 11 12,out/$(n).o)
.PHONY: all sub
all: $(objects) sub
out/%.o: big.c
	mkdir -p out
	gcc -O1 -c -DN=$* -o $@ $<
sub:
	$(MAKE) -s -f $(firstword $(MAKEFILE_LIST)) nothing
nothing:
	@true
