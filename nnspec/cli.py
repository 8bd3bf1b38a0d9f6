"""The command ``python -m nnspec``: what can be asked for. Each command has its code in its folder."""

from __future__ import annotations

import argparse
import contextlib
import os
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Sequence
from typing import Any, TextIO

from nnspec.errors import NnspecError, ensure_folder, ensure_python, importing, lacking, shortened
from nnspec.leaving import ends_despite_threads
from nnspec.records.files import path_of

VERIFY_EXAMPLES = """\
examples:
  nnspec verify
  nnspec verify state copying -v
  nnspec verify --device cuda --record my-records
"""

CONTRACT_EXAMPLES = """\
examples:
  nnspec contract torchvision.models:resnet34 --input 2,3,64,64
  nnspec contract 'mypkg.models:Net(10, bias=False)' --input 2,128:int64 --input 2,128:bool
  nnspec contract mypkg.models:build --inputs mypkg.models:example_inputs
  nnspec contract mypkg.models:build --input 4,16 --allow closures --junit contract.xml
  nnspec contract torchvision:resnet18
  nnspec contract timm:resnet26
  nnspec contract hf:BertConfig
  nnspec contract hf:path/of/a/config.json

an INPUT is [NAME=]SHAPE[:DTYPE][RANGE]:
  2,3,64,64                 normal numbers
  2,16:int64                whole numbers from 0 to 9
  input_ids=2,16:int64<100  whole numbers from 0 to 99, given by name
  2,3:float32:-1..1         numbers between -1 and 1
  mask=ones:2,16            ones; zeros: likewise
  2,16:bool                 truth values
  flag=True                 a value; any other literal: scale=value:0.5

the models of hf: are shrunk; nothing is downloaded, weights are random

exit codes: 0 no error was found, 1 there are errors (with --strict: or warnings), 2 the module cannot be
built or called, or an option is wrong, 3 a rule was not judged: the tool itself failed, or the time ran out
"""

COMPARE_EXAMPLES = """\
examples:
  nnspec compare 2.4 2.15
  nnspec compare 2.4 2.15 --used-in src/mypkg
  nnspec compare installed 2.15
"""

FIND_EXAMPLES = """\
examples:
  nnspec find 'missing keys in state_dict'
  nnspec find zero_grad
  nnspec find "cannot assign module before Module.__init__() call"
"""

MEASURE = "To get such a file: pytest @spec/benchmarks/options.txt --benchmark-json=FILE"


#: Where an error of this project is told.
ISSUES = "https://github.com/nnspec/nnspec/issues"

#: Signals with which a system ends a job, or a terminal that is closed.
TAKEN_AWAY = (signal.SIGTERM, signal.SIGHUP)

#: How much of a line is shown of what somebody gave.
LONGEST_LINE = 5000

