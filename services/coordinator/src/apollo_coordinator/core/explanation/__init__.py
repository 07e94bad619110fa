"""Why a job took as long as it did: `seen` is what its tasks tell, `attribution` splits its time up by cause,
`findings` puts the causes into words. Pure: no I/O, no clock.
"""
