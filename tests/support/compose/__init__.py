"""docker-compose.yml on a Docker Engine of our own, for tests: started, its containers hurt, removed.

The engine's images and layers are kept in the cache, so that what follows from the lock files is built once.
"""
