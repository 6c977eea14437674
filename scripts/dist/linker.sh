#!/usr/bin/env bash
# Links by zig, whose libraries to link against are those of an older C library than the system's: 2.28, of 2018. Its own
# unwinder goes into the program, so that it needs no libgcc either. ZIG: the folder with cargo-zigbuild and zig.
PATH=$ZIG:$PATH exec cargo-zigbuild zig cc -- -target x86_64-linux-gnu.2.28 "$@"
