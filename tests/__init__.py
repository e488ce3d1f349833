"""Tests: the packages' own, and fidelity, contract, faults and the whole from outside."""
