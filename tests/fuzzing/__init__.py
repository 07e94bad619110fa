"""`./dev fuzz`: the random tests of every package and SDK, for as long as one likes."""
