"""What a running strategy tells people, by which ways, and what they may ask and order in return."""
