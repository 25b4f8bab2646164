"""MEANING: results in, frozen tables out. No database, no drawing."""
