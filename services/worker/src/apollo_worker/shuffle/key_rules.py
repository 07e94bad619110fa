"""What a job says of its keys: what separates their fields, which order they have, which of them one group."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from apollo_common.errors import InvalidKeyOrder
from apollo_common.key_parts import keeping_groups, parse_key_parts
from apollo_common.timings import Step
from apollo_proto.apollo import v1
from apollo_worker.core.columns import PairBatch
from apollo_worker.core.line_fields import TAB_SEPARATED
from apollo_worker.shuffle.combine import Combiner
from apollo_worker.shuffle.group import WHOLE_KEYS, Grouping
from apollo_worker.shuffle.key_order import CombinerOfPrefixed, KeyOrder, PartitionerOfPrefixed, without_prefixes
from apollo_worker.shuffle.key_ranges import RANGE, KeyRanges
from apollo_worker.shuffle.partition import Partitioner, parse_partitioner


@dataclass(frozen=True, slots=True)
class KeyRules:
    """`order` is None for ungrouped keys in the order of their bytes, which are shuffled as they are."""

    separator: bytes = TAB_SEPARATED.separator
    order: KeyOrder | None = None
    grouping: Grouping = WHOLE_KEYS

    def partitioner(self, name: str, splitters: Sequence[bytes] = ()) -> Partitioner | KeyRanges:
        """The one that a job names, for keys as they are shuffled, as `splitters` are. InvalidPartitioner."""
        if name == RANGE:
            return KeyRanges(tuple(splitters))
        partitioner = parse_partitioner(name, self.separator)
        return partitioner if self.order is None else PartitionerOfPrefixed(partitioner, self.order)

    def combiner(self, combiner: Combiner | None) -> Combiner | None:
        """The same, for keys as they are shuffled."""
        return combiner if combiner is None or self.order is None else CombinerOfPrefixed(combiner, self.order)

    def restored(self, pairs: AsyncGenerator[PairBatch, None]) -> AsyncGenerator[PairBatch, None]:
        """Pairs with keys as they were emitted, of those that were shuffled."""
        return pairs if self.order is None else without_prefixes(pairs, self.order, Step.MERGE)


def key_rules(rules: v1.KeyRules | None) -> KeyRules:
    """InvalidKeyOrder."""
    if rules is None:
        return KeyRules()
    separator = rules.separator.encode() or TAB_SEPARATED.separator
    try:
        parts = parse_key_parts(rules.order) if rules.order else ()
        if rules.group_fields:
            parts = keeping_groups(parts, rules.group_fields)
    except ValueError as error:
        raise InvalidKeyOrder(f"keyOrder {rules.order[:80]!r}: {error}") from None
    order = KeyOrder(parts, separator) if parts else None
    return KeyRules(separator, order, Grouping(rules.group_fields, separator))
