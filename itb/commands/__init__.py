"""The commands of `itb`: each parses its options, calls one function of runs, and prints what it says."""
