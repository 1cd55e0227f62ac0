"""The HTML pages: one template, its style and scripts, and uPlot, all in one file offline.

- `render.py` fills the template and writes its content security policy.
- `embedded.py` prepares the data that a page carries: long texts are cut.
- `dom.js`, `tables.js`, `charts.js`, `stories.js`, `start.js` are one script, in this order.
- `vendor/` has uPlot 1.6.32 as it was published; `LICENSES/uplot.txt` is its licence.
"""
