"""Who is raced, a file each: how to get it ready, its version, its command line. Nothing here measures."""
