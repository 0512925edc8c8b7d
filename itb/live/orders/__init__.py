"""The life of an order, without input or output: what is wanted, what was seen, what to do next."""
