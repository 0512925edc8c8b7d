"""The write-ahead journal: what was decided and seen, on the disk before anything is sent."""
