"""What moved, what matured, and what to do about it. Pure."""