#: Exit codes.
UNUSABLE, OURS, INTERRUPTED, UNREAD = 2, 3, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; here is the only place where a command ends.

    Args:
        arguments: the command line without the program's name; by default the process's own.

    Returns:
        the exit code: 0 well, 1 something was found, 2 the command could not be carried out, 3 an error of
        this project's own, 130 interrupted, 141 nobody reads the output any more.
    """
    before = threading.enumerate()
    code = _run(arguments)
    ends_despite_threads(before, code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    """Run one command, whatever it comes to."""
    _prepare_streams()
    options, output = argparse.Namespace(command="", debug=False), sys.stdout
    try:
        _parse(sys.argv[1:] if arguments is None else arguments, options)
        ensure_python()
        ensure_folder()
        code = _carry_out(options)
        output.flush()
        return code
    except SystemExit:  # the parser's
        raise
    except BrokenPipeError:
        return UNREAD
    except KeyboardInterrupt:
        _tell(options, "interrupted")
        return INTERRUPTED
    except BaseException as error:  # also what only somebody's own code raises
        if options.debug:
            traceback.print_exc()
        why, code = ("its output was closed while it ran", UNUSABLE) if output.closed else _why(error)
        _tell(options, why)
        return code
    finally:
        _drain(output)


def _carry_out(options: argparse.Namespace) -> int:
    try:
        with importing():
            command = pkgutil.resolve_name(options.run)
        with _taken_away_as_interrupted():
            return int(command(options))
    except SystemExit as error:
        raise RuntimeError(f"something ended the command with {error!r}") from error


@contextlib.contextmanager
def _taken_away_as_interrupted() -> Generator[None, None, None]:
    """Let a command that its system ends tidy up as an interrupted one does: what it started ends too."""
    is_main = threading.current_thread() is threading.main_thread()
    ours = [one for one in TAKEN_AWAY if is_main and signal.getsignal(one) is signal.SIG_DFL]
    owner = os.getpid()

    def interrupt(number: int, frame: object) -> None:
        if os.getpid() == owner:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)  # a process that was forked has nothing to tidy up
        os.kill(os.getpid(), number)

    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _why(error: BaseException) -> tuple[str, int]:
    """An error in words, and the exit code."""
    if isinstance(error, NnspecError):
        return str(error), UNUSABLE
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror or error}", UNUSABLE
    if isinstance(error, MemoryError):
        return "there is not enough memory for this", UNUSABLE
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("nnspec"):
        return lacking(str(error.name)), UNUSABLE
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"an error of nnspec's own: {what:.300}. Tell it, with what --debug shows, at {ISSUES}", OURS


def _tell(options: argparse.Namespace, why: str) -> None:
    lines = (shortened(line, LONGEST_LINE) for line in f"nnspec {options.command}: {why}".split("\n"))
    with contextlib.suppress(OSError):
        print("\n".join(lines), file=sys.stderr, flush=True)


def _prepare_streams() -> None:
    """Let output never fail for a character that the terminal lacks, nor for a stream that was closed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _open_nowhere(number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))
        elif number and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drain(output: TextIO) -> None:
    """Write what is left, or throw it away where nobody takes it: Python would try once more at its end."""
    if output.closed:
        return
    try:
        output.flush()
    except OSError:
        _open_nowhere(output.fileno())


def _open_nowhere(number: int) -> None:
    """Let a file number lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


def _parse(arguments: Sequence[str], options: argparse.Namespace) -> None:
    parser = _parser()
    for argument in arguments:
        if "\0" in argument:
            parser.error("an argument holds a NUL, which no name and no text has")
    parser.parse_args(arguments, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nnspec",
        description="Runs, lints, records and compares the executable specification of torch.nn.Module.",
    )
    _add_debug(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_running(commands)
    _add_contract(commands)
    _add_search(commands)
    _add_lint(commands)
    _add_records(commands)
    _add_measuring(commands)
    return parser


def _said(text: str) -> str:
    """A text of the command line that says something: an empty one may come of an unset variable."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty text says nothing; leave the option out")
    return text


