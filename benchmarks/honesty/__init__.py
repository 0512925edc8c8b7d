"""Searches on markets that hold nothing to find, and on some with a known edge, for the honesty of the verdict."""
