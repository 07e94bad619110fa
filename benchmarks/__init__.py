"""Measures Apollo beside its peers on the same data in the same run; a table and a JSON document, never an assertion.

`./dev bench --help` says what there is; `shuffle.py` and `artifact.py` measure one part of a worker each and are run by
themselves. Peers are installed in environments of their own under .bench/.
"""
