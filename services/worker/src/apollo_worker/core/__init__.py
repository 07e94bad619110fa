"""Pure parts of the worker: columnar types, the frame codec, merge planning. No I/O, clock or threads here."""
