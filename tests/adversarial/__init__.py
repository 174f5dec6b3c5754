"""What could come out green and must not, and what could leave a run and must not."""
