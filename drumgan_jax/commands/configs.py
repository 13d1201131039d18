"""drumgan configs [NAME]

Lists the configs that --config takes by name, with their variants, the hardware these are sized for, and their scores.
With a NAME, or the path of your own config file, prints its full description.
"""

import inspect
from collections.abc import Mapping, Sequence

from drumgan_jax.commands.config_files import find_module, names
from drumgan_jax.configs.defaults import Variant
from drumgan_jax.core.errors import BadInput

# The name of a config is a positional argument.
POSITIONAL = True


def main(argv: Sequence[str]) -> None:
    """List all configs, or describe one; see the module's docstring."""
    match list(argv[1:]):
        case []:
            print(overview())
        case [name]:
            print(description(name))
        case _:
            raise BadInput("several configs were given; write `drumgan configs`, or `drumgan configs NAME`.")


def overview() -> str:
    """Each config of the package with its variants; variants for rows of a paper's table are only counted."""
    parts = []
    for name in names():
        module = find_module(name)
        chief = {variant: about for variant, about in module.VARIANTS.items() if "-" not in variant}
        lines = [f"{name}: {inspect.getdoc(module)}".splitlines()[0], *variant_lines(chief)]
        if others := len(module.VARIANTS) - len(chief):
            lines.append(f"  and {others} more: drumgan configs {name}")
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, "--config=NAME:VARIANT takes any of them; drumgan configs NAME describes one."])


def description(name: str) -> str:
    """The docstring of one config, and its variants if it lists them."""
    module = find_module(name.partition(":")[0])
    lines = variant_lines(getattr(module, "VARIANTS", {}))
    return "\n".join([inspect.getdoc(module) or name, *(["", "Variants:", *lines] if lines else [])])


def variant_lines(variants: Mapping[str, Variant]) -> list[str]:
    """One line per variant: its name, hardware and score, in columns."""
    names_width = max(map(len, variants), default=0)
    hardware_width = max((len(one.hardware) for one in variants.values()), default=0)
    return [f"  {name:<{names_width}}  {one.hardware:<{hardware_width}}  {one.score}" for name, one in variants.items()]
