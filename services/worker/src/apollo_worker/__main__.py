"""`python -m apollo_worker`."""

from apollo_worker.entry import main

raise SystemExit(main())
