#!/usr/bin/env python3
import os
import sys

names = dict(line.rstrip("\n").split("\t") for line in open("table/names/statuses.tsv"))
hosts = dict(line.rstrip("\n").split("\t") for line in open("hosts.zip/hosts.tsv"))
stop = open("renamed.txt").read().split()
extra = sorted(name for name in os.listdir("folder") if not name.startswith("."))
for line in sys.stdin:
    host, _, path, status, _ = line.split()
    if path not in stop:
        print(names[status], hosts.get(host, "?"), ",".join(extra), sep="\t")
