"""Adds up the numbers of each word; the lines come sorted."""

import sys
from itertools import groupby
from operator import itemgetter

pairs = (line.rstrip(b"\n").split(b"\t") for line in sys.stdin.buffer)
for word, group in groupby(pairs, itemgetter(0)):
    sys.stdout.buffer.write(b"%s\t%d\n" % (word, sum(int(count) for _, count in group)))
