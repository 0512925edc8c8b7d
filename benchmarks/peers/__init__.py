"""One engine a file, each run in a process of its own on the same arrays: see :mod:`benchmarks.peers.child`."""
