"""HTTP: routes, schemas, server-sent events, OpenAPI. Translates; decides nothing.

`application.make_api` builds the aiohttp application over the service ports, `server.ApiServer` listens.
"""
