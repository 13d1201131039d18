"""The `drumgan` command and its verbs."""

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from absl import app, flags, logging

from drumgan_jax.core.disks import is_disk_full
from drumgan_jax.core.errors import BadInput, brief, shown
from drumgan_jax.core.host_log import VARIABLE, run_logged
from drumgan_jax.core.large_pages import restart_with_large_pages
from drumgan_jax.core.places import NotReached, place

# A verb's module defines its flags on import and has a `main(argv)`; if the module sets POSITIONAL, argv may hold
# positional arguments. Modules are imported by name when needed, so a verb pays only for its own imports.
VERBS = {
    "configs": ("drumgan_jax.commands.configs", "list the configs: their variants, hardware and scores"),
    "prepare": ("drumgan_jax.commands.prepare", "turn folders of audio into a data set of TFRecord shards"),
    "label": ("drumgan_jax.commands.label", "write class probabilities beside the examples of a data set"),
    "plan": ("drumgan_jax.commands.plan", "say what a run needs of chips that are not here: memory, time and cost"),
    "train": ("drumgan_jax.commands.train", "train a config on a data set, or resume a stopped run"),
    "launch": ("drumgan_jax.launch.command", "start a training on a cluster, or as several processes here"),
    "sweep": ("drumgan_jax.launch.sweeps.command", "run many trainings or measurements, and compare them in one table"),
    "fit": ("drumgan_jax.commands.fit", "fit a config without training: principal components, or a judge of classes"),
    "generate": ("drumgan_jax.commands.generate", "make sounds with a trained run, or the packaged model"),
    "encode": ("drumgan_jax.commands.encode", "find the latents of recordings, and reconstruct the recordings"),
    "interpolate": ("drumgan_jax.commands.interpolate", "make sounds that lead from one sound to another"),
    "explore": ("drumgan_jax.commands.explore", "show how the components of the latent space change a sound"),
    "evaluate": ("drumgan_jax.commands.evaluate", "measure a run, or compare a folder of audio with another"),
    "compare": ("drumgan_jax.commands.compare", "compare the evaluations of several runs"),
    "check": ("drumgan_jax.commands.check", "read all of a run, data set or packed file, and say what is not sound"),
    "weights": ("drumgan_jax.commands.weights", "list and fetch the published weights that metrics use"),
    "pack": ("drumgan_jax.commands.pack", "write a trained classifier, vocoder or GAN as one file"),
}


def command() -> None:
    """`main` as a process of its own, whose output is kept and whose memory is arranged first."""
    if folder := os.environ.get(VARIABLE):
        sys.exit(run_logged([sys.executable, *sys.orig_argv[1:]], place(folder)))
    if sys.argv[1:2] == ["train"]:
        restart_with_large_pages()
    main()


def main() -> None:
    """Run the verb named on the command line; bad input ends with one sentence and status 2."""
    verb, arguments = (sys.argv[1] if len(sys.argv) > 1 else "--help"), sys.argv[2:]
    if verb in ("--help", "-h", "help"):
        print(overview())
        return
    if verb not in VERBS:
        sys.exit(f"drumgan: there is no verb {shown(verb)}; the verbs are {', '.join(VERBS)}.")
    try:
        module = importlib.import_module(VERBS[verb][0])
        app.run(module.main, argv=[f"drumgan {verb}", *arguments], flags_parser=_parser(module))
    except BadInput as problem:
        print(f"drumgan {verb}: {problem}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # As by `| head`; the status is that of a program that the signal ended. Nothing is flushed to the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except NotReached as problem:
        # As a host of a run that has lost another.
        print(f"drumgan {verb}: a bucket does not answer ({brief(str(problem))}); run it again.", file=sys.stderr)
        sys.exit(75)
    except Exception as problem:
        # Any verb writes, in many places and through many libraries.
        if not is_disk_full(problem):
            raise
        place = getattr(problem, "filename", None)
        where = f" ({brief(place)})" if isinstance(place, (str, os.PathLike)) else ""
        print(
            f"drumgan {verb}: the disk is full{where}; make room, or give another place, and run the same command"
            " again.",
            file=sys.stderr,
        )
        sys.exit(2)


def overview() -> str:
    """The text of `drumgan --help`: each verb with its description."""
    lines = [f"  {verb:<11} {line}" for verb, (_, line) in VERBS.items()]
    return "\n".join(["usage: drumgan VERB --flag=value ...", "", *lines, "", "drumgan VERB --help lists its flags."])


def _parser(module: ModuleType) -> Callable[[Sequence[str]], list[str]]:
    """A flag parser that turns absl's errors into one sentence and shows only the help of this verb."""

    def parse(argv: Sequence[str]) -> list[str]:
        if any(argument in ("--help", "-h", "-help") for argument in argv[1:]):
            print(module.__doc__)
            print(flags.FLAGS.module_help(module))
            sys.exit(0)
        try:
            rest = flags.FLAGS(list(argv))
        except (flags.Error, ValueError, TypeError, AttributeError, KeyError, OSError, SyntaxError) as problem:
            raise _explained(argv, problem) from problem
        if not flags.FLAGS["verbosity"].present:
            # At absl's default, libraries such as Orbax log every step of every checkpoint.
            logging.set_verbosity(logging.WARNING)
        if len(rest) > 1 and not getattr(module, "POSITIONAL", False):
            raise BadInput(f"{shown(rest[1])} is not a flag; flags are written --name=value.")
        return rest

    return parse


def _explained(argv: Sequence[str], problem: Exception) -> BadInput:
    """The error for a command line that did not parse."""
    if "config" in flags.FLAGS:
        from drumgan_jax.commands import config_flag

        if explained := config_flag.explain(argv, problem):
            return explained
    return BadInput(f"{' '.join(str(problem).split())} (drumgan VERB --help lists the flags.)")


if __name__ == "__main__":
    command()
