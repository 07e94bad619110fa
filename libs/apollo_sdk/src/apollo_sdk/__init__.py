"""Write Apollo mappers and reducers in Python. Imports the standard library only."""
