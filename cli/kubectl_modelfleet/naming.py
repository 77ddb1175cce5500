"""Names as arguments: one that is empty is a variable of a script that was not set."""

import click


class NameType(click.ParamType[str]):
    """A name that is not empty. Nothing is written, and nothing waited for, under a name that nobody has given."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name; a click error where there is none."""
        name = str(value)
        if not name.strip():
            self.fail("it is empty: is the variable set that should have it?", param, ctx)
        return name


NAME = NameType()
