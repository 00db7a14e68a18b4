"""What the product does, one file a use case, over ports; flows, commands and replays call these."""
