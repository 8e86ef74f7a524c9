"""The faults that the gate must catch, each put into data made from the sample, and who caught it.

`workspace` is where they happen, `injections` make them, `matrix` says what must catch each.
`make faults` prints the matrix as a table; gate/test_faults.py runs it one by one.
"""
