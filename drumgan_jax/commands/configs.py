"""drumgan configs [NAME]

Lists the configs that --config takes by name: what each is, its variants, the hardware that they are sized for, and
what was measured of them. With a NAME, or the path of a config file of one's own, tells all that the file says.
"""

import inspect
from collections.abc import Mapping, Sequence

from drumgan_jax.commands.config_files import find_module, names
from drumgan_jax.configs.defaults import Variant
from drumgan_jax.core.errors import BadInput

# The verb's words are not flags.
POSITIONAL = True


def main(argv: Sequence[str]) -> None:
    """List all, or tell of one; see the module's docstring."""
    match list(argv[1:]):
        case []:
            print(overview())
        case [name]:
            print(description(name))
        case _:
            raise BadInput("say `drumgan configs`, or `drumgan configs` and the name of one.")


def overview() -> str:
    """Every config of the package with its variants, those of rows of a paper's table counted only."""
    parts = []
    for name in names():
        module = find_module(name)
        chief = {variant: about for variant, about in module.VARIANTS.items() if "-" not in variant}
        lines = [f"{name}: {inspect.getdoc(module)}".splitlines()[0], *variant_lines(chief)]
        if others := len(module.VARIANTS) - len(chief):
            lines.append(f"  and {others} more: drumgan configs {name}")
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, "--config=NAME:VARIANT takes any of them; drumgan configs NAME tells more."])


def description(name: str) -> str:
    """The docstring of one config, and all of its variants where it lists them."""
    module = find_module(name.partition(":")[0])
    lines = variant_lines(getattr(module, "VARIANTS", {}))
    return "\n".join([inspect.getdoc(module) or name, *(["", "Variants:", *lines] if lines else [])])


def variant_lines(variants: Mapping[str, Variant]) -> list[str]:
    """A line a variant: its name, hardware and score, in columns."""
    names_width = max(map(len, variants), default=0)
    hardware_width = max((len(one.hardware) for one in variants.values()), default=0)
    return [f"  {name:<{names_width}}  {one.hardware:<{hardware_width}}  {one.score}" for name, one in variants.items()]
