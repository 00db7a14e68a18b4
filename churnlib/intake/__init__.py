"""From a delivered file to accepted and quarantined rows."""
