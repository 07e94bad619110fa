"""Users: each submits one job after the other under an idempotency key, follows it to its end, and is patient."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from apollo_client.errors import CoordinatorUnreachable, NotACoordinator, RequestRefused
from apollo_client.rest import Document, RestClient
from chaos.shapes import PROGRAMS, SHAPES, Shape
from chaos.site import Site

CUSTOMERS = 4
STOP_AFTER_SECONDS = (0.5, 4.0)

T = TypeVar("T")


@dataclass(slots=True)
class Order:
    """A job as its user knows it."""

    shape: Shape
    output: str
    key: str
    job: str = ""  # once it was accepted
    event_ids: list[int] = field(default_factory=list)
    told_end: str = ""  # the status that the last event named
    refused: str = ""  # what an answer said that no user should get


def in_turn(seed: str) -> Iterator[Shape]:
    """All shapes, again and again, each time in another order."""
    draw = random.Random(f"{seed}/shapes")
    while True:
        yield from draw.sample(SHAPES, len(SHAPES))


async def serve(
    site: Site, url: str, prefix: str, shapes: Iterator[Shape], enough: Callable[[], bool], orders: list[Order]
) -> None:
    """Keep CUSTOMERS jobs going until it is enough, or the shapes are exhausted, and see the last ones to their end."""
    numbers = count()

    async def customer() -> None:
        for shape in shapes:
            number = next(numbers)
            order = Order(shape, output=f"{prefix}-{number:03d}", key=f"{prefix}-{number}")
            orders.append(order)
            try:
                await _see_through(site, url, order)
            except (RequestRefused, NotACoordinator) as error:
                order.refused = str(error)
            if enough():
                return

    async with asyncio.TaskGroup() as customers:
        for _ in range(CUSTOMERS):
            customers.create_task(customer())


async def _see_through(site: Site, url: str, order: Order) -> None:
    shape = order.shape
    if shape.old_output:
        await asyncio.to_thread(site.place_old_output, shape, order.output)
    async with RestClient(url) as client:
        for program in shape.programs:
            path = PROGRAMS / program
            await _patiently(lambda path=path: client.upload(path))
        body = site.body(shape, order.output)
        submitted = await _patiently(lambda: client.submit(body, idempotency_key=order.key))
        order.job = submitted["job"]["id"]
        if shape.ends == "stopped":
            await asyncio.sleep(random.Random(order.key).uniform(*STOP_AFTER_SECONDS))
            await _patiently(lambda: client.stop(order.job))
        await _patiently(lambda: _listen(client, order))


async def _listen(client: RestClient, order: Order) -> None:
    after = max(order.event_ids, default=0)
    async for event in client.events(order.job, after=after):
        if event.id:
            order.event_ids.append(event.id)
        if event.kind == "job-ended":
            order.told_end = event.body["status"]


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call, as it is, for as long as nobody answers."""
    while True:
        try:
            return await call()
        except CoordinatorUnreachable:
            continue


@dataclass(frozen=True, slots=True)
class Story:
    """What the coordinator says of a job when all is over."""

    job: Document
    tasks: list[Document]
    attempts: dict[str, list[Document]]  # by task id


async def tell(url: str) -> dict[str, Story]:
    """Every job that the coordinator knows, by its id."""
    stories = {}
    async with RestClient(url) as client:
        async for job in client.jobs():
            tasks = [task async for task in client.tasks(job["id"])]
            attempts = {task["id"]: [attempt async for attempt in client.attempts(task["id"])] for task in tasks}
            stories[job["id"]] = Story(job, tasks, attempts)
    return stories
