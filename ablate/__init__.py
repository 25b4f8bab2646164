"""ablate: run an ablation study from one YAML file and get the paper's table back, with error bars."""

__version__ = "0.1.0"
