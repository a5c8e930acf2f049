"""The command line interface `mm-edge`: one file per command."""
