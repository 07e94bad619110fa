"""HTTP: routes, schemas, server-sent events, OpenAPI. Translates; decides nothing."""
