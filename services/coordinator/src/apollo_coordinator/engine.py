"""The engine: event -> core -> commands -> ports. The only place where the core and the adapters meet."""
