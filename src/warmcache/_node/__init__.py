"""Processes of a node that share one budget of a device, without a daemon."""
