"""Plots."""
def write(results, folder):
    return []
