"""LOOK: frozen tables in; HTML, Markdown, LaTeX, CSV and JSON out. Plotly lives here."""
