"""The command line: one file a command."""

from mgajax.cli.command_line import main as main
from mgajax.cli.command_line import make_parser as make_parser
