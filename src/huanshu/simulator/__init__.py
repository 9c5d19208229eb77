"""The synthetic district: whole registers of a fictional population, from a seed, with every error known.

``Simulation`` tells the story, ``write`` puts an extract of it on disk as a department would send it, without the
signature. The same arguments give the same bytes. Only home and seed matter: nothing here reads a store, a key or a
clock.
"""

from huanshu.simulator.simulation import DATASETS, Extract, Scale, Simulation, first_day
from huanshu.simulator.writing import FORMS, Form, Written, write

__all__ = ["DATASETS", "FORMS", "Extract", "Form", "Scale", "Simulation", "Written", "first_day", "write"]
