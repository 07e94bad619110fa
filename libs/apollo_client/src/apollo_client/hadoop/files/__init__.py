"""What Hadoop calls a file system: files, directories and globs over file:// and s3://, hidden ones too.

`port.py` says what there is to do, `local.py` and `bucket.py` do it, `tree.py` walks and matches above both.
"""
