#!/usr/bin/env python
"""Django's command-line entry."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
    from django.core.management import execute_from_command_line  # needs the setting above

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
