"""The engine: event -> core -> journal -> commands -> ports. The only place where the core and the adapters meet.

Everything here runs on one event loop. Nothing here decides what a job needs next; the core does.
"""

from apollo_coordinator.engine.engine import Engine
from apollo_coordinator.engine.ports import EnginePorts
from apollo_coordinator.engine.settings import EngineSettings

__all__ = ["Engine", "EnginePorts", "EngineSettings"]