def _add(commands: Any, name: str, run: str, summary: str, **details: Any) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: where to.
        name: what is typed.
        run: ``module:function`` that carries it out, imported when it is asked for.
        summary: a line for the list of commands.
        details: a longer description and what follows the options.
    """
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter, **details
    )
    command.set_defaults(run=run)
    _add_debug(command)
    return command


def _add_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show where an error comes from",
    )


def _add_running(commands: Any) -> None:
    command = _add(
        commands,
        "verify",
        "nnspec.running.start:verify",
        "run the specification on the torch at hand",
        description="Runs the specification, or parts of it, on the torch at hand.",
        epilog=VERIFY_EXAMPLES,
    )
    command.add_argument("part", nargs="*", help="only these, such as state or state/test_ties.py")
    command.add_argument(
        "--device", type=_said, action="append", default=[], help="on this device only (default: all)"
    )
    command.add_argument("--record", type=path_of, metavar="DIR", help="write every outcome to a file in DIR")
    command.add_argument("-v", "--verbose", action="store_true", help="name every clause by its statement")


def _add_contract(commands: Any) -> None:
    command = _add(
        commands,
        "contract",
        "nnspec.contract.command:run",
        "see whether a module of your own behaves as a Module",
        description="Puts a module under the rules that every well-behaved Module keeps.",
        epilog=CONTRACT_EXAMPLES,
    )
    command.add_argument(
        "target",
        nargs="?",
        help="a class or function that makes the module, package.module:name or 'package.module:Net(10)', or "
        "a model of a library: torchvision:NAME, timm:NAME or hf:CONFIG "
        "(default: those in [tool.nnspec] of the pyproject.toml here)",
    )
    command.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="INPUT",
        help="an input, such as 2,3,64,64 or 2,16:int64<100 or mask=ones:2,16 (see below)",
    )
    command.add_argument("--inputs", metavar="CALLABLE", help="a function that returns the inputs")
    command.add_argument(
        "--allow", action="append", default=[], metavar="RULE", help="a rule that may be violated"
    )
    command.add_argument(
        "--only", action="append", default=[], metavar="RULE", help="judge only this rule or chapter"
    )
    command.add_argument(
        "--skip", action="append", default=[], metavar="RULE", help="leave this rule or chapter out"
    )
    command.add_argument("--device", action="append", default=[], help="on this device only (default: all)")
    command.add_argument(
        "--limit",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="a rule that takes longer is not judged, and no pass; building the module and its first call "
        "may take as long each; 0: no limit (default: %(default)s)",
    )
    command.add_argument(
        "-n",
        dest="processes",
        type=int,
        default=1,
        metavar="N",
        help="judge in N processes, at most as many as there are processors: several modules, or the rules "
        "of one (default: %(default)s)",
    )
    command.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--junit", type=path_of, metavar="FILE", help="write a JUnit file as well")


def _add_lint(commands: Any) -> None:
    command = _add(
        commands, "lint", "nnspec.lint.command:run", "see that the specification keeps its own rules"
    )
    command.add_argument("--api", action="store_true", help="list the public names that no clause speaks of")

    command = _add(
        commands,
        "documentation",
        "nnspec.documentation.command:run",
        "see what is true of each sentence of torch's documentation",
        description="Reads the docstrings of the torch at hand. Lists the sentences that have no verdict\n"
        "in docs/documentation, those that no clause decides, and the rows that are out of date.",
    )
    command.add_argument("--json", action="store_true", help="print every sentence with its verdict")


def _add_search(commands: Any) -> None:
    command = _add(
        commands,
        "find",
        "nnspec.search.command:run",
        "find the clauses that answer a question or an error message",
        description="Finds clauses by what people type: words, an API name, an error message pasted whole.",
        epilog=FIND_EXAMPLES,
    )
    command.add_argument("words", nargs="+", metavar="WORD", help="what you want to know")
    command.add_argument(
        "--most", type=int, default=5, metavar="N", help="show N at most (default: %(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print JSON")

    _add(
        commands,
        "messages",
        "nnspec.search.messages:run",
        "note the messages of torch by which clauses are found",
        description="Runs the specification on the torch at hand and keeps the texts of errors and warnings\n"
        "that clauses expect in docs/messages.json, so that a message pasted whole finds its clause.",
    )


def _add_records(commands: Any) -> None:
    command = _add(
        commands,
        "check-records",
        "nnspec.records.commands:check",
        "see that records are valid and agree with the bounds, and what is pending in them",
        description="Wrong rows and files that are no records fail. Rows that are new or stale are pending: "
        "the next run on each release brings them, so they are listed and fail with --strict only.",
    )
    command.add_argument("files", nargs="*", type=path_of, help="records (default: all in docs/records)")
    command.add_argument("--strict", action="store_true", help="pending rows and missing releases fail too")
    command.add_argument(
        "--fresh",
        type=path_of,
        metavar="DIR",
        help="a folder of records made just now, which must say the same",
    )

    command = _add(
        commands,
        "releases",
        "nnspec.records.commands:releases",
        "record every release, one after the other, through tox",
    )
    command.add_argument("release", nargs="*", help="only these, such as 2.4 (default: all)")
    command.add_argument("--pending", action="store_true", help="run only the clauses whose rows are pending")

    command = _add(
        commands,
        "adopt",
        "nnspec.records.commands:adopt",
        "take rows that are pending from records made elsewhere",
    )
    command.add_argument("folders", nargs="+", type=path_of, metavar="DIR", help="a folder of records")

    command = _add(
        commands,
        "compare",
        "nnspec.records.commands:compare",
        "say what changes from one torch to another",
        epilog=COMPARE_EXAMPLES,
    )
    side = "a release (2.4), a record (2.11.0-cuda), a file, or 'installed' for a run of the torch at hand"
    command.add_argument("before", metavar="A", help=side)
    command.add_argument("after", metavar="B", help="likewise")
    command.add_argument(
        "--used-in",
        type=path_of,
        metavar="PATH",
        help="only the changes that speak of what the Python files there use",
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_options_of_strength(command: argparse.ArgumentParser) -> None:
    command.add_argument("--record", type=path_of, metavar="DIR", help="where to (default: docs/records)")
    command.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes at a time (default: cores)",
    )


def _add_measuring(commands: Any) -> None:
    command = _add(
        commands,
        "cost",
        "nnspec.running.cost:run",
        "measure what a run of the specification costs beside importing torch",
    )
    command.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each is run")

    command = _add(
        commands,
        "measure",
        "nnspec.running.measure:run",
        "measure all that a machine can tell: records, benchmarks, strength",
        description="Runs the specification on every device that torch finds, then the benchmarks, then the\n"
        "strength of what only an accelerator reaches. Everything lands in FOLDER, with a log of each step;\n"
        "a step that fails ends none of the others. For a machine that is there for minutes only.",
    )
    command.add_argument("folder", type=path_of, metavar="FOLDER", help="where everything goes")
    command.add_argument(
        "--minutes", type=float, metavar="N", help="end each step in time, so that all take N minutes at most"
    )

    command = _add(
        commands,
        "mutate",
        "nnspec.strength.command:run",
        "measure how many small changes to torch.nn the specification notices",
    )
    command.add_argument(
        "--sample", type=int, metavar="N", help="try N of the changes, the same ones each time"
    )
    command.add_argument(
        "--only",
        type=_said,
        metavar="PATTERN",
        help="a file or function, such as module.py or Module.load_state_dict",
    )
    command.add_argument(
        "--device",
        type=_said,
        default="cpu",
        help="an accelerator on which clauses run as well, to change what only that reaches (default: cpu)",
    )
    _add_options_of_strength(command)

    command = _add(
        commands,
        "strength",
        "nnspec.strength.clauses_command:run",
        "see that each assertion of the clauses can fail",
        description="Changes what each clause runs, one small thing at a time: first what its calls do and\n"
        "return, then the functions of torch.nn. Each assertion has to fail under one of the changes.\n"
        "An interrupted run goes on where it was.",
    )
    command.add_argument("--clauses", action="store_true", required=True, help="of every clause")
    command.add_argument("--only", type=_said, metavar="PATTERN", help="ids of clauses, such as 'state.*'")
    _add_options_of_strength(command)

    command = _add(
        commands,
        "bench-report",
        "nnspec.benchmarks.command:run",
        "make tables and figures of measured times",
        description="Makes tables and figures of files of pytest-benchmark, or of records made of them.",
        epilog=MEASURE,
    )
    command.add_argument(
        "files", nargs="+", type=path_of, metavar="FILE", help="what was measured, and on what"
    )
    command.add_argument(
        "--output", type=path_of, metavar="DIR", help="write figures as SVG into this folder"
    )
    command.add_argument(
        "--record",
        type=path_of,
        metavar="DIR",
        help="keep of each file what is needed, as DIR/bench-<torch>-<device>.json",
    )
