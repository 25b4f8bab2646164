"""Tables as a study file declares them: rows, claims, and the paper's figures."""
