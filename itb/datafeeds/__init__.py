"""Where bars come from: the store, files, exchanges, archives and the synthetic market."""
