"""The campaign: everything the gate tries small, tried at length by one command, `python -m tests.campaign`.

`plan` says what there is to do, in small units; `parts` does one; `run` does them all and may be killed at any
moment; `merge` makes the figures of what was done.
"""
