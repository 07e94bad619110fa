"""What a program may reach: the Landlock ruleset and the seccomp filter that the worker makes for it.

Nothing is restricted here: the launcher puts both on, between fork and exec. Directories that are the
programs' alone are emptied behind them.
"""
