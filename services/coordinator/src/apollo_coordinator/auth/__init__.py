"""Who shows a bearer token: a file of the operator's, a token of the operator's, the cluster's own accounts.

Each adapter is an `Authenticator`; none decides what a role may do.
"""
