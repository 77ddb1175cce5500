"""What the operator says of an object, while it starts again too."""


def standing(series: str, by: str) -> str:
    """The series by these labels, whichever operator exports them. While none is ready, what was said in the last five
    minutes stands: an operator that is upgraded would else end every alert, and raise it again, or begin to wait anew.
    """
    last = f"max by ({by}) (last_over_time({series}[5m]))"
    return f"(max by ({by}) ({series}) or {last} unless on () modelfleet_operator_ready == 1)"
