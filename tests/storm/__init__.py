"""Calls by the thousand on real processes while everything breaks; then our rows against the ledger.

python -m tests.storm --calls 300 --seed 1 --engine postgresql
"""
