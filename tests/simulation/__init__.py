"""Deterministic simulation: seeded faults first, for safety; then none, for liveness. A seed gives the same run always.

    ./dev sim --seeds 2000

`core_run` feeds the scheduling core with any event in any order; `engine_run` runs whole jobs on the engine with memory
adapters and virtual time, and compares what was published with what one process computes.
"""
