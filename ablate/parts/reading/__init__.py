"""Readers that data sets share: image folders, npz files, CIFAR's files, arrays in memory. All come to one `source.Source`.

They import torch and Pillow, so a data set's file imports them inside its functions.
"""
