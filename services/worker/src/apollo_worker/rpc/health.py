"""The standard gRPC health service: a worker that answers is serving."""

import asyncio
from collections.abc import AsyncIterator

from grpclib import GRPCError
from grpclib.const import Status

from apollo_proto.grpc.health.v1 import (
    HealthBase,
    HealthCheckRequest,
    HealthCheckResponse,
    HealthCheckResponseServingStatus,
)

_SERVICES = ("", "apollo.v1.Worker")


class HealthService(HealthBase):
    """`Watch` holds its stream open until the worker ends: there is no state between serving and gone."""

    async def check(self, message: HealthCheckRequest) -> HealthCheckResponse:
        if message.service not in _SERVICES:
            raise GRPCError(Status.NOT_FOUND, f"no service {message.service!r} here")
        return HealthCheckResponse(status=HealthCheckResponseServingStatus.SERVING)

    async def watch(self, message: HealthCheckRequest) -> AsyncIterator[HealthCheckResponse]:
        known = message.service in _SERVICES
        status = HealthCheckResponseServingStatus
        yield HealthCheckResponse(status=status.SERVING if known else status.SERVICE_UNKNOWN)
        await asyncio.Event().wait()
