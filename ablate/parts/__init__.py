"""The parts of a recipe, one file each: drop a file into its folder and it can be named in a study.

    refinements/  changes of the training procedure       transforms/  augmentations
    optimizers/   schedules/   losses/                    networks/    data/

A file holds its part's card (paper, formula, when), its declaration `PART` (or `PARTS`), and what it does. torch is imported
inside the functions only: a study is planned without it. `declare` says what a part declares, `found` finds them. The other modules
here are what several parts share; `reading/` is that of the data sets.
"""
