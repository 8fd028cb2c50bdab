"""The zoo: small nets, trained here by their own scripts, with weights, recipe and card.

A folder is one net. `model.py` needs torch and nothing else, so it can be copied into a project as it is.
"""
