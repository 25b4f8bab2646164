"""Tuning with Optuna by ask and tell."""
