"""Prints docs/reasons.md."""

from modelfleet.api.reasons import catalogue

if __name__ == "__main__":
    print(catalogue.page(), end="")
