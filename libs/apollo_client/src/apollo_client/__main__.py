"""`python -m apollo_client` is the apollo command."""

from apollo_client.cli import main

main()
