"""Tuning: Optuna asks and is told, our store keeps the trials, our workers train them. Optuna lives here."""
