"""Deterministic simulation: seeded faults first, for safety; then none, for liveness. A seed gives the same run always.

    ./dev sim --seeds 2000

Three parts. `core_run` feeds the scheduling core with any event in any order. `engine_run` runs whole jobs on the
engine, the real commit code and memory adapters, on virtual time. `crash_run` plays one small job again and again, and
kills the coordinator at each append of its journal. What must hold stands in `checks` and, for everything that was
journaled, in `journal_rules`. `planted` holds bugs that the simulation has to find; `kept_seeds` what it did find.
"""
