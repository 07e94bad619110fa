"""Recovery for real: a real coordinator, real workers, a real S3 server and real jobs, under seeded faults.

    ./dev chaos --kills 100 --seed 7

Faults are counted, and when they have stopped every job must end as it should, with the bytes that coreutils and awk
compute, and nothing left behind. The seed draws the moments of the faults; what the processes do in between is theirs,
so a seed makes a run likely, not certain, to go the same way again.
"""
