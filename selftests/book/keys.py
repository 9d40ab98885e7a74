#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# usage: keys.py  (from the top of the sources)
# What Documentation/troubleshooting.md says that programs and the kernel say must be in their sources: each code span of the first
# column of its tables, whose parts are separated by what is different each time.
import pathlib
import re
import sys

paths = [path for top in ("tools", "rust") for path in pathlib.Path(top).rglob("*.rs") if "target" not in path.parts]
sources = "\n".join(path.read_text() for path in [*paths, pathlib.Path("scripts/kernel-metadata")])
wrong = count = 0
for line in pathlib.Path("Documentation/troubleshooting.md").read_text().splitlines():
    if not line.startswith("| `"):
        continue
    for said in re.findall(r"`([^`]*)`", line.split("|")[1]):
        count += 1
        for part in said.split("…"):
            if part not in sources:
                print(f"# nobody says {part!r}")
                wrong += 1
if not count:
    print("# there is nothing to look for")
sys.exit(wrong != 0 or not count)
