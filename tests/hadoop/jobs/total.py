#!/usr/bin/env python3
import sys
from itertools import groupby

pairs = (line.rstrip(b"\n").split(b"\t") for line in sys.stdin.buffer)
for word, group in groupby(pairs, key=lambda pair: pair[0]):
    sys.stdout.buffer.write(word + b"\t%d\n" % sum(int(count) for _, count in group))
