"""What ``huanshu check`` runs on a home: everything the readers refuse, and what only makes sense across
parts.

``check_home(path, extra=…)`` returns all problems one pass can find and raises nothing for what a home
says. It opens no value, connects to nothing and changes nothing.
"""

from huanshu.conformance.check import Check, Problem, check_home

__all__ = ["Check", "Problem", "check_home"]
