#!/usr/bin/env python3
import sys

for line in sys.stdin:
    host, method, path, status, size = line.split()
    print(f"LongValueSum:bytes\t{size}")
    print(f"LongValueMax:largest\t{size}")
    print(f"LongValueMin:smallest\t{size}")
    print(f"DoubleValueSum:kilobytes\t{int(size) / 1024}")
    print(f"DoubleValueSum:giant\t{int(size)}e3")
    print(f"DoubleValueSum:tiny\t{int(size) * 2.0**-30!r}")
    print(f"StringValueMax:last path\t{path}")
    print(f"StringValueMin:first path\t{path}")
    print(f"UniqValueCount:hosts\t{host}")
    print(f"ValueHistogram:statuses\t{status}")
    print(f"LongValueSum:{method}\t1")
