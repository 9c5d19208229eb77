"""Commented files as package data. ``⟦中文|English⟧`` is one of the two languages, ``⟦=word⟧`` a value.

A template's place below ``home/`` or ``dataset/`` is the written file's place in a home or in a dataset's folder;
a final ``.template`` is dropped (it keeps tools from taking the file for one of ours).
"""
