"""The paper's tables and studies as commands: `mgajax experiment NAME`."""
