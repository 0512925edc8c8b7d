"""The laws of the house as functions, run on every part by the tests and on a user's parts by ``itb check``."""
