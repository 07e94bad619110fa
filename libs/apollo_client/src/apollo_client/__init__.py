"""The REST client, the apollo command and the embedded local mode.

Importing this package imports nothing else: the command has to start fast.
"""

__version__ = "0.1.0"
