"""Apollo's counters, grouped, named and printed as Hadoop prints those of a job."""

from collections.abc import Mapping

Counters = Mapping[str, Mapping[str, int]]

_BUILT_IN = "apollo"
_FRAMEWORK = (
    ("Map input records", "input_records"),
    ("Map output records", "map_output_records"),
    ("Combine output records", "combine_output_records"),
    ("Reduce input groups", "reduce_input_groups"),
    ("Reduce shuffle bytes", "shuffle_bytes"),
    ("Reduce output records", "output_records"),
    ("Spilled Records", "spilled_records"),
)
_MAP_ONLY = frozenset({"Map input records", "Map output records"})


def counter_lines(counters: Counters, *, reducers: int) -> list[str]:
    """`Counters: N` and a line for each group and counter; a program's own groups stand between Hadoop's, as there."""
    own = counters.get(_BUILT_IN, {})
    framework = {shown: own.get(name, 0) for shown, name in _FRAMEWORK if reducers or shown in _MAP_ONLY}
    if not reducers:
        framework["Map output records"] = own.get("output_records", 0)
    groups: dict[str, Mapping[str, int]] = {"Map-Reduce Framework": framework}
    groups |= {group: counters[group] for group in sorted(counters) if group != _BUILT_IN}
    groups["File Input Format Counters "] = {"Bytes Read": own.get("input_bytes", 0)}
    groups["File Output Format Counters "] = {"Bytes Written": own.get("output_bytes", 0)}
    lines = [f"Counters: {sum(map(len, groups.values()))}"]
    for group, values in groups.items():
        lines.append(f"\t{group}")
        lines += [f"\t\t{name}={value}" for name, value in sorted(values.items())]
    return lines
