"""Configs of other programs, turned into ours: every number is kept, or listed as having no counterpart."""
