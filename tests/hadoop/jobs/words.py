#!/usr/bin/env python3
import sys

for line in sys.stdin.buffer:
    for word in line.lower().split():
        sys.stdout.buffer.write(word.strip(b".,;:") + b"\t1\n")
