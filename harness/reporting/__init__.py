"""From the events of a run to its level, verdict and reports; nothing here touches Docker."""
