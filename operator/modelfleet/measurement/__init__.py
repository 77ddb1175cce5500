"""From the counters of each node to figures that can be compared: no gate and no drift here."""
