"""Whether a challenger may take over: comparison, gates, approvals. Pure."""
