"""The student: its network, loss, configuration and export."""
