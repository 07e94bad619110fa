"""The pure scheduling core: `decide(state, event, now) -> facts, commands` and `apply(state, fact)`.

No I/O, clock, randomness, logging or configuration. Imports the standard library and apollo_common's ids, errors,
assignment, storage port types and locations only. Never iterates a set, never uses hash().
"""
