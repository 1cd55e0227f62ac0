"""The HTML pages: one template, its style and scripts, and uPlot, all in one file offline.

- `render.py` cuts the data, fills the template and writes its content security policy.
- `dom.js`, `tables.js`, `charts.js`, `stories.js`, `start.js` are one script, in this order.
- `vendor/` has uPlot 1.6.32 as it was published; `LICENSES/uplot.txt` is its licence.
"""
