"""Measures Apollo beside its peers on the same data in the same run; a table and a JSON document, never an assertion.

`./dev bench --help` says what there is. Peers are installed in environments of their own under .bench/.
"""
