"""Run real jobs on real processes while the coordinator is killed again and again, and other faults strike; then run
the same jobs without faults. Prints what was done and what the checks found. Exit status 1 when a check fails; then
what was met is kept to look into."""

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from chaos import site as sites
from chaos.cluster import POOLS
from chaos.faults import KINDS
from chaos.report import Result, markdown
from chaos.run import Plan, tormented, undisturbed
from support.seaweedfs import running_s3_server


def main() -> int:
    arguments = _parsed()
    plans = [
        Plan(pool, arguments.seed, kills, arguments.minutes, arguments.faults, arguments.pace)
        for pool, kills in zip(arguments.pool, _shares(arguments.kills, len(arguments.pool)), strict=True)
    ]
    _say(f"seed {arguments.seed}")
    with running_s3_server() as server, sites.made(server, arguments.seed) as site:
        _say(f"works below {site.directory}")
        results = [asyncio.run(_result(site, plan, quiet=arguments.quiet)) for plan in plans]
        sys.stdout.write(markdown(results))
        if arguments.json is not None:
            document = [result.document() for result in results]
            arguments.json.write_text(json.dumps(document, indent=1) + "\n")
        broken = [result for result in results if result.breaches]
        for result in broken:
            _tell(result)
        if broken:
            sites.keep(site)
            sys.stdout.write(f"\nLogs and databases: {site.directory}. Again: ./dev chaos --seed {arguments.seed}\n")
    return 1 if broken else 0


async def _result(site: sites.Site, plan: Plan, *, quiet: bool) -> Result:
    _say(f"{plan.pool}: jobs until {plan.kills} kills, or for {plan.minutes:g} minutes")
    evidence = await tormented(site, plan)
    if not quiet:
        return Result(plan, evidence, None)
    _say(f"{plan.pool}: the same {len(evidence.orders)} jobs without faults")
    return Result(plan, evidence, await undisturbed(site, plan, [order.shape for order in evidence.orders]))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _tell(result: Result) -> None:
    for check, lines in result.breaches.items():
        sys.stdout.write(f"\n{result.plan.pool}: {check}\n" + "".join(f"  {line}\n" for line in lines))


def _shares(kills: int, pools: int) -> list[int]:
    return [kills // pools + (index < kills % pools) for index in range(pools)]


def _parsed() -> argparse.Namespace:
    kinds = {kind.lower().replace(" ", "-").replace("'", ""): kind for kind in KINDS}

    def chosen(text: str) -> Sequence[str]:
        unknown = [name for name in text.split(",") if name and name not in kinds]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(kinds)}")
        return tuple(kinds[name] for name in text.split(",") if name)

    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="of the coordinator, in all (default: 100)")
    parser.add_argument(
        "--seed", default=secrets.token_hex(4), help="draws moments and victims of the faults (default: a new one)"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="for each pool; then faults stop (default: 60)")
    parser.add_argument(
        "--faults",
        type=chosen,
        default=KINDS,
        metavar="KIND,...",
        help=f"besides kills (default: all): {', '.join(kinds)}",
    )
    parser.add_argument(
        "--pool",
        choices=sorted(POOLS),
        action="append",
        help="up: workers that `apollo up` starts; static: workers that the coordinator is told of (default: both)",
    )
    parser.add_argument("--pace", type=float, default=1.0, help="of --faults; 0.5: twice as often (default: 1)")
    parser.add_argument("--no-quiet", dest="quiet", action="store_false", help="leave out the same jobs without faults")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    arguments = parser.parse_args()
    arguments.pool = arguments.pool or list(POOLS)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
