"""Measure what waiting, importing and preparing files cost, compared with alternatives."""
