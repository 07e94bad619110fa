"""Measures Apollo beside its peers, or beside an undisturbed run of itself; a table and a JSON document, no assertion.

README.md says what there is and what was measured last; `shuffle.py` and `artifact.py` measure one part of a worker
each and are run by themselves. Peers are installed in environments of their own under .bench/.
"""
