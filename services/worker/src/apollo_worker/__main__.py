"""`python -m apollo_worker`."""

from apollo_worker.app import main

raise SystemExit(main())
